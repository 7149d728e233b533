//! The settings that the daemon gives to the kernel program when it loads the program.
//!
//! State that changes while the program runs lives in maps.

use bytemuck::{Pod, Zeroable};

use crate::bucket;

/// Response to a source that reaches the trigger (`BLOCK_TCP`, `BLOCK_UDP`).
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// Report it; every packet passes.
    Report = 0,
    /// Enter the source in the blocked map.
    Block = 1,
}

/// Treatment of ACK and Maimon probes (`ACK_PROBES`).
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckProbes {
    /// Ignore them.
    Off = 0,
    /// Report them; they never cause a block.
    Report = 1,
    /// Count them like any other probe.
    Count = 2,
}

/// Treatment of a fenced source's SYN to an own address (`FENCE`).
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FencedSyns {
    /// It is dropped, or challenged at a watched port.
    Drop = 0,
    /// A served port receives it without its options, and the program answers for the others.
    Forward = 1,
    /// The program answers for all ports, and the kernel opens a connection on the acknowledgement
    /// (`bpf_sk_assign_tcp_reqsk`, Linux 6.9).
    Accept = 2,
}

/// Treatment of a fenced source's datagram outside any session (`FENCE_UDP`).
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FencedDatagrams {
    /// It is dropped.
    Drop = 0,
    /// A served port receives it, within the source's rate.
    Pass = 1,
}

/// Use of the answers that other hosts send through this one (`ANSWERS`).
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// None.
    Off = 0,
    /// They teach which ports are served, but decide nothing.
    Observe = 1,
    /// They decide whether a source is fenced.
    Enforce = 2,
}

impl core::fmt::Display for Answers {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        })
    }
}

/// Treatment of sources whose first contacts fail (`SCAN_DETECTION`): see [`crate::scan`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanDetection {
    /// They aren't counted.
    Off = 0,
    /// They are reported.
    Report = 1,
    /// They are reported, and then fenced.
    Fence = 2,
}

impl ScanDetection {
    /// Every value, with its word in the configuration.
    pub const WORDS: [(&str, Self); 3] =
        [("off", Self::Off), ("report", Self::Report), ("fence", Self::Fence)];

    /// Returns the word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize].0
    }
}

/// Read-only data of the kernel program.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Settings {
    /// Duration of a block in nanoseconds, or 0 for a permanent one.
    pub block_ns: u64,
    /// Duration of a fence in nanoseconds, or 0 if sources are blocked without proof.
    pub fence_ns: u64,
    /// Time for which repeats of the same source, port and kind are not reported, in nanoseconds (`REPEAT_WINDOW`).
    pub repeat_ns: u64,
    /// Length of a jiffy in nanoseconds.
    pub jiffy_ns: u64,
    /// Value of the jiffies counter at the origin of `CLOCK_MONOTONIC`.
    pub first_jiffy: u64,
    /// Time for which a source's tally and handshakes are kept after the last new one, in nanoseconds, or 0 for
    /// ever.
    pub tally_ns: u64,
    /// The bits by which IPv6 sources of one network differ (`IPV6_PREFIX`), as two words in wire order. 0 if each
    /// address counts separately.
    pub host_bits: [u64; 2],
    /// Time without a heartbeat of the daemon after which no packet is dropped, in nanoseconds, or 0 for never
    /// (`OPEN_AFTER`).
    pub open_after_ns: u64,
    /// This network namespace's cookie (`SO_NETNS_COOKIE`), because bind hooks run for all namespaces.
    pub netns: u64,
    /// Time for which a sent datagram keeps a session with its receiver open, in nanoseconds (`UDP_SESSION`).
    pub session_ns: u64,
    /// Events per second that each CPU may write to the ring (`EVENT_RATE`).
    pub event_rate: u32,
    /// Number of the probe on which to act (`SCAN_TRIGGER`; 0 and 1 mean the first).
    pub trigger: u32,
    /// A [`Response`].
    pub tcp_response: u8,
    /// A [`Response`].
    pub udp_response: u8,
    /// An [`AckProbes`].
    pub ack_probes: u8,
    /// 1 if a benign datagram or ACK lets others to its destination and port pass for a moment, 0 to check each
    /// packet.
    pub remembers: u8,
    /// New fences per second that each CPU may make (`FENCE_RATE`).
    pub fence_rate: u32,
    /// SYNs per second that each CPU may answer with a cookie, or 0 for none.
    pub challenge_rate: u32,
    /// Lowest port of this host's own outbound datagrams (`ip_local_port_range`).
    pub first_ephemeral: u32,
    /// Highest port of that range, or 0 if the range is unknown.
    pub last_ephemeral: u32,
    /// 1 if a port stays served for a while after its last socket was closed (`SERVED_GRACE`).
    pub keeps_served: u32,
    /// Protocols whose listed ports are traps that accept connections and datagrams (1.2's `-tcp` and `-udp`): bit
    /// 0 for TCP, bit 1 for UDP.
    pub traps: u32,
    /// Time after which a CPU regains the token for one event, in nanoseconds, or [`Settings::NEVER`] if it has
    /// none. [`Settings::paced`] computes it from the rates.
    pub event_each_ns: u32,
    /// Time after which a CPU regains the token for one fence.
    pub fence_each_ns: u32,
    /// Time after which a CPU regains the token for one answer.
    pub challenge_each_ns: u32,
    /// Number of distinct traps with which a source must complete handshakes before it is blocked (0 and 1 mean the
    /// first).
    pub proof_traps: u32,
    /// Length of the IPv6 network by which a source is counted and blocked (`IPV6_PREFIX`), or 0 for 128.
    pub prefix: u32,
    /// A [`FencedSyns`].
    pub fenced_syns: u8,
    /// A [`FencedDatagrams`].
    pub fenced_datagrams: u8,
    /// An [`Answers`].
    pub answers: u8,
    /// Number of refused connections at which a source is fenced (`FAILED_CONNECTIONS`).
    pub failed_connections: u8,
    /// SYNs of fenced sources per second that each CPU may answer or forward.
    pub syn_rate: u32,
    /// Time after which a CPU regains the token for one of these SYNs, in nanoseconds.
    pub syn_each_ns: u32,
    /// Time after which a fenced source regains the token for one packet, in nanoseconds, or 0 for no limit.
    pub source_each_ns: u32,
    /// A random number, without which a sender can't construct a question with the hash of another.
    pub question_key: u64,
    /// A random number, without which a sender can't choose the places that it takes in the memory of scans. It lasts
    /// as long as that memory.
    pub scan_key: u64,
    /// [`crate::scan::Pair::begin`] with that key. [`Settings::paced`] computes it.
    pub scan_begun: u64,
    /// Number of sets of suspects in the memory of scans, a power of two, less one: see
    /// [`crate::scan::memory::sets_in`].
    pub scan_mask: u32,
    /// A [`ScanDetection`].
    pub scans: u8,
    /// 1 if a SYN is noted: other hosts' answers teach, or scans are detected. [`Settings::paced`] computes it.
    pub notes_syns: u8,
    /// Always 0.
    pub reserved: [u8; 2],
}

const _: () = assert!(size_of::<Settings>() == 192);

impl Settings {
    /// The bit for TCP in [`Settings::traps`].
    pub const TCP_TRAPS: u32 = 1;
    /// The bit for UDP in [`Settings::traps`].
    pub const UDP_TRAPS: u32 = 2;

    /// The values in the object file until a loader writes the real ones.
    pub const UNSET: Self = Self {
        block_ns: 0,
        fence_ns: 0,
        repeat_ns: 0,
        tally_ns: 0,
        host_bits: [0; 2],
        jiffy_ns: 0,
        first_jiffy: 0,
        open_after_ns: 0,
        netns: 0,
        session_ns: 0,
        event_rate: 0,
        trigger: 0,
        tcp_response: 0,
        udp_response: 0,
        ack_probes: 0,
        remembers: 0,
        fence_rate: 0,
        challenge_rate: 0,
        first_ephemeral: 0,
        last_ephemeral: 0,
        keeps_served: 0,
        traps: 0,
        event_each_ns: Self::NEVER,
        fence_each_ns: Self::NEVER,
        challenge_each_ns: Self::NEVER,
        proof_traps: 0,
        prefix: 0,
        fenced_syns: 0,
        fenced_datagrams: 0,
        answers: 0,
        failed_connections: 0,
        syn_rate: 0,
        syn_each_ns: Self::NEVER,
        source_each_ns: 0,
        question_key: 0,
        scan_key: 0,
        scan_begun: 0,
        scan_mask: 0,
        scans: 0,
        notes_syns: 0,
        reserved: [0; 2],
    };

    /// The time for a token that never returns.
    pub const NEVER: u32 = bucket::NEVER;

    /// Returns the settings with the times computed from the rates, because a division per packet is too expensive, and
    /// other fields that follow from several settings.
    #[must_use]
    pub const fn paced(self) -> Self {
        Self {
            scan_begun: crate::scan::Pair::begin(self.scan_key),
            notes_syns: (self.learns() || self.detects_scans()) as u8,
            event_each_ns: bucket::each_ns(self.event_rate),
            fence_each_ns: bucket::each_ns(self.fence_rate),
            challenge_each_ns: bucket::each_ns(self.challenge_rate),
            syn_each_ns: bucket::each_ns(self.syn_rate),
            ..self
        }
    }

    /// Returns the settings with IPv6 sources counted by networks of this length.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each half of a number")]
    pub const fn held_by(self, prefix: u8) -> Self {
        if prefix >= 128 || prefix == 0 {
            return Self { host_bits: [0; 2], prefix: 0, ..self };
        }
        let bits = u128::MAX >> prefix;
        let host_bits = [((bits >> 64) as u64).to_be(), (bits as u64).to_be()];
        Self { host_bits, prefix: prefix as u32, ..self }
    }

    /// Whether the listed ports of `protocol` are traps that accept connections or datagrams.
    #[inline(always)]
    #[must_use]
    pub const fn is_trap(&self, protocol: crate::classify::Protocol) -> bool {
        let bit = match protocol {
            crate::classify::Protocol::Tcp => Self::TCP_TRAPS,
            crate::classify::Protocol::Udp => Self::UDP_TRAPS,
        };
        self.traps & bit != 0
    }

    /// Whether the kernel may assign `port` to a socket that requests no port.
    #[inline(always)]
    #[must_use]
    pub const fn is_ephemeral(&self, port: u16) -> bool {
        self.first_ephemeral <= port as u32 && port as u32 <= self.last_ephemeral
    }

    /// Whether a source without proof is fenced rather than blocked.
    #[inline(always)]
    #[must_use]
    pub const fn fences(&self) -> bool {
        self.fence_ns != 0
    }

    /// Whether a fenced source's SYN to an own address is answered on every port.
    #[inline(always)]
    #[must_use]
    pub const fn opens(&self) -> bool {
        self.fenced_syns != FencedSyns::Drop as u8
    }

    /// Whether the kernel opens a connection on an acknowledgement of the program's answer.
    #[inline(always)]
    #[must_use]
    pub const fn accepts(&self) -> bool {
        self.fenced_syns == FencedSyns::Accept as u8
    }

    /// Whether other hosts' answers teach.
    #[inline(always)]
    #[must_use]
    pub const fn learns(&self) -> bool {
        self.answers != Answers::Off as u8
    }

    /// Whether a SYN is noted: [`Settings::notes_syns`].
    #[inline(always)]
    #[must_use]
    pub const fn notes_syns(&self) -> bool {
        self.notes_syns != 0
    }

    /// Whether failed first contacts are counted.
    #[inline(always)]
    #[must_use]
    pub const fn detects_scans(&self) -> bool {
        self.scans != ScanDetection::Off as u8
    }

    /// Whether sources are fenced for their failed first contacts. They are never blocked for them.
    #[inline(always)]
    #[must_use]
    pub const fn fences_scans(&self) -> bool {
        self.scans == ScanDetection::Fence as u8
            && self.fences()
            && self.blocks(crate::classify::Protocol::Tcp)
    }

    /// Whether other hosts' answers decide. Without fences they don't, because a failed connection proves nothing
    /// about its source, so it must not be blocked.
    #[inline(always)]
    #[must_use]
    pub const fn enforces_answers(&self) -> bool {
        self.answers == Answers::Enforce as u8 && self.fences()
    }

    /// Whether fences and blocks are enforced at `now_ns`, given the time of the daemon's last heartbeat, both in
    /// nanoseconds of `CLOCK_MONOTONIC`: see `OPEN_AFTER`. Without a daemon, blocks can't be lifted.
    #[inline(always)]
    #[must_use]
    pub const fn is_enforced(&self, now_ns: u64, heartbeat_ns: u64) -> bool {
        // The heartbeat may be later than `now_ns`, whose resolution is a tick.
        self.open_after_ns == 0 || now_ns.saturating_sub(heartbeat_ns) < self.open_after_ns
    }

    /// Returns the number of served ports that a source may have in advance of its failures.
    #[inline(always)]
    #[must_use]
    pub const fn served_credit(&self) -> u32 {
        self.failed_connections() - 1
    }

    /// Returns the number of failed connections at which a source is fenced, at least one.
    #[inline(always)]
    #[must_use]
    pub const fn failed_connections(&self) -> u32 {
        if self.failed_connections == 0 { 1 } else { self.failed_connections as u32 }
    }

    /// Whether a source that reaches the trigger by `protocol` is blocked.
    #[inline(always)]
    #[must_use]
    pub const fn blocks(&self, protocol: crate::classify::Protocol) -> bool {
        let response = match protocol {
            crate::classify::Protocol::Tcp => self.tcp_response,
            crate::classify::Protocol::Udp => self.udp_response,
        };
        response == Response::Block as u8
    }
}
