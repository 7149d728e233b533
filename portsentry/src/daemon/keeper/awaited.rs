//! Judges the sources whose verdict awaits answers to their first contacts. The kernel program judges a source again
//! at its next failure, but a scan that has ended has none.

use std::time::{Instant, SystemTime};

use portsentry_common::{decide, scan::Verdict};

use super::Keeper;
use crate::{
    kernel,
    policy::{Scan, Sighting, register::Admission},
};

impl Keeper {
    /// Judges the sources that are due.
    pub(super) fn judge_awaited(&mut self) {
        let now = Instant::now();
        while let Some(sighting) = self.schedule.awaited.next_due(now) {
            if let Err(error) = self.judge_source(sighting, now) {
                self.journal.error(&error);
            }
        }
    }

    fn judge_source(&mut self, mut sighting: Sighting, now: Instant) -> Result<(), kernel::Error> {
        let network = sighting.network();
        let fences = self.kernel.settings.fences_scans();
        let Some(scans) = &self.kernel.scans else { return Ok(()) };
        let Some((verdict, evidence)) = scans.judge(network, fences)? else { return Ok(()) };
        if self.is_exempt(sighting.source) || self.standing(network)?.is_some() {
            return Ok(());
        }
        match verdict {
            Verdict::None => return Ok(()),
            Verdict::Awaited => {
                self.schedule.awaited.add(sighting, now);
                return Ok(());
            }
            Verdict::Fence if fences => {
                if !self.traps.visits.may_fence(kernel::monotonic_ns().unsigned_abs()) {
                    self.schedule.awaited.add(sighting, now);
                    return Ok(());
                }
                sighting.verdict = decide::Verdict::Fence;
            }
            Verdict::Report | Verdict::Fence => sighting.verdict = decide::Verdict::Report,
        }
        sighting.time = SystemTime::now();
        sighting.hits = evidence.failed.into();
        sighting.scan = Some(Scan::from(evidence));
        let is_fence = sighting.verdict == decide::Verdict::Fence;
        if is_fence {
            self.enter_judged(&sighting)?;
        }
        // The fence is in force: whatever fails here, it is recorded.
        let counted = self.kernel.scans.as_mut().map_or(Ok(()), |scans| {
            scans.convict(network, verdict)?;
            scans.count_judged(is_fence)
        });
        if let Err(error) = counted {
            self.journal.error(&error);
        }
        self.see(Admission::Scan, &sighting);
        if !is_fence {
            // Further failures may still await answers.
            self.schedule.awaited.add(sighting, now);
        }
        Ok(())
    }
}
