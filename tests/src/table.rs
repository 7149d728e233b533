//! The table of packets and expected outcomes: stories of one or more packets, each from its own source.

mod above;
mod ends;
mod ipv4;
mod ipv6;
mod link;
mod malformed;
mod served;
mod settings;
mod sockets;
mod transport;

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

/// The whole table.
#[must_use]
pub fn chapters() -> Vec<Chapter> {
    let default = [
        ("Ethernet", link::stories()),
        ("IPv4", ipv4::stories()),
        ("IPv6", ipv6::stories()),
        ("TCP and UDP", transport::stories()),
        ("malformed packets", malformed::stories()),
        ("sources and destinations", ends::stories()),
        ("sockets", sockets::stories()),
    ];
    let default = default.map(|(what, stories)| Chapter { what, scenario: Scenario::default(), stories });
    default
        .into_iter()
        .chain(settings::chapters())
        .chain(served::chapters())
        .chain(above::chapters())
        .collect()
}

/// A packet, and its expected outcome.
fn story(what: &'static str, packet: Packet, expected: Expected) -> Story {
    Story { what, steps: vec![(packet, expected)] }
}

/// Packets, and their expected outcomes.
fn series<const N: usize>(what: &'static str, steps: [(Packet, Expected); N]) -> Story {
    Story { what, steps: steps.into() }
}
