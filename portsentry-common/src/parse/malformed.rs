//! The reasons why a frame can't be parsed.

/// Reasons why a frame can't be parsed. Each is counted, and the frame passes unless its source is blocked or
/// fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The frame ends within its link layer, or has more than [`super::MAX_TAGS`] VLAN tags.
    Link,
    /// IPv4 version, header length or total length contradict each other or the frame (RFC 791).
    Ipv4,
    /// IPv6 version or payload length contradict each other or the frame (RFC 8200).
    Ipv6,
    /// The IPv6 extension headers run past the packet, or there are more than [`super::MAX_EXTENSIONS`].
    Extensions,
    /// The TCP header is cut short or its data offset is impossible (RFC 9293).
    Tcp,
    /// The UDP header is cut short or its length is impossible (RFC 768).
    Udp,
}
