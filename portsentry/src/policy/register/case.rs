//! A case: the subject of effects, which is a network that is held, released or only reported, with the reason.

use std::time::SystemTime;

use super::{
    super::{BlockId, Record, Sighting},
    Admission, Release,
};

/// The reason in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why<'a> {
    /// The cause's own words.
    Usual,
    /// Other words of ours.
    Ours(&'static str),
    /// An administrator's words.
    Given(&'a str),
}

impl<'a> Why<'a> {
    /// An administrator's words, or else these.
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
    /// When it was held or released.
    pub time: SystemTime,
}

impl Case {
    /// A network that is held for `cause`.
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

    /// A network that is released at `time` for `cause`, with the `reason` in words.
    #[must_use]
    pub fn let_go(cause: Release, record: Record, reason: &str, time: SystemTime) -> Self {
        let reason = reason.to_owned();
        Self { record, id: None, sighting: None, cause: cause.name(), reason, is_given: false, time }
    }

    /// The same with the id of the block or fence.
    #[must_use]
    pub fn with_id(self, id: Option<BlockId>) -> Self {
        Self { id, ..self }
    }

    /// A probe that causes neither block nor fence.
    #[must_use]
    pub fn probe(sighting: &Sighting) -> Self {
        let record = sighting.record();
        Self::held(Admission::Sighting, record, Some(sighting), Why::Usual)
    }

    /// Returns the administrator's words, if any.
    #[must_use]
    pub fn given(&self) -> Option<&str> {
        self.is_given.then_some(self.reason.as_str())
    }
}
