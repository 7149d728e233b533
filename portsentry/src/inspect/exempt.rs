//! The addresses that are never blocked, with the reason.

use std::{collections::BTreeSet, path::Path};

use ipnet::IpNet;

use crate::{
    config::block_list::is_too_much,
    host,
    policy::{
        is_host, name_of,
        scope::{Exempt, Exemptions},
    },
    sink::blocked_file,
};

/// Returns a message for each of `networks` that is never blocked, with the reason.
pub fn refuse(
    networks: &BTreeSet<IpNet>,
    ignored: &[IpNet],
    ignore_file: &Path,
) -> Result<Vec<String>, String> {
    let read = host::Observer::connect().and_then(|mut observer| observer.read());
    let host = read.map_err(|problem| format!("reading this host's addresses: {problem}"))?;
    let exempt = Exemptions::new(&host, ignored);
    let why = |network: &IpNet| {
        let (source, name) = (network.addr(), name_of(*network));
        if is_host(*network) && !blocked_file::is_host(source) {
            return Some(format!("{name} can't be the address of another host"));
        }
        let (holder, reason) = exempt.why(source).filter(|(holder, _)| holder.contains(network))?;
        let reason = reason_of(reason, &holder, ignore_file);
        Some(format!("{name} is never blocked: {reason}"))
    };
    Ok(networks.iter().filter_map(|network| is_too_much(network).or_else(|| why(network))).collect())
}

fn reason_of(reason: Exempt, network: &IpNet, ignore_file: &Path) -> String {
    match reason {
        Exempt::Own => "it is an address of this host".into(),
        Exempt::Gateway => "it is a gateway of this host".into(),
        Exempt::Resolver => "it is a name server of this host".into(),
        Exempt::Ignored => format!("{} ignores {network}", ignore_file.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told() {
        let file = Path::new("/etc/portsentry/portsentry.ignore");
        let network = "192.0.2.0/24".parse().unwrap();
        for (reason, expected) in [
            (Exempt::Own, "it is an address of this host"),
            (Exempt::Gateway, "it is a gateway of this host"),
            (Exempt::Resolver, "it is a name server of this host"),
            (Exempt::Ignored, "/etc/portsentry/portsentry.ignore ignores 192.0.2.0/24"),
        ] {
            assert_eq!(reason_of(reason, &network, file), expected);
        }
    }
}
