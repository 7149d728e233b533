//! Sighting to actions. It must not carry them out.

use portsentry_common::decide::Verdict;

use super::{Ledger, Sighting};
use crate::config::Response;

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
    /// Write to the history that the trigger was reached, and nobody blocked.
    Report,
    /// Write the block to the history and the blocked file.
    Record,
    /// Take the `KILL_*` actions.
    Kill,
    /// Run `KILL_RUN_CMD` alone.
    Run,
}

/// What is to be done about `sighting`, where the configuration says `response` for its protocol; a block it tells
/// of enters `ledger`.
pub fn respond(ledger: &mut Ledger, sighting: &Sighting, response: Response) -> &'static [Action] {
    match sighting.verdict {
        Verdict::Counted | Verdict::Noticed | Verdict::Ignored => &[Action::Notice],
        Verdict::Full => &[Action::Attack, Action::Full],
        // As in 1.2, which took no second look at a source that it had acted on.
        Verdict::Report if !ledger.report(sighting.source) => &[Action::Attack],
        Verdict::Report if response == Response::CommandOnly => {
            &[Action::Attack, Action::Report, Action::Run]
        }
        Verdict::Report => &[Action::Attack, Action::LeaveAlone, Action::Report],
        // A source that was found in the map before its event was read is recorded already.
        Verdict::Block if !ledger.enter(sighting.source, sighting.hold()) => &[Action::Attack],
        Verdict::Block => &[Action::Attack, Action::Record, Action::Kill],
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
        for (verdict, response, expected) in [
            (Verdict::Counted, Response::Block, &[Action::Notice][..]),
            (Verdict::Noticed, Response::Block, &[Action::Notice]),
            (Verdict::Ignored, Response::Block, &[Action::Notice]),
            (Verdict::Report, Response::LogOnly, &[Action::Attack, Action::LeaveAlone, Action::Report]),
            (Verdict::Report, Response::CommandOnly, &[Action::Attack, Action::Report, Action::Run]),
            (Verdict::Full, Response::Block, &[Action::Attack, Action::Full]),
            (Verdict::Block, Response::Block, &[Action::Attack, Action::Record, Action::Kill]),
        ] {
            let mut ledger = Ledger::default();
            assert_eq!(respond(&mut ledger, &sighting(verdict), response), expected, "{verdict:?}");
            assert_eq!(ledger.holds([192, 0, 2, 9].into()), verdict == Verdict::Block);
        }
    }

    #[test]
    fn a_source_is_acted_on_once() {
        for (verdict, response) in
            [(Verdict::Block, Response::Block), (Verdict::Report, Response::CommandOnly)]
        {
            let mut ledger = Ledger::default();
            respond(&mut ledger, &sighting(verdict), response);
            assert_eq!(respond(&mut ledger, &sighting(verdict), response), &[Action::Attack], "{verdict:?}");
        }
    }
}
