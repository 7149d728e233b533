//! Sighting to actions. It must not carry them out.

use portsentry_common::decide::Verdict;

use super::{Hold, Ledger, Sighting};

/// One thing to do about a sighting, in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Log the probe as an attack.
    Attack,
    /// Log the probe in a form that gets nobody banned: its source is ignored, below the trigger, or the probe is
    /// of a kind that isn't counted.
    Notice,
    /// Log that the configuration says not to act.
    LeaveAlone,
    /// Log that the blocked map is full.
    Full,
    /// Write the block to the history, the blocked file and `hosts.deny`.
    Record,
}

/// What is to be done about `sighting`; a block it tells of enters `ledger`.
pub fn respond(ledger: &mut Ledger, sighting: &Sighting) -> &'static [Action] {
    match sighting.verdict {
        Verdict::Counted | Verdict::Noticed | Verdict::Ignored => &[Action::Notice],
        Verdict::Report => &[Action::Attack, Action::LeaveAlone],
        Verdict::Full => &[Action::Attack, Action::Full],
        Verdict::Block => {
            let hold = Hold { since: sighting.time, port: sighting.port, protocol: sighting.protocol };
            // A source that was found in the map before its event was read is recorded already.
            if ledger.enter(sighting.source, hold) {
                &[Action::Attack, Action::Record]
            } else {
                &[Action::Attack]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use portsentry_common::classify::{Kind, Protocol};

    use super::*;

    fn sighting(verdict: Verdict) -> Sighting {
        Sighting {
            time: SystemTime::UNIX_EPOCH,
            source: [192, 0, 2, 9].into(),
            destination: [198, 51, 100, 1].into(),
            source_port: 40_000,
            port: 11,
            protocol: Protocol::Tcp,
            kind: Kind::Syn,
            flags: 2,
            options: Some(false),
            interface: 1,
            vlan: 0,
            hits: 1,
            verdict,
        }
    }

    #[test]
    fn only_a_block_is_recorded_and_only_once() {
        for (verdict, expected) in [
            (Verdict::Counted, &[Action::Notice][..]),
            (Verdict::Noticed, &[Action::Notice]),
            (Verdict::Ignored, &[Action::Notice]),
            (Verdict::Report, &[Action::Attack, Action::LeaveAlone]),
            (Verdict::Full, &[Action::Attack, Action::Full]),
            (Verdict::Block, &[Action::Attack, Action::Record]),
        ] {
            let mut ledger = Ledger::default();
            assert_eq!(respond(&mut ledger, &sighting(verdict)), expected, "{verdict:?}");
            assert_eq!(ledger.holds([192, 0, 2, 9].into()), verdict == Verdict::Block);
        }
        let mut ledger = Ledger::default();
        respond(&mut ledger, &sighting(Verdict::Block));
        assert_eq!(respond(&mut ledger, &sighting(Verdict::Block)), &[Action::Attack]);
    }
}
