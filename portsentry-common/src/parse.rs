//! Parses a frame: Ethernet with VLAN tags and PPPoE, IPv4, IPv6 with its extension headers, TCP, UDP.
//!
//! Headers are parsed in the order in which they can be trusted. First comes the link layer. The source address
//! alone is next, because packets of a blocked source are dropped whatever follows. Then comes the rest.

#![allow(
    clippy::cast_possible_truncation,
    reason = "a header's fields are extracted from its words by truncation"
)]

mod chain;
mod datagram;
mod deep;
mod ethernet;
mod family;
mod header;
mod ipv4;
mod ipv6;
mod link;
mod malformed;
mod plain;
mod progress;
mod protocol;
mod transport;

pub use chain::MAX_EXTENSIONS;
pub use datagram::{Datagram, Fragment};
pub use deep::MAX_TAGS;
pub use ethernet::link;
pub(crate) use ethernet::near_link;
pub use family::Parse;
pub(crate) use link::{CUSTOMER_TAG, ETHERTYPE, IPV4, IPV6, TAG};
pub use link::{ETHERNET, Link, Network};
pub use malformed::Malformed;
pub use plain::{IP, Plain};
pub use progress::{Chain, Deep};
pub use protocol::{TCP, UDP};
pub use transport::{TcpControl, TcpFlags, Transport};
