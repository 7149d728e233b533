//! Decides on connections and datagrams to traps: the kernel program's rules, for packets that it does not see as
//! probes.

use std::{
    mem,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
};

use ipnet::IpNet;
use lru::LruCache;
use portsentry_common::{
    address::{Ipv4, Ipv6},
    block::Proof,
    classify::{Probe, Protocol},
    decide::{Verdict, decide, is_proven},
    environment::{HandshakeCount, RateLimit},
    settings::Settings,
    tally::{self, Handshakes},
    token_bucket::TokenBuckets,
};

/// Maximum number of visits remembered as reported. The least recent are forgotten first.
const TOLD: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
/// Maximum number of sources whose handshakes are counted while nothing is blocked.
const REHEARSED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// The reported visits, and the kernel program's rules. The daemon counts as one CPU.
#[derive(Debug)]
pub struct Visits {
    /// Time of each visit's last report, in nanoseconds.
    told: LruCache<DedupKey, u64>,
    buckets: TokenBuckets,
    settings: Settings,
    left_out: LeftOut,
    /// The handshakes of each source while nothing is blocked.
    rehearsed: LruCache<IpNet, Handshakes>,
}

/// Deduplication key of a visit: source, port and protocol.
pub type DedupKey = (IpNet, u16, Protocol);

/// Visits that exceeded the rate limits, without repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// They were not reported.
    pub untold: u64,
    /// Their sources were not fenced.
    pub unfenced: u64,
}

impl Visits {
    /// Creates the state without visits, with the kernel program's `settings`.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let left_out = LeftOut::default();
        Self {
            told: LruCache::new(TOLD),
            buckets: TokenBuckets::default(),
            settings: settings.paced(),
            left_out,
            rehearsed: LruCache::new(REHEARSED),
        }
    }

    /// Returns the verdict on a visit that counts as its source's `hits`th probe. `shaken` counts the source's
    /// completed handshakes, including this one.
    #[must_use]
    pub fn judge(&self, probe: &Probe, hits: u32, proof: Proof, shaken: HandshakeCount) -> Verdict {
        match decide(probe, hits, &self.settings) {
            // One connection to a trap does not prove a scan.
            Verdict::Fence
                if proof != Proof::None && is_proven(shaken.traps, shaken.is_connected, &self.settings) =>
            {
                Verdict::Block
            }
            verdict => verdict,
        }
    }

    /// Whether probes are counted. A trigger of one needs no tally.
    #[must_use]
    pub const fn counts(&self) -> bool {
        self.settings.trigger > 1
    }

    /// Whether sources are fenced until they have proven themselves.
    #[must_use]
    pub const fn fences(&self) -> bool {
        self.settings.fences()
    }

    /// Whether the verdict on a visit by `protocol` depends on the number of completed handshakes.
    #[must_use]
    pub const fn asks_for_proof(&self, protocol: Protocol) -> bool {
        self.settings.fences() && self.settings.blocks(protocol)
    }

    /// Whether only a source with enough handshakes would be blocked by `protocol`, if the settings blocked any.
    #[must_use]
    pub const fn would_ask_for_proof(&self, protocol: Protocol) -> bool {
        self.settings.fences() && !self.settings.blocks(protocol)
    }

    /// Counts a completed handshake with the trap at `pair` while nothing is blocked. These handshakes don't count once
    /// sources are blocked.
    pub fn rehearse(&mut self, source: IpNet, pair: u32, now_ns: u64) -> HandshakeCount {
        let handshakes = self.rehearsed.get_or_insert_mut(source, || Handshakes::NONE);
        HandshakeCount { traps: handshakes.count(pair, now_ns, self.settings.tally_ns), is_connected: false }
    }

    /// Whether a source with these handshakes would be blocked.
    #[must_use]
    pub const fn would_block(&self, shaken: HandshakeCount) -> bool {
        is_proven(shaken.traps, shaken.is_connected, &self.settings)
    }

    /// Whether a source with these handshakes is spared only because it is connected.
    #[must_use]
    pub fn would_spare(&self, shaken: HandshakeCount) -> bool {
        is_proven(shaken.traps, false, &self.settings) && !is_proven(shaken.traps, true, &self.settings)
    }

    /// Whether another source may be fenced at `now_ns`, in nanoseconds since any fixed moment.
    pub fn may_fence(&mut self, now_ns: u64) -> bool {
        let may = self.buckets.try_acquire(RateLimit::Fence, &self.settings, now_ns);
        self.left_out.unfenced += u64::from(!may);
        may
    }

    /// Whether a visit may be reported at `now_ns`. A visit that `entered` its source in the kernel's maps is no
    /// repeat.
    pub fn may_tell(&mut self, key: DedupKey, entered: bool, now_ns: u64) -> bool {
        let told_ns = self.told.get(&key);
        let is_repeat =
            told_ns.is_some_and(|told_ns| now_ns.wrapping_sub(*told_ns) < self.settings.repeat_ns);
        if is_repeat && !entered {
            return false;
        }
        let may = self.buckets.try_acquire(RateLimit::Report, &self.settings, now_ns);
        if may {
            self.told.put(key, now_ns);
        }
        self.left_out.untold += u64::from(!may);
        may
    }

    /// Returns the numbers since the last call.
    pub fn left_out(&mut self) -> LeftOut {
        mem::take(&mut self.left_out)
    }
}

/// Returns the pair of the trap at `address`, as in handshakes and probes.
#[must_use]
pub fn pair(address: SocketAddr) -> u32 {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => tally::pair(Ipv4::from(ip), address.port()),
        IpAddr::V6(ip) => tally::pair(Ipv6::from(ip), address.port()),
    }
}

#[cfg(test)]
mod tests;
