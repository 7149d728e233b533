//! Visits to the traps: the keeper does with them what the kernel program does with probes (`judge/answer.rs` of
//! `portsentry-common`). It must not hold the rules: those are `policy`'s.

use portsentry_common::{block::Proof, decide::Verdict};

use super::{super::trap::Visit, Keeper};
use crate::{
    kernel,
    policy::{
        Sighting,
        trap::{self, LeftOut},
    },
};

impl Keeper {
    /// Judges a visit to a trap, blocks or fences in the kernel what the kernel could not judge itself, and tells of it
    /// unless it is no news, or too much.
    pub(super) fn on_visit(&mut self, visit: &Visit) {
        let now_ns = kernel::monotonic_ns().unsigned_abs();
        let mut sighting = self.judge(visit);
        let entered = match sighting.verdict {
            Verdict::Block | Verdict::Fence => match self.take_in(&mut sighting, now_ns) {
                Some(entered) => entered,
                None => return,
            },
            _ => false,
        };
        let Sighting { source, port, protocol, .. } = sighting;
        if self.visits.may_tell((source, port, protocol), entered, now_ns) {
            self.on_sighting(&sighting);
        } else if entered {
            // It is found in the map, as those that the kernel could not tell of.
            self.untold += 1;
        }
    }

    fn judge(&mut self, visit: &Visit) -> Sighting {
        let Visit { time, source: from, destination, protocol, is_proof } = *visit;
        let source = from.ip().to_canonical();
        let response = self.responses.of(protocol);
        let rules = trap::Rules { trigger: self.trigger, response, fences: self.is_fencing };
        let proof = if is_proof { Proof::Connection } else { Proof::None };
        let (verdict, hits) = self.visits.judge(source, proof, self.is_exempt(source), rules);
        Sighting {
            time,
            source,
            destination: destination.ip().to_canonical(),
            source_port: from.port(),
            port: destination.port(),
            protocol,
            kind: trap::kind(protocol),
            flags: 0,
            options: None,
            interface: 0,
            vlan: 0,
            length: 0,
            ttl: 0,
            hits,
            verdict,
            proof,
        }
    }

    /// Enters the source of a visit in the kernel's maps; whether it was not held before. `None` if there is nothing to
    /// tell: it is fenced already, or too many are.
    fn take_in(&mut self, sighting: &mut Sighting, now_ns: u64) -> Option<bool> {
        let is_fence = sighting.verdict == Verdict::Fence;
        match self.standing(sighting.source) {
            Ok(Some(standing)) if is_fence || !standing.hold.is_fence => return (!is_fence).then_some(false),
            Ok(_) => {}
            Err(error) => self.journal.error(&error),
        }
        if is_fence && !self.visits.may_fence(now_ns) {
            return None;
        }
        match self.enter(sighting) {
            Ok(()) => return Some(true),
            Err(kernel::Error::Full { .. }) => {
                sighting.verdict = Verdict::Full;
                self.no_room += 1;
            }
            Err(error) => self.journal.error(&error),
        }
        Some(false)
    }

    /// Tells how much of the visits the limits left out, and how much of that was not told for the rate.
    pub(super) fn tell_left_out(&mut self) -> u64 {
        let LeftOut { untold, unfenced } = self.visits.left_out();
        if unfenced > 0 {
            self.journal.unfenced(unfenced);
        }
        untold
    }
}
