//! A case: the subject of effects, which is a network that is blocked, fenced, released or only reported, with the
//! reason.

use std::time::SystemTime;

use super::{
    super::{BlockId, Record, Sighting},
    Admission, Release,
};

/// The reason in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why<'a> {
    /// The usual words for the cause.
    Usual,
    /// Other words of PortSentry.
    Ours(&'static str),
    /// An administrator's words.
    Given(&'a str),
}

impl<'a> Why<'a> {
    /// Returns the administrator's words, or else these.
    #[must_use]
    pub fn given_or(given: Option<&'a str>, ours: &'static str) -> Self {
        given.map_or(Self::Ours(ours), Self::Given)
    }
}

impl<'a> From<Option<&'a str>> for Why<'a> {
    fn from(given: Option<&'a str>) -> Self {
        given.map_or(Self::Usual, Self::Given)
    }
}

/// The subject of effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The network, and its entry.
    pub record: Record,
    /// The id of its block or fence, if it has one.
    pub id: Option<BlockId>,
    /// The probe that caused it, if known.
    pub sighting: Option<Sighting>,
    /// The name of the cause.
    pub cause: &'static str,
    /// The reason, in words.
    pub reason: String,
    /// Whether these are an administrator's own words.
    pub is_given: bool,
    /// Time of the block, fence or release.
    pub time: SystemTime,
}

impl Case {
    /// Creates the case of a network that is blocked or fenced for `cause`.
    #[must_use]
    pub fn held(cause: Admission, record: Record, sighting: Option<&Sighting>, why: Why<'_>) -> Self {
        let reason = match why {
            Why::Usual => cause.reason(&record, sighting),
            Why::Ours(reason) | Why::Given(reason) => reason.to_owned(),
        };
        let is_given = matches!(why, Why::Given(_));
        let time = record.hold.since;
        let sighting = sighting.cloned();
        Self { record, id: None, sighting, cause: cause.name(), reason, is_given, time }
    }

    /// Creates the case of a network that is released at `time` for `cause`, with the `reason` in words.
    #[must_use]
    pub fn let_go(cause: Release, record: Record, reason: &str, time: SystemTime) -> Self {
        let reason = reason.to_owned();
        Self { record, id: None, sighting: None, cause: cause.name(), reason, is_given: false, time }
    }

    /// Returns the case with the id of its block or fence.
    #[must_use]
    pub fn with_id(self, id: Option<BlockId>) -> Self {
        Self { id, ..self }
    }

    /// Creates the case of a probe that causes neither a block nor a fence.
    #[must_use]
    pub fn probe(sighting: &Sighting) -> Self {
        let record = sighting.record();
        Self::held(Admission::of(sighting), record, Some(sighting), Why::Usual)
    }

    /// Returns the administrator's words, if any.
    #[must_use]
    pub fn given(&self) -> Option<&str> {
        self.is_given.then_some(self.reason.as_str())
    }
}
