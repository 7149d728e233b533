//! Sighting to actions.

use std::time::SystemTime;

use portsentry_common::{block::Proof, decide::Verdict};

use super::{Hold, Ledger, Sighting};
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
    /// Log that the source is fenced.
    Fence,
    /// Log that the source is blocked.
    Block,
    /// Take the `KILL_*` actions.
    Kill,
    /// Run `KILL_RUN_CMD` alone.
    Run,
}

/// Whether the `KILL_*` actions are taken against a source that is held now and wasn't before, or was only fenced;
/// `on_proof` is `KILL_ON_PROOF`.
#[must_use]
pub fn calls_for_kill(hold: &Hold, was_fenced: bool, on_proof: bool) -> bool {
    if on_proof { hold.proof != Proof::None } else { !was_fenced }
}

/// What is to be done about `sighting`, where the configuration says `response` for its protocol, and whether the
/// `KILL_*` actions wait for proof; a block it tells of, which lasts until `until`, enters `ledger`.
pub fn respond(
    ledger: &mut Ledger,
    sighting: &Sighting,
    until: Option<SystemTime>,
    (response, kills_on_proof): (Response, bool),
) -> &'static [Action] {
    use Action::{Attack, Block, Fence, Full, Kill, LeaveAlone, Notice, Record, Report, Run};
    match sighting.verdict {
        Verdict::Counted | Verdict::Noticed | Verdict::Ignored => &[Notice],
        Verdict::Full => &[Attack, Full],
        // As in 1.2, which took no second look at a source that it had acted on.
        Verdict::Report if !ledger.report(sighting.key()) => &[Attack],
        Verdict::Report if response == Response::CommandOnly => &[Attack, Report, Run],
        Verdict::Report => &[Attack, LeaveAlone, Report],
        Verdict::Block | Verdict::Fence => {
            let was_fenced = ledger.get(sighting.key()).is_some_and(|hold| hold.is_fence);
            let is_new = ledger.enter(sighting.key(), Hold { until, ..sighting.hold() });
            let is_fence = sighting.verdict == Verdict::Fence;
            let kills = calls_for_kill(&sighting.hold(), was_fenced, kills_on_proof);
            match (is_new, is_fence, kills) {
                // A source that was found in the map before its event was read is recorded already.
                (false, _, _) => &[Attack],
                (true, true, true) => &[Attack, Fence, Record, Kill],
                (true, true, false) => &[Attack, Fence, Record],
                (true, false, true) => &[Attack, Block, Record, Kill],
                (true, false, false) => &[Attack, Block, Record],
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
            length: 0,
            ttl: 0,
            hits: 1,
            verdict,
            proof: Proof::None,
            prefix: 0,
        }
    }

    #[test]
    fn each_verdict_has_its_actions() {
        use Action::{Attack, Block, Fence, Full, Kill, LeaveAlone, Notice, Record, Report, Run};
        for (verdict, response, expected) in [
            (Verdict::Counted, Response::Block, &[Notice][..]),
            (Verdict::Noticed, Response::Block, &[Notice]),
            (Verdict::Ignored, Response::Block, &[Notice]),
            (Verdict::Report, Response::LogOnly, &[Attack, LeaveAlone, Report]),
            (Verdict::Report, Response::CommandOnly, &[Attack, Report, Run]),
            (Verdict::Full, Response::Block, &[Attack, Full]),
            (Verdict::Fence, Response::Block, &[Attack, Fence, Record, Kill]),
            (Verdict::Block, Response::Block, &[Attack, Block, Record, Kill]),
        ] {
            let mut ledger = Ledger::default();
            assert_eq!(
                respond(&mut ledger, &sighting(verdict), None, (response, false)),
                expected,
                "{verdict:?}"
            );
            let is_held = matches!(verdict, Verdict::Block | Verdict::Fence);
            assert_eq!(ledger.holds([192, 0, 2, 9].into()), is_held);
        }
    }

    #[test]
    fn actions_are_taken_once_at_the_trigger_or_on_proof() {
        use Action::{Attack, Block, Fence, Kill, Record};
        let proven = Sighting { proof: Proof::Cookie, ..sighting(Verdict::Block) };
        for (on_proof, first, second) in [
            (false, &[Attack, Fence, Record, Kill][..], &[Attack, Block, Record][..]),
            (true, &[Attack, Fence, Record], &[Attack, Block, Record, Kill]),
        ] {
            let mut ledger = Ledger::default();
            let response = (Response::Block, on_proof);
            assert_eq!(respond(&mut ledger, &sighting(Verdict::Fence), None, response), first);
            assert_eq!(respond(&mut ledger, &proven, None, response), second);
            assert_eq!(respond(&mut ledger, &proven, None, response), &[Attack]);
        }
    }

    #[test]
    fn a_source_that_is_left_alone_is_reported_once() {
        for response in [Response::LogOnly, Response::CommandOnly] {
            let mut ledger = Ledger::default();
            respond(&mut ledger, &sighting(Verdict::Report), None, (response, false));
            let again = respond(&mut ledger, &sighting(Verdict::Report), None, (response, false));
            assert_eq!(again, &[Action::Attack]);
        }
    }
}
