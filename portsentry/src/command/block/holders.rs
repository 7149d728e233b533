//! Blocked networks that still hold an address after `unblock`.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::{
    daemon::Options,
    kernel::Observer,
    policy::{name_of, networks::Networks},
    sink::{self, blocked_file},
};

/// Returns the narrowest blocked network that will still hold each of `networks`, by its name. Networks that are
/// lifted with them don't count. Without access to the maps, the files decide.
pub(super) fn holders(options: &Options, networks: &BTreeSet<IpNet>) -> BTreeMap<String, IpNet> {
    let config = &options.config;
    let observer = Observer::open(&config.pin_path).ok().flatten();
    let blocked = observer.and_then(|observer| observer.networks().ok()).map_or_else(
        || {
            let content = sink::read(&config.blocked_file).ok().flatten().unwrap_or_default();
            let (records, _) = blocked_file::parse(&content, std::time::SystemTime::now());
            let listed = options.listed.networks.iter().copied();
            records.iter().map(|record| record.network).chain(listed).collect()
        },
        |networks| networks.into_keys().collect::<Vec<_>>(),
    );
    of(&blocked, networks)
}

fn of(blocked: &[IpNet], networks: &BTreeSet<IpNet>) -> BTreeMap<String, IpNet> {
    let is_lifted = |network: &IpNet| networks.iter().any(|lifted| lifted.contains(network));
    let standing = blocked.iter().filter(|network| !is_lifted(network)).map(|network| (*network, ()));
    let standing: Networks<()> = standing.collect();
    let holder = |network: &IpNet| {
        let (holder, ()) = standing.find(network.addr())?;
        (holder.contains(network) && holder != *network).then(|| (name_of(*network), holder))
    };
    networks.iter().filter_map(holder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks<C: FromIterator<IpNet>>(text: &str) -> C {
        text.split_whitespace().map(|word| word.parse::<IpNet>().unwrap()).collect()
    }

    #[test]
    fn the_narrowest_network_that_stays_is_named() {
        let blocked: Vec<IpNet> = networks("192.0.2.0/24 192.0.2.0/28 198.51.100.0/24 2001:db8::/32");
        for (asked, expected) in [
            ("192.0.2.9/32", "192.0.2.9 192.0.2.0/28"),
            ("192.0.2.99/32", "192.0.2.99 192.0.2.0/24"),
            ("192.0.2.9/32 192.0.2.0/28", "192.0.2.0/28 192.0.2.0/24 192.0.2.9 192.0.2.0/24"),
            ("192.0.2.9/32 192.0.2.0/24", ""),
            ("198.51.100.0/24", ""),
            ("198.51.0.0/16", ""),
            ("2001:db8::7/128", "2001:db8::7 2001:db8::/32"),
            ("203.0.113.9/32", ""),
        ] {
            let found = of(&blocked, &networks::<BTreeSet<IpNet>>(asked));
            let found: Vec<_> = found.iter().map(|(name, holder)| format!("{name} {holder}")).collect();
            assert_eq!(found.join(" "), expected, "{asked}");
        }
    }
}
