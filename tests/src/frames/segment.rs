//! The content behind the IP headers.

/// The content behind the IP headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// TCP with these control bits.
    Tcp(u8),
    /// UDP.
    Udp,
    /// Another protocol, by its number.
    Other(u8),
}

/// The TCP checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// 0.
    Zero,
    /// That of the whole segment.
    Right,
    /// That of the pseudo-header alone, to be completed by a network card.
    Partial,
}
