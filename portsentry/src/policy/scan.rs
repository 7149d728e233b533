//! The evidence of a scan that avoids traps: the first contacts of its source that failed.

use std::fmt;

use portsentry_common::{
    block::{Block, Origin},
    scan::{Evidence, FENCE, FENCE_PAIRS, REPORT, Shape},
};
use serde::{Deserialize, Serialize};

/// Kinds of scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ScanKind {
    /// Several ports, at any pace.
    Slow,
    /// One port, or a few, of many addresses.
    Sweep,
    /// One port of many addresses, by many sources.
    Distributed,
}

impl ScanKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Slow, Self::Sweep, Self::Distributed];

    /// Returns the kind of which a history line's reason begins with the name.
    #[must_use]
    pub fn of_reason(reason: &str) -> Option<Self> {
        let (name, _) = reason.split_once(": ")?;
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the kind of the scan that led to a fence, or `None` if none did.
    #[must_use]
    pub const fn of_fence(fence: &Block) -> Option<Self> {
        if fence.origin != Origin::Scan as u8 {
            return None;
        }
        Some(if fence.form & Evidence::SWEEP != 0 { Self::Sweep } else { Self::Slow })
    }

    /// Returns the name in log, events, history and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow scan",
            Self::Sweep => "sweep",
            Self::Distributed => "distributed scan",
        }
    }
}

/// The evidence against a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// Number of distinct failed pairs of address and port, at most 255.
    pub pairs: u8,
    /// Seconds from the first to the last of them.
    pub span: u32,
    /// The score.
    pub score: Score,
    /// Whether they are at one port, or a few ports, of many addresses.
    pub is_sweep: bool,
    /// Whether they are at as many high ports as addresses, like those of a peer-to-peer program. Such a source is
    /// only reported.
    pub is_peer: bool,
    /// The shape of the SYN, if it is one of the source's first failures.
    #[serde(skip)]
    pub shape: Option<Shape>,
}

impl Scan {
    /// Returns the [`Evidence::form`].
    #[must_use]
    pub const fn form(&self) -> u8 {
        let is_sweep = if self.is_sweep { Evidence::SWEEP } else { 0 };
        is_sweep | if self.is_peer { Evidence::PEER } else { 0 }
    }

    /// Returns its kind.
    #[must_use]
    pub const fn kind(&self) -> ScanKind {
        if self.is_sweep { ScanKind::Sweep } else { ScanKind::Slow }
    }

    /// Whether `SCAN_DETECTION="fence"` fences the source.
    #[must_use]
    pub const fn is_enough(&self) -> bool {
        self.score.0 >= FENCE && self.pairs >= FENCE_PAIRS && !self.is_peer
    }
}

impl From<Evidence> for Scan {
    fn from(evidence: Evidence) -> Self {
        Self {
            pairs: evidence.failed,
            span: evidence.span,
            score: Score(evidence.score),
            is_sweep: evidence.is_sweep(),
            is_peer: evidence.is_peer(),
            shape: evidence.shape(),
        }
    }
}

/// Formats the evidence, such as `6 failed first contacts within 42 s, score 15.4`.
impl fmt::Display for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, span, score, .. } = self;
        write!(f, "{pairs} failed first contacts within {}, score {score}", Span(*span))
    }
}

/// A score, in hundredths of a natural logarithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(pub i16);

impl Score {
    /// The score from which a source is reported.
    pub const REPORT: Self = Self(REPORT);
    /// The score from which a source is fenced.
    pub const FENCE: Self = Self(FENCE);

    /// Returns the score as a number.
    #[must_use]
    pub fn number(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.number())
    }
}

impl Serialize for Score {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.number())
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hundredths = (f64::deserialize(deserializer)? * 100.0).round();
        #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
        Ok(Self(hundredths as i16))
    }
}

/// A time in seconds, in the largest unit of which it has at least two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub u32);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds @ 0..120 => write!(f, "{seconds} s"),
            seconds @ 120..7200 => write!(f, "{} min", seconds / 60),
            seconds => write!(f, "{} h", seconds / 3600),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns the evidence of a sweep.
    pub(crate) fn sample_scan() -> Scan {
        Scan { pairs: 6, span: 42, score: Score(1540), is_sweep: true, is_peer: false, shape: None }
    }

    #[test]
    fn evidence_is_told_in_words() {
        for (span, expected) in [
            (42, "6 failed first contacts within 42 s, score 15.4"),
            (119, "6 failed first contacts within 119 s, score 15.4"),
            (150, "6 failed first contacts within 2 min, score 15.4"),
            (7200, "6 failed first contacts within 2 h, score 15.4"),
        ] {
            assert_eq!(Scan { span, ..sample_scan() }.to_string(), expected);
        }
    }

    #[test]
    fn a_kind_follows_from_the_form() {
        for (form, kind) in [(0, "slow scan"), (Evidence::SWEEP, "sweep"), (Evidence::PEER, "slow scan")] {
            let scan = Scan::from(Evidence { form, ..Evidence::default() });
            assert_eq!(scan.kind().name(), kind);
        }
    }

    #[test]
    fn scores_are_written_and_read() {
        for score in [Score(-300), Score(0), Score::REPORT, Score::FENCE, Score(i16::MAX)] {
            let text = serde_json::to_string(&score).unwrap();
            assert_eq!(serde_json::from_str::<Score>(&text).unwrap(), score, "{text}");
        }
    }
}
