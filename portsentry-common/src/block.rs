//! Entries of the blocked and fenced maps.

use bytemuck::{Pod, Zeroable};

/// The origin of a block. The numbers cross the kernel boundary.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The kernel program: the source reached the trigger.
    Trigger = 1,
    /// The blocked file: an earlier run, or an administrator's line.
    File = 2,
    /// The block list.
    List = 3,
    /// The kernel program: the source's first contacts failed (`SCAN_DETECTION`). Only fences have it.
    Scan = 4,
    /// Another gateway of the fleet.
    Peer = 5,
}

impl TryFrom<u8> for Origin {
    type Error = u8;

    fn try_from(number: u8) -> Result<Self, u8> {
        match number {
            1 => Ok(Self::Trigger),
            2 => Ok(Self::File),
            3 => Ok(Self::List),
            4 => Ok(Self::Scan),
            5 => Ok(Self::Peer),
            other => Err(other),
        }
    }
}

/// Proof that the source itself sent the packets for which it is blocked or fenced. The numbers cross the kernel
/// boundary.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proof {
    /// None: the address may be spoofed. Such a source is fenced, or blocked if the configuration requires no
    /// proof.
    None = 0,
    /// It acknowledged a cookie: it received PortSentry's answer to its SYN and completed the handshake.
    Cookie = 1,
    /// It completed a connection to a trap.
    Connection = 2,
    /// An administrator blocked it.
    Administrator = 3,
}

impl TryFrom<u8> for Proof {
    type Error = u8;

    fn try_from(number: u8) -> Result<Self, u8> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Cookie),
            2 => Ok(Self::Connection),
            3 => Ok(Self::Administrator),
            other => Err(other),
        }
    }
}

impl Proof {
    /// Returns the name for programs: in `$PROOF$`, events and the evidence file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cookie => "cookie",
            Self::Connection => "connection",
            Self::Administrator => "administrator",
        }
    }

    /// Returns the name for people: in the log and in tables.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Cookie => "completed handshake",
            Self::Connection => "completed connection",
            Self::None | Self::Administrator => self.name(),
        }
    }

    /// Returns the proof with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::None, Self::Cookie, Self::Connection, Self::Administrator];
        all.into_iter().find(|proof| proof.name() == name)
    }
}

/// A blocked or fenced source, with reason, start and end. `bpftool map dump` prints these names. Later versions
/// may only add fields at the end, because they take over the entries of earlier versions.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Block {
    /// Time of the block in nanoseconds of `CLOCK_MONOTONIC`; negative if before the machine started.
    pub since_ns: i64,
    /// End of the block in nanoseconds of `CLOCK_MONOTONIC`, or 0 for never.
    pub until_ns: u64,
    /// Number of packets dropped since then.
    pub dropped: u64,
    /// Number of probes counted up to the block.
    pub hits: u32,
    /// Index of the interface that received the last probe. In a peer's entry, the peer's number.
    pub interface: u32,
    /// Port of the last probe, in host byte order.
    pub port: u16,
    /// IP protocol number of the last probe.
    pub protocol: u8,
    /// A [`crate::classify::Kind`].
    pub kind: u8,
    /// TCP's control bits as received.
    pub flags: u8,
    /// An [`Origin`].
    pub origin: u8,
    /// 1 once the daemon has written the block to its files. If the line is missing later, an administrator has
    /// lifted the block.
    pub mirrored: u8,
    /// A [`Proof`].
    pub proof: u8,
    /// Length of the blocked IPv6 network, whose first address is the key. 0 for a single address, and in entries
    /// of earlier versions.
    pub prefix: u8,
    /// In a fence for a scan ([`Origin::Scan`]): the [`crate::scan::Evidence::form`]. Otherwise 0.
    pub form: u8,
    /// In a fence: the time when its source may again send the full number of wrong acknowledgements (see
    /// [`crate::pace`]).
    pub guessed: u16,
    /// In a fence: the time when its source's own rate limit is fully available again (see [`crate::pace`]).
    pub paced: u32,
}

const _: () = assert!(size_of::<Block>() == 48);

impl Block {
    /// Whether the block has ended at `now_ns` of `CLOCK_MONOTONIC`.
    #[inline(always)]
    #[must_use]
    pub const fn is_over(&self, now_ns: u64) -> bool {
        self.until_ns != 0 && now_ns >= self.until_ns
    }
}
