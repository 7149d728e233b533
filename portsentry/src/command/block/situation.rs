//! What follows from a change of the blocked file, in words.

use std::{collections::BTreeSet, path::Path};

use ipnet::IpNet;

use crate::{
    kernel::Observer,
    policy::{State, network_of},
    sink::Change,
};

/// The state that determines the consequences.
pub(super) struct Situation<'a> {
    pub change: &'a Change,
    /// Whether a daemon runs.
    pub runs: bool,
    /// Whether the program of an ended daemon is still attached and enforces the maps.
    pub is_enforced: bool,
    /// Whom the kernel holds.
    pub held: BTreeSet<IpNet>,
}

impl Situation<'_> {
    pub(super) fn changed(&self) -> &'static str {
        match (self.change, self.runs, self.is_enforced) {
            (Change::Block(_), true, _) => "being blocked by the running daemon",
            (Change::Block(_), false, true) => {
                "blocked (no daemon is running; hosts.deny is updated when one starts)"
            }
            (Change::Block(_), false, false) => "recorded; a daemon will block it at its next start",
            (Change::Unblock, true, _) => "being unblocked by the running daemon",
            (Change::Unblock, false, true) => "unblocked (no daemon is running)",
            (Change::Unblock, false, false) => "removed from the blocked file (no daemon is running)",
        }
    }

    pub(super) fn unchanged(&self, network: IpNet, path: &Path) -> String {
        let path = path.display();
        match self.change {
            Change::Block(_) => format!("already blocked, according to {path}"),
            Change::Unblock if self.held.contains(&network) => format!(
                "held by the kernel, but not yet in {path}: unblock it once a running daemon has written it there"
            ),
            Change::Unblock => format!("is not in {path}"),
        }
    }

    /// Whether an unblocked network is still held by the kernel.
    pub(super) fn has_failed(&self, unchanged: &[IpNet]) -> bool {
        *self.change == Change::Unblock && unchanged.iter().any(|network| self.held.contains(network))
    }
}

/// Returns what the kernel holds.
pub(super) fn held(observer: &Observer) -> BTreeSet<IpNet> {
    let sources = [State::Blocked, State::Fenced].map(|which| observer.sources(which).unwrap_or_default());
    let sources = sources.into_iter().flatten();
    sources.map(|(source, block)| network_of(source, block.prefix)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::annotation::Annotation;

    const A: IpNet = IpNet::V4(ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(192, 0, 2, 9), 32));

    const BLOCK: Change = Change::Block(Annotation { until: None, reason: None });

    fn situation(change: &Change, runs: bool, is_enforced: bool, is_held: bool) -> Situation<'_> {
        Situation { change, runs, is_enforced, held: is_held.then_some(A).into_iter().collect() }
    }

    #[test]
    fn it_says_what_will_happen() {
        for (change, runs, is_enforced, expected) in [
            (BLOCK, true, true, "being blocked by"),
            (BLOCK, false, true, "blocked (no daemon is running;"),
            (BLOCK, false, false, "a daemon will block it at its next start"),
            (Change::Unblock, true, true, "being unblocked by"),
            (Change::Unblock, false, true, "unblocked (no daemon is running)"),
            (Change::Unblock, false, false, "removed from the blocked file"),
        ] {
            let said = situation(&change, runs, is_enforced, false).changed();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn who_stays_held_is_a_failure() {
        for (change, is_held, expected) in
            [(Change::Unblock, true, true), (Change::Unblock, false, false), (BLOCK, true, false)]
        {
            assert_eq!(situation(&change, true, true, is_held).has_failed(&[A]), expected);
        }
    }
}
