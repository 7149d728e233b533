//! The bitmaps of watched ports, by name.

/// The port bitmaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// `TCP_PORTS`.
    ListedTcp,
    /// `UDP_PORTS`.
    ListedUdp,
    /// `ADVANCED_PORTS_TCP` without its exclusions.
    AdvancedTcp,
    /// `ADVANCED_PORTS_UDP` without its exclusions.
    AdvancedUdp,
    /// `ADVANCED_EXCLUDE_TCP`: ports where a fenced source's SYN reaches the network stack.
    ExcludedTcp,
}

impl Watched {
    pub(super) const fn map(self) -> &'static str {
        match self {
            Self::ListedTcp => "WATCHED_TCP",
            Self::ListedUdp => "WATCHED_UDP",
            Self::AdvancedTcp => "ADVANCED_TCP",
            Self::AdvancedUdp => "ADVANCED_UDP",
            Self::ExcludedTcp => "EXCLUDED_TCP",
        }
    }
}
