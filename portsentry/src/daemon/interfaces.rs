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

/// The interfaces that `wanted` names and that aren't there.
pub fn missing<'a>(wanted: &'a Interfaces, host: &Host) -> impl Iterator<Item = &'a str> {
    let names = if let Interfaces::Named(names) = wanted { names.as_slice() } else { &[] };
    let is_there = |name: &str| host.interfaces.iter().any(|found| found.name == name);
    names.iter().map(String::as_str).filter(move |name| !is_there(name))
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
            (Interfaces::All, &["lo", "eth0"][..], &[][..]),
            (Interfaces::AllButLoopback, &["eth0"], &[]),
            (Interfaces::Named(vec!["lo".into()]), &["lo"], &[]),
            (Interfaces::Named(vec!["eth1".into(), "eth0".into(), "a".into()]), &["eth0"], &["eth1", "a"]),
        ] {
            let found = present(&wanted, &host());
            let names: Vec<_> = found.iter().map(|interface| interface.name.as_str()).collect();
            let lacking: Vec<_> = missing(&wanted, &host()).collect();
            assert_eq!((names.as_slice(), lacking.as_slice()), (expected, lacks), "{wanted:?}");
        }
    }
}
