//! Handles probes reported by the kernel program or by a trap of the daemon.

use std::time::Instant;

use portsentry_common::decide::Verdict;

use super::Keeper;
use crate::policy::{
    Sighting,
    register::{Admission, Case, Effect, Line, NEVER_BLOCKED, Release, Why},
};

impl Keeper {
    /// Handles a probe that the kernel program reported. A graver verdict on a scan may await answers,
    /// and a failed first contact may belong to a distributed scan.
    pub(super) fn on_sighting(&mut self, sighting: &Sighting) {
        if sighting.scan.is_some() {
            self.note_in_group(sighting);
            if matches!(sighting.verdict, Verdict::Counted | Verdict::Report) {
                self.schedule.awaited.add(sighting.clone(), Instant::now());
            }
            if matches!(sighting.verdict, Verdict::Counted | Verdict::Noticed) {
                return;
            }
        }
        if !(self.scope.skips_own() && sighting.source == sighting.destination) {
            self.see(Admission::of(sighting), sighting);
        }
    }

    /// Handles a probe. If its source is blocked or fenced, the kernel's map already has the entry.
    pub(super) fn see(&mut self, cause: Admission, sighting: &Sighting) {
        let network = sighting.network();
        self.files.recorder().see(sighting, self.register.ledger().holds(network));
        let done = match sighting.verdict {
            // The source has become exempt since the kernel saw the probe.
            Verdict::Block | Verdict::Fence if self.is_exempt(sighting.source) => {
                let told = self.carry_out(&[Effect::Emit(Line::Attack)], &Case::probe(sighting));
                self.release(Release::Exempt, network, NEVER_BLOCKED);
                told
            }
            Verdict::Block | Verdict::Fence => {
                self.admit(cause, sighting.record(), Some(sighting), Why::Usual)
            }
            _ => {
                let effects = self.register.witness(sighting);
                self.carry_out(&effects, &Case::probe(sighting))
            }
        };
        if let Err(error) = done {
            self.journal.error(&error);
        }
    }
}
