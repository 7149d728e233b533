//! The kernel program's counters.

use bytemuck::{Pod, Zeroable};

/// Defines [`Counter`], and [`Counters`] with a field for each in the same order.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident => $field:ident,)+) => {
        /// The counters; a number is the field's index in [`Counters`].
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Counter {
            $($(#[doc = $doc])+ $name,)+
        }

        /// The counters of one CPU. `bpftool map dump` prints these names.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $field: u64,)+
        }

        /// Every counter with its field's name and its meaning, in order.
        pub const COUNTERS: &[(Counter, &str, &str)] =
            &[$((Counter::$name, stringify!($field), concat!($($doc),+)),)+];
    };
}

counters! {
    /// Probes of any kind to a watched port, whatever the verdict.
    Probes => probes,
    /// SYN probes.
    Syn => syn,
    /// FIN probes.
    Fin => fin,
    /// NULL probes.
    Null => null,
    /// XMAS probes.
    Xmas => xmas,
    /// Probes with flags that no stack sends.
    Unknown => unknown,
    /// Maimon probes (FIN with ACK outside any connection).
    Maimon => maimon,
    /// ACK probes.
    Ack => ack,
    /// Tiny first fragments.
    Fragment => fragment,
    /// UDP probes.
    Udp => udp,
    /// IPv6 packets whose extension headers hide their transport header.
    Chain => chain,
    /// Packets dropped because their source is blocked.
    Dropped => dropped,
    /// Probes dropped because they reached the trigger, or because the blocked map was full.
    DroppedProbes => dropped_probes,
    /// Packets to a watched port that belong to a service or connection of this host.
    Served => served,
    /// Probes of ignored sources.
    Ignored => ignored,
    /// Probes whose source address cannot be a single host's.
    Implausible => implausible,
    /// Sources entered in the blocked maps.
    Blocked => blocked,
    /// Sources that could not be entered because a blocked map was full.
    BlockedFull => blocked_full,
    /// Sources entered in the fenced maps.
    Fenced => fenced,
    /// Probes that did not fence their source: `FENCE_RATE` exceeded.
    OverFences => over_fences,
    /// Packets of fenced sources dropped because they could open a connection.
    DroppedFenced => dropped_fenced,
    /// Packets of fenced sources that passed because they belong to a connection or answer this host.
    PassedFenced => passed_fenced,
    /// SYNs of fenced sources that were neither answered nor passed: the source's own rate, or this second's, was used up.
    OverSyns => over_syns,
    /// SYNs answered with a cookie.
    Answered => answered,
    /// Sources proven by acknowledging a cookie.
    Proven => proven,
    /// Acknowledgements of fenced sources that acknowledged no cookie.
    Unproven => unproven,
    /// SYNs and datagrams handed to the daemon's own sockets.
    Steered => steered,
    /// Probes reported to the daemon.
    Reported => reported,
    /// Probes not reported: the same source, port and kind was reported within `REPEAT_WINDOW`.
    Repeated => repeated,
    /// Probes not reported: `EVENT_RATE` exceeded.
    OverRate => over_rate,
    /// Probes not reported: the ring was full.
    RingFull => ring_full,
    /// Other hosts' ports learned as served.
    LearnedServed => learned_served,
    /// Other hosts' ports learned as refused.
    LearnedRefused => learned_refused,
    /// Refused connections and datagrams to other hosts' ports.
    FailedConnections => failed_connections,
    /// Connections and datagrams of sources with `FAILED_CONNECTIONS` failures: with `ANSWERS="observe"` they passed.
    OverFailures => over_failures,
    /// Answers to fenced sources that were not forwarded.
    Withheld => withheld,
    /// Failed first contacts of sources with distinct addresses and ports.
    FailedContacts => failed_contacts,
    /// Failed first contacts that were forgotten: no room in the memory of scans.
    ScanNoRoom => scan_no_room,
    /// Sources reported for their failed first contacts.
    ScanReports => scan_reports,
    /// Sources fenced for their failed first contacts.
    ScanFences => scan_fences,
    /// Frames that end within their link layer, or have more VLAN tags than are read.
    MalformedLink => malformed_link,
    /// Impossible or truncated IPv4 headers.
    MalformedIpv4 => malformed_ipv4,
    /// Impossible or truncated IPv6 headers.
    MalformedIpv6 => malformed_ipv6,
    /// Packets to addresses other than our own whose IPv6 extension headers hide the transport header.
    MalformedExtensions => malformed_extensions,
    /// Impossible or truncated TCP headers.
    MalformedTcp => malformed_tcp,
    /// Impossible or truncated UDP headers.
    MalformedUdp => malformed_udp,
}

const _: () = assert!(size_of::<Counters>() == COUNTERS.len() * 8);

impl Counters {
    /// Returns the count of `counter`.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        let words: &[u64] = bytemuck::cast_slice(core::slice::from_ref(self));
        words.get(counter as usize).copied().unwrap_or_default()
    }

    /// Returns the sums of two CPUs' counters.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        let sums: &mut [u64] = bytemuck::cast_slice_mut(core::slice::from_mut(&mut self));
        let words: &[u64] = bytemuck::cast_slice(core::slice::from_ref(other));
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(*word);
        }
        self
    }
}

impl From<crate::parse::Malformed> for Counter {
    #[inline(always)]
    fn from(cause: crate::parse::Malformed) -> Self {
        use crate::parse::Malformed;
        match cause {
            Malformed::Link => Self::MalformedLink,
            Malformed::Ipv4 => Self::MalformedIpv4,
            Malformed::Ipv6 => Self::MalformedIpv6,
            Malformed::Extensions => Self::MalformedExtensions,
            Malformed::Tcp => Self::MalformedTcp,
            Malformed::Udp => Self::MalformedUdp,
        }
    }
}

impl From<crate::classify::Kind> for Counter {
    #[inline(always)]
    fn from(kind: crate::classify::Kind) -> Self {
        use crate::classify::Kind;
        match kind {
            Kind::Syn | Kind::Connect => Self::Syn,
            Kind::Fin => Self::Fin,
            Kind::Null => Self::Null,
            Kind::Xmas => Self::Xmas,
            Kind::Unknown => Self::Unknown,
            Kind::Maimon => Self::Maimon,
            Kind::Ack => Self::Ack,
            Kind::Fragment => Self::Fragment,
            Kind::Udp => Self::Udp,
            Kind::Chain => Self::Chain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_its_field() {
        let counters = Counters { dropped: 7, malformed_udp: 9, ..Counters::zeroed() };
        assert_eq!(counters.get(Counter::Dropped), 7);
        assert_eq!(counters.get(Counter::MalformedUdp), 9);
        assert_eq!(counters.plus(&counters).get(Counter::Dropped), 14);
    }
}
