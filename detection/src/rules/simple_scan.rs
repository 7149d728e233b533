//! Zeek's simple-scan.

use std::collections::{HashMap, HashSet};

use portsentry_common::scan::Outcome;

use crate::{event::Event, network::Pair};

/// Time in seconds after a source's last failure at which its record expires (`scan_timeout`).
const TIMEOUT: u32 = 15 * 60;
/// Number of dark hosts that lower the thresholds (`dark_host_threshold`).
const DARK: usize = 3;
/// Numbers of failed pairs, and of hosts at one port (`scan_threshold`, `knockknock_threshold`), of a remote source.
const USUAL: [usize; 2] = [25, 20];
/// The same `with_darknet_hits`.
const LOWERED: [usize; 2] = [10, 3];

/// `scan.zeek` of the package `ncsa/bro-simple-scan`, whose sources are all remote, and which knows each dark address.
#[derive(Debug, Default)]
pub struct SimpleScan {
    attacks: HashMap<u64, Attack>,
}

#[derive(Debug, Default)]
struct Attack {
    last: u32,
    attempts: HashSet<Pair>,
    ports: HashMap<u16, usize>,
    dark: HashSet<u32>,
}

impl SimpleScan {
    /// Reads an event. Returns whether its source is taken for a scanner from now on.
    pub fn read(&mut self, event: &Event) -> bool {
        if !event.has_failed() {
            return false;
        }
        let attack = self.attacks.entry(event.source).or_default();
        if event.at.saturating_sub(attack.last) >= TIMEOUT {
            *attack = Attack::default();
        }
        attack.last = event.at;
        let (host, port) = event.pair;
        if !attack.attempts.insert(event.pair) {
            return false;
        }
        let hosts = attack.ports.entry(port).or_default();
        *hosts += 1;
        if attack.dark.len() < DARK && event.outcome == Outcome::Silent {
            attack.dark.insert(host);
        }
        let [pairs, knocks] = if attack.dark.len() >= DARK { LOWERED } else { USUAL };
        attack.attempts.len() >= pairs || *hosts >= knocks
    }
}

#[cfg(test)]
mod tests {
    use portsentry_common::scan::Shape;

    use super::*;

    /// Returns the number of events up to the scan.
    fn found_after(events: impl IntoIterator<Item = (u32, Pair, Outcome)>) -> Option<usize> {
        let mut rule = SimpleScan::default();
        events
            .into_iter()
            .position(|(at, pair, outcome)| {
                rule.read(&Event { at, source: 1, pair, outcome, shape: Shape::Ordinary })
            })
            .map(|before| before + 1)
    }

    #[test]
    fn the_thresholds_are_those_of_the_script() {
        use Outcome::{Refused, Silent};
        assert_eq!(found_after((0..50).map(|it| (it.into(), (1, it), Refused))), Some(25), "ports of a host");
        assert_eq!(found_after((0..50).map(|it| (it, (it, 80), Refused))), Some(20), "hosts at a port");
        assert_eq!(found_after((0..50).map(|it| (it, (it, 80), Silent))), Some(3), "dark hosts at a port");
        let random = (0..50_u16).map(|it| (it.into(), (it.into(), it), Silent));
        assert_eq!(found_after(random), Some(10), "dark hosts at other ports each");
        assert_eq!(
            found_after((0..50).map(|it| (it * 800, (it, 80), Silent))),
            Some(3),
            "a failure in 13 min"
        );
        assert_eq!(found_after((0..50).map(|it| (it * 900, (it, 80), Silent))), None, "a failure in 15 min");
    }
}
