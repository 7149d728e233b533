//! The oracle's knowledge of the host and of sources.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    time::Duration,
};

use ipnet::IpNet;
use portsentry::kernel::monotonic_ns;
use portsentry_common::{
    block::Block,
    classify::Protocol,
    environment::Locality,
    settings::{FencedSyns, Settings},
};

use super::{
    contacts::Contacts,
    memory::{Heard, Learned},
    seen::Seen,
};
use crate::{scenario::Scenario, test_host};

/// The oracle's knowledge of the host and of sources.
#[derive(Clone, Debug)]
pub struct Oracle {
    pub(super) scenario: Scenario,
    pub(super) local: BTreeMap<IpNet, Locality>,
    pub(super) ignored: Vec<IpNet>,
    /// Includes expired blocks, as the map does.
    pub(super) blocked: BTreeMap<IpAddr, Block>,
    pub(super) now_ns: u64,
    /// The ends of fences, in nanoseconds.
    pub(super) fenced: BTreeMap<IpAddr, u64>,
    pub(super) fences_left: u32,
    /// For each source, the number of addresses and ports that it has probed, and the last of them.
    pub(super) probed: BTreeMap<IpAddr, (u32, VecDeque<(IpAddr, u16)>)>,
    pub(super) told: BTreeSet<(IpAddr, u16, u8)>,
    pub(super) learned: Learned,
    /// The first contacts of each source.
    pub(super) contacts: BTreeMap<IpAddr, Contacts>,
    pub(super) heard: Heard,
}

impl Oracle {
    /// Returns the state before the first frame.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            local: test_host::local(),
            ignored: test_host::ignored().into_keys().collect(),
            blocked: scenario.blocked.iter().copied().collect(),
            now_ns: monotonic_ns().unsigned_abs(),
            fenced: BTreeMap::new(),
            fences_left: scenario.settings.fence_rate,
            probed: BTreeMap::new(),
            told: BTreeSet::new(),
            learned: Learned::default(),
            contacts: BTreeMap::new(),
            heard: Heard::default(),
            scenario: scenario.clone(),
        }
    }

    /// Lets time pass. A new program takes over the maps, so that questions are forgotten.
    pub fn pass_time(&mut self, by: Duration) {
        self.now_ns += u64::try_from(by.as_nanos()).expect("a time");
        self.learned.asked.clear();
        self.heard = Heard::default();
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.scenario.settings
    }

    /// Whether to fail open: `OPEN_AFTER` is set, and the daemon never wrote a heartbeat.
    pub(super) fn is_abandoned(&self) -> bool {
        self.settings().open_after_ns > 0
    }

    /// Whether the source's own block, which counts dropped packets, or the narrowest network around it is in
    /// force. An ignored source is blocked only by its own block.
    pub(super) fn is_blocked(&mut self, source: IpAddr) -> bool {
        let is_over = |block: &Block| block.until_ns != 0 && block.until_ns <= self.now_ns;
        let keys = [self.held(source).0, source];
        for key in keys {
            if let Some(block) = self.blocked.get_mut(&key).filter(|block| !is_over(block)) {
                // The block of a single address covers no other.
                if key == source || block.prefix > 0 {
                    block.dropped += 1;
                    return true;
                }
            }
        }
        // An IPv4-mapped address is in no IPv4 network: an IPv6 packet can't speak for an IPv4 host.
        let holding = self.scenario.networks.iter().filter(|(network, _)| network.contains(&source));
        let narrowest = holding.max_by_key(|(network, _)| network.prefix_len());
        narrowest.is_some_and(|(_, block)| !is_over(block)) && !self.is_ignored(source)
    }

    /// Returns the source's key for counts, reports and blocks, and its prefix length. An IPv6 address is keyed by
    /// its network of the configured length, unless the host is in that network, or unrelated hosts share it. The
    /// length is 0 for the address alone.
    pub(super) fn held(&self, source: IpAddr) -> (IpAddr, u8) {
        const STRANGERS: [&str; 3] = ["fe80::/10", "64:ff9b::/32", "2001::/32"];
        let length = u8::try_from(self.settings().prefix).expect("a length");
        let strangers = STRANGERS.map(|network| network.parse::<IpNet>().expect("a network"));
        let alone = test_host::neighbours().into_iter().chain(strangers);
        let is_alone = alone.into_iter().any(|network| network.contains(&source)) || self.is_ignored(source);
        if source.is_ipv4() || length == 0 || is_alone {
            return (source, 0);
        }
        (IpNet::new(source, length).expect("a network").network(), length)
    }

    pub(super) fn is_fenced(&self, source: IpAddr) -> bool {
        self.fenced.get(&self.held(source).0).is_some_and(|until_ns| *until_ns > self.now_ns)
    }

    pub(super) fn is_ignored(&self, source: IpAddr) -> bool {
        self.ignored.iter().any(|network| network.contains(&source))
    }

    /// Returns the owner of an address. The smaller of two networks around it decides.
    pub(super) fn locality(&self, destination: IpAddr) -> Locality {
        let holding = self.local.iter().filter(|(network, _)| network.contains(&destination));
        holding.max_by_key(|(network, _)| network.prefix_len()).map_or(Locality::Foreign, |(_, whose)| *whose)
    }

    pub(super) fn is_trap(&self, seen: &Seen<'_>) -> bool {
        let bit = match seen.protocol {
            Protocol::Tcp => Settings::TCP_TRAPS,
            Protocol::Udp => Settings::UDP_TRAPS,
        };
        self.settings().traps & bit != 0 && test_host::is_listed(seen.protocol, seen.port())
    }

    /// Whether the fence is open (`FENCE="open"`).
    pub(super) fn opens(&self) -> bool {
        self.settings().fenced_syns != FencedSyns::Drop as u8
    }
}

/// Whether `ADVANCED_EXCLUDE_TCP` exempts the port, and no list watches it.
pub(super) fn is_left_alone(seen: &Seen<'_>) -> bool {
    test_host::is_excluded(seen.protocol, seen.port()) && !is_watched(seen)
}

pub(super) fn is_watched(seen: &Seen<'_>) -> bool {
    test_host::is_listed(seen.protocol, seen.port()) || test_host::is_advanced(seen.protocol, seen.port())
}
