//! Adjusts the ledger to a changed wall clock, because another clock times the blocks.

use std::time::SystemTime;

use super::Ledger;

impl Ledger {
    /// Moves all times by the difference between `from` and `to`, which are the same moment before and after the
    /// change.
    pub fn shift(&mut self, from: SystemTime, to: SystemTime) {
        let moved = |time: SystemTime| {
            let moved = match to.duration_since(from) {
                Ok(ahead) => time.checked_add(ahead),
                Err(behind) => time.checked_sub(behind.duration()),
            };
            moved.unwrap_or(time)
        };
        for hold in self.held.values_mut() {
            hold.since = moved(hold.since);
            hold.until = hold.until.map(moved);
        }
        for ends in [&mut self.ends, &mut self.fence_ends] {
            *ends = ends.iter().map(|(until, network)| (moved(*until), *network)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portsentry_common::{block::Proof, classify::Protocol};

    use super::{super::Hold, *};

    #[test]
    fn blocks_last_as_long_whatever_the_clock_is_set_to() {
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let source = std::net::IpAddr::from([192, 0, 2, 1]).into();
        let (port, protocol, proof) = (1, Protocol::Tcp, Proof::None);
        for is_fence in [false, true] {
            let hold = Hold { since: at(1000), until: Some(at(1060)), port, protocol, proof, is_fence };
            let mut ledger = Ledger::default();
            ledger.enter(source, hold);
            let unset = ledger.clone();
            ledger.shift(at(10), at(510));
            assert_eq!(ledger.get(source).map(|hold| hold.since), Some(at(1500)));
            assert_eq!(ledger.over(at(1559)).count(), 0);
            assert_eq!(ledger.over(at(1560)).count(), 1);
            ledger.shift(at(510), at(10));
            assert_eq!(ledger, unset);
            ledger.shift(at(510), at(10));
            assert!(ledger.lift(source).is_some());
            assert_eq!(ledger, Ledger::default(), "nothing is left of its times");
        }
    }
}
