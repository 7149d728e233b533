//! Judges the sources whose verdict awaits answers to their first contacts. The kernel program judges a source again
//! at its next failure, but a scan that has ended has none.

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant, SystemTime},
};

use ipnet::IpNet;
use portsentry_common::{
    decide,
    scan::{Verdict, suspect::OPEN},
};

use super::Keeper;
use crate::{
    kernel,
    policy::{Scan, Sighting, register::Admission},
};

/// Time after which no answer is awaited any more, and a moment for clocks of coarse resolution.
const WAIT: Duration = Duration::from_secs(2 * OPEN as u64 + 1);
/// Maximum number of sources. Others are judged at their next failure only.
const MOST: usize = 16_384;

/// The sources, by the time when they are due.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    due: VecDeque<(Instant, Sighting)>,
    sources: HashSet<IpNet>,
}

impl Awaited {
    /// Adds the source of a failed contact at `now`, unless it is already there.
    pub(super) fn add(&mut self, sighting: Sighting, now: Instant) {
        if self.sources.len() < MOST && self.sources.insert(sighting.network()) {
            self.due.push_back((now + WAIT, sighting));
        }
    }

    /// Removes and returns the next source that is due at `now`.
    fn next(&mut self, now: Instant) -> Option<Sighting> {
        let (_, sighting) = self.due.pop_front_if(|(due, _)| *due <= now)?;
        self.sources.remove(&sighting.network());
        Some(sighting)
    }
}

impl Keeper {
    /// Judges the sources that are due.
    pub(super) fn judge_awaited(&mut self) {
        let now = Instant::now();
        while let Some(sighting) = self.schedule.awaited.next(now) {
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
        if sighting.verdict == decide::Verdict::Fence {
            self.enter_judged(&sighting)?;
            self.totals.scan_fences += 1;
        } else {
            self.totals.scan_reports += 1;
        }
        if let Some(scans) = &self.kernel.scans {
            scans.convict(network, verdict)?;
        }
        self.see(Admission::Scan, &sighting);
        if sighting.verdict == decide::Verdict::Report {
            // Further failures may still await answers.
            self.schedule.awaited.add(sighting, now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample_sighting;

    #[test]
    fn a_source_is_due_once_no_answer_is_awaited() {
        let (mut awaited, start) = (Awaited::default(), Instant::now());
        let of = |last: u8| Sighting { source: [192, 0, 2, last].into(), ..sample_sighting() };
        awaited.add(of(1), start);
        awaited.add(of(1), start + WAIT / 2);
        awaited.add(of(2), start + WAIT / 2);
        assert_eq!(awaited.next(start + WAIT - Duration::from_nanos(1)), None);
        assert_eq!(awaited.next(start + WAIT), Some(of(1)), "the first contact decides");
        assert_eq!(awaited.next(start + WAIT), None, "once");
        awaited.add(of(1), start + WAIT);
        assert_eq!(awaited.next(start + 2 * WAIT), Some(of(2)));
        assert_eq!(awaited.next(start + 2 * WAIT), Some(of(1)), "it may wait again");
    }

    #[test]
    fn no_more_sources_wait_than_memory_allows() {
        let (mut awaited, start) = (Awaited::default(), Instant::now());
        for number in 0..u32::try_from(MOST).unwrap() + 5 {
            let source = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into();
            awaited.add(Sighting { source, ..sample_sighting() }, start);
        }
        assert_eq!((awaited.due.len(), awaited.sources.len()), (MOST, MOST));
    }
}
