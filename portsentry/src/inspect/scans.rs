//! The detection of scans that avoid traps, and a suspect's record.

use std::time::SystemTime;

use ipnet::IpNet;
use portsentry_common::scan::{self, Verdict, suspect::Suspect};
use serde::{Deserialize, Serialize};

use crate::{
    instant::Time,
    kernel::{self, Observer, ScanCount, ScanState, wall_time},
    policy::scan::{Score, Span},
};

/// The state of the detection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scans {
    /// What it does with a source: `off`, `report` or `fence`.
    pub detection: String,
    /// Its memory. `None` if scans aren't detected.
    pub memory: Option<Memory>,
}

/// The memory of sources whose first contacts failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Seconds for which a source with one failed first contact is remembered now.
    pub horizon: u32,
    /// Whether it had no room for a source in the last minute.
    pub is_full: bool,
    /// Numbers of sources.
    #[serde(flatten)]
    pub count: ScanCount,
}

impl From<ScanState> for Scans {
    fn from(state: ScanState) -> Self {
        let memory = state.memory.map(|(horizon, count)| Memory {
            horizon: horizon.seconds,
            is_full: horizon.is_full,
            count,
        });
        Self { detection: state.detection.word().into(), memory }
    }
}

impl Memory {
    /// Returns the horizon in words.
    #[must_use]
    pub fn horizon_shown(&self) -> String {
        let full = if self.is_full { "; full, so newcomers are forgotten (SCAN_MEMORY)" } else { "" };
        format!("{}{full}", Span(self.horizon))
    }

    /// Returns the numbers of sources in words.
    #[must_use]
    pub fn sources_shown(&self) -> String {
        let ScanCount { suspects, suspects_max, probation, probation_max } = self.count;
        format!("{suspects} of {suspects_max}, {probation} of {probation_max} on probation")
    }
}

/// The record of a source with at least two failed first contacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspectRecord {
    /// The address, or the IPv6 network by which the source is counted.
    #[serde(with = "crate::notation")]
    pub source: IpNet,
    /// Number of distinct addresses and ports, at most 255.
    pub failed: u8,
    /// Number of addresses among them, or more.
    pub addresses: u32,
    /// Number of ports among them, or more.
    pub ports: u32,
    /// Number of the first failures that belong to a distributed scan, which raises the score.
    #[serde(default)]
    pub shared: u8,
    /// The score.
    pub score: Score,
    /// Time of the first failure.
    pub first: Time,
    /// Time of the last one.
    pub last: Time,
    /// The verdict: `none`, `report` or `fence`.
    pub verdict: String,
    /// What is missing to a fence; `None` if nothing is.
    pub missing: Option<String>,
}

impl SuspectRecord {
    /// Returns the record of the source that is counted as one of these networks.
    pub fn read(observer: &Observer, networks: &[IpNet]) -> Result<Option<Self>, kernel::Error> {
        let Some(memory) = observer.scan_memory()? else { return Ok(None) };
        for source in networks {
            if let Some(suspect) = memory.suspect(*source)? {
                let at = |second: u32| wall_time(i64::from(second) * 1_000_000_000);
                return Ok(Some(Self::new(*source, &suspect, at)));
            }
        }
        Ok(None)
    }

    fn new(source: IpNet, suspect: &Suspect, at: impl Fn(u32) -> SystemTime) -> Self {
        let verdict = match suspect.verdict {
            verdict if verdict == Verdict::Fence as u8 => "fence",
            verdict if verdict == Verdict::Report as u8 => "report",
            _ => "none",
        };
        Self {
            source,
            failed: suspect.failed,
            addresses: suspect.hosts.count_ones(),
            ports: suspect.ports.count_ones(),
            shared: suspect.raised,
            score: Score(suspect.score),
            first: Time(at(suspect.first)),
            last: Time(at(suspect.last)),
            verdict: verdict.into(),
            missing: missing(suspect),
        }
    }

    /// Returns the record in words.
    #[must_use]
    pub fn shown(&self) -> String {
        let Self { failed, addresses, ports, score, .. } = self;
        let all = |count: &u32, one, many| match count {
            1 => format!("one {one}"),
            count => format!("{count} or more {many}"),
        };
        let (addresses, ports) = (all(addresses, "address", "addresses"), all(ports, "port", "ports"));
        let shared = match self.shared {
            0 => String::new(),
            shared => format!(", {shared} of them in a distributed scan"),
        };
        format!("{failed} failed first contacts with {addresses} and {ports}{shared}, score {score}")
    }
}

/// Returns what a suspect lacks for a fence.
fn missing(suspect: &Suspect) -> Option<String> {
    if suspect.verdict == Verdict::Fence as u8 {
        return None;
    }
    let pairs = scan::FENCE_PAIRS.saturating_sub(suspect.failed);
    // Rounded up to what is shown.
    let score = Score((Score::FENCE.0.saturating_sub(suspect.score).max(0) + 9) / 10 * 10);
    let pairs = (pairs > 0).then(|| format!("{pairs} further addresses or ports"));
    let score = (score.0 > 0).then(|| format!("a score higher by {score}"));
    let all: Vec<String> = [pairs, score].into_iter().flatten().collect();
    match all.as_slice() {
        [] if suspect.is_peer() => {
            Some("it looks like a peer-to-peer program, which is only reported".into())
        }
        [] => Some("one more failure".into()),
        all => Some(all.join(", ")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    /// Returns the record of a source that was reported.
    pub(crate) fn sample_record() -> SuspectRecord {
        let suspect = Suspect {
            failed: 5,
            score: 1100,
            hosts: 0b1_0110,
            ports: 1,
            first: 100,
            last: 142,
            verdict: Verdict::Report as u8,
            ..Suspect::default()
        };
        let at = |second: u32| SystemTime::UNIX_EPOCH + Duration::from_secs(second.into());
        SuspectRecord::new("192.0.2.9/32".parse().unwrap(), &suspect, at)
    }

    #[test]
    fn a_record_is_told_in_words() {
        let record = sample_record();
        assert_eq!(
            record.shown(),
            "5 failed first contacts with 3 or more addresses and one port, score 11.0"
        );
        assert_eq!(record.missing.as_deref(), Some("1 further addresses or ports, a score higher by 2.8"));
        assert_eq!(record.verdict, "report");
        let member = SuspectRecord { shared: 2, ..record }.shown();
        assert!(member.contains(" and one port, 2 of them in a distributed scan, score 11.0"), "{member}");
    }

    #[test]
    fn what_is_missing_to_a_fence_is_told() {
        let suspect = |failed, score, verdict: Verdict| Suspect {
            failed,
            score,
            verdict: verdict as u8,
            ..Suspect::default()
        };
        for (suspect, expected) in [
            (suspect(7, 1540, Verdict::Fence), None),
            (suspect(6, 1379, Verdict::Report), Some("a score higher by 0.1")),
            (suspect(5, 1400, Verdict::Report), Some("1 further addresses or ports")),
            (
                Suspect { hosts: 7, ports: 7, high: 9, ..suspect(9, 1980, Verdict::Report) },
                Some("it looks like a peer-to-peer program, which is only reported"),
            ),
        ] {
            assert_eq!(missing(&suspect).as_deref(), expected);
        }
    }

    #[test]
    fn the_memorys_state_is_told_in_words() {
        let count = ScanCount { suspects: 3, suspects_max: 1024, probation: 7, probation_max: 4096 };
        let memory = Memory { horizon: 86_400, is_full: false, count };
        assert_eq!(memory.horizon_shown(), "24 h");
        assert_eq!(memory.sources_shown(), "3 of 1024, 7 of 4096 on probation");
        let full = Memory { horizon: 900, is_full: true, count };
        assert_eq!(full.horizon_shown(), "15 min; full, so newcomers are forgotten (SCAN_MEMORY)");
    }
}
