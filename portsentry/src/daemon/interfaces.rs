//! Which of the host's interfaces are watched. It must not attach to them.

use super::host::{Host, Interface};
use crate::config::Interfaces;

/// The interfaces that are there, of those that `wanted` means.
#[must_use]
pub fn present(wanted: &Interfaces, host: &Host) -> Vec<Interface> {
    let is_wanted = |found: &&Interface| match wanted {
        Interfaces::All => true,
        Interfaces::AllButLoopback => !found.is_loopback,
        Interfaces::Named(names) => names.contains(&found.name),
    };
    host.interfaces.iter().filter(is_wanted).cloned().collect()
}

/// The first interface that `wanted` names and that isn't there.
#[must_use]
pub fn missing<'a>(wanted: &'a Interfaces, host: &Host) -> Option<&'a str> {
    let Interfaces::Named(names) = wanted else { return None };
    let is_there = |name: &str| host.interfaces.iter().any(|found| found.name == name);
    names.iter().map(String::as_str).find(|name| !is_there(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        let interface = |index, name: &str| Interface {
            index,
            name: name.into(),
            is_loopback: name == "lo",
            is_veth: false,
        };
        Host { interfaces: [interface(1, "lo"), interface(2, "eth0")].into(), ..Host::default() }
    }

    #[test]
    fn words_and_names_choose_interfaces() {
        for (wanted, expected, lacks) in [
            (Interfaces::All, &["lo", "eth0"][..], None),
            (Interfaces::AllButLoopback, &["eth0"], None),
            (Interfaces::Named(vec!["lo".into()]), &["lo"], None),
            (Interfaces::Named(vec!["eth0".into(), "eth1".into()]), &["eth0"], Some("eth1")),
        ] {
            let found = present(&wanted, &host());
            let names: Vec<_> = found.iter().map(|interface| interface.name.as_str()).collect();
            assert_eq!((names.as_slice(), missing(&wanted, &host())), (expected, lacks), "{wanted:?}");
        }
    }
}
