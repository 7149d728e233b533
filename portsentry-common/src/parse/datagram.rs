//! The network layer of a packet.

/// The part of an IP datagram that a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// All of it. Includes IPv6 atomic fragments (RFC 6946).
    Whole,
    /// Its beginning.
    First,
    /// A later part, which has no transport header.
    Later,
}

/// The network layer of a packet whose source is already known.
///
/// The first field is an octet, because in a `Result` it has the same place as the error. With the address there,
/// the compiler would process the address octet by octet everywhere.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<A> {
    /// Number of the transport protocol.
    pub protocol: u8,
    /// Destination address.
    pub destination: A,
    /// Offset of the transport header, in bytes from the start of the frame.
    pub transport: usize,
    /// Number of bytes of transport header and payload in this packet.
    pub remaining: usize,
    /// The part of a datagram in this packet.
    pub fragment: Fragment,
    /// Whether IPv4 options, or IPv6 extension headers other than a fragment header, are present.
    pub options: bool,
    /// Time to live, or hop limit.
    pub ttl: u8,
}
