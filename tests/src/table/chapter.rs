//! Chapters of the table, and their stories.

use crate::{expect::Expected, frames::Packet, scenario::Scenario};

/// Packets of one source in order, with the expected outcome of each.
#[derive(Clone, Debug)]
pub struct Story {
    /// The rule, as a sentence.
    pub what: &'static str,
    /// The packets.
    pub steps: Vec<(Packet, Expected)>,
}

/// Stories of one subject, under the same settings.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// The subject.
    pub what: &'static str,
    /// The settings.
    pub scenario: Scenario,
    /// In no particular order. Story n, counted from 1, is sent from seat n.
    pub stories: Vec<Story>,
}

impl Chapter {
    /// Returns the stories, each with its seat.
    pub fn seated(&self) -> impl Iterator<Item = (u8, &Story)> {
        // Higher seats belong to peers and ignored networks (see `test_host`).
        assert!(self.stories.len() < 200, "chapter \"{}\" has more stories than seats", self.what);
        (1..).zip(&self.stories)
    }
}

/// A packet, and its expected outcome.
pub(super) fn story(what: &'static str, packet: Packet, expected: Expected) -> Story {
    Story { what, steps: vec![(packet, expected)] }
}

/// Packets, and their expected outcomes.
pub(super) fn series<const N: usize>(what: &'static str, steps: [(Packet, Expected); N]) -> Story {
    Story { what, steps: steps.into() }
}
