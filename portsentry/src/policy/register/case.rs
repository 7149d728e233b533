//! What effects are about: a network that is held, let go or left alone, and why.

use std::time::SystemTime;

use super::{
    super::{Record, Sighting},
    Admission, Release,
};

/// Why a network is held, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why<'a> {
    /// As the cause has it.
    Usual,
    /// In other words of ours.
    Ours(&'static str),
    /// In an administrator's words.
    Given(&'a str),
}

impl<'a> Why<'a> {
    /// In an administrator's words, or else in these of ours.
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

/// What effects are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The network, and what it is or was held by.
    pub record: Record,
    /// The probe that led to it, where that is known.
    pub sighting: Option<Sighting>,
    /// The name of the cause.
    pub cause: &'static str,
    /// Why, in words.
    pub reason: String,
    /// Those words are an administrator's own.
    pub is_given: bool,
    /// When it was held or let go.
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
        Self { record, sighting, cause: cause.name(), reason, is_given, time }
    }

    /// A network that is let go at `time` for `cause`, which `reason` has in words.
    #[must_use]
    pub fn let_go(cause: Release, record: Record, reason: &str, time: SystemTime) -> Self {
        let reason = reason.to_owned();
        Self { record, sighting: None, cause: cause.name(), reason, is_given: false, time }
    }

    /// A probe that leads into no block or fence.
    #[must_use]
    pub fn probe(sighting: &Sighting) -> Self {
        let record = sighting.record();
        Self::held(Admission::Sighting, record, Some(sighting), Why::Usual)
    }

    /// The words that an administrator gave for it, if any.
    #[must_use]
    pub fn given(&self) -> Option<&str> {
        self.is_given.then_some(self.reason.as_str())
    }
}
