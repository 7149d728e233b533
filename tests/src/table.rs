//! The table of packets and expected outcomes: stories of one or more packets, each from its own source.

mod above;
mod blocked;
mod chapter;
mod contacts;
mod counting;
mod ends;
mod fenced;
mod ipv4;
mod ipv6;
mod link;
mod malformed;
mod open;
mod reports;
mod sent;
mod served;
mod sockets;
mod targets;
mod transport;

pub use chapter::{Chapter, Story};

use crate::scenario::Scenario;

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
        .chain(counting::chapters())
        .chain(reports::chapters())
        .chain(blocked::chapters())
        .chain(fenced::chapters())
        .chain(served::chapters())
        .chain(above::chapters())
        .chain(open::chapters())
        .chain(sent::chapters())
        .chain(contacts::chapters())
        .collect()
}
