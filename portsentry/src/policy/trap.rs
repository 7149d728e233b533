//! What is to be done about a connection or datagram that a trap took: the kernel program's rules for those that it
//! doesn't see as probes.

use std::{
    collections::HashMap,
    mem,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    time::Duration,
};

use lru::LruCache;
use portsentry_common::{
    address::{Ipv4, Ipv6},
    block::Proof,
    classify::{Kind, Protocol},
    decide::{Verdict, is_proven},
    environment::{HandshakeCount, RateLimit},
    settings::Settings,
    tally::{self, Tally},
    token_bucket::TokenBuckets,
};

use crate::config::Response;

/// Sources that are counted at a time; when they are too many, counting begins anew.
const COUNTED: usize = 65_536;
/// Visits that are remembered as told; the longest untold are forgotten first.
const TOLD: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// How often sources have come to the traps, and what of it was told.
#[derive(Debug)]
pub struct Visits {
    counted: HashMap<IpAddr, Tally>,
    /// When each was told last, in nanoseconds.
    told: LruCache<DedupKey, u64>,
    buckets: TokenBuckets,
    limits: Settings,
    left_out: LeftOut,
}

/// Who came to which trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who.
    pub source: IpAddr,
    /// The trap (see [`portsentry_common::tally::pair`]).
    pub pair: u32,
    /// What the visit proves by itself.
    pub proof: Proof,
    /// When, in nanoseconds since any fixed moment.
    pub now_ns: u64,
}

/// What makes a visit a repeat of one told before: its source, port and protocol.
pub type DedupKey = (IpAddr, u16, Protocol);

/// The rules' settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `SCAN_TRIGGER`
    pub trigger: u32,
    /// What the configuration says for the protocol.
    pub response: Response,
    /// A source without proof is fenced, not blocked.
    pub fences: bool,
}

impl Rules {
    /// Whether what a visit led to goes by how many handshakes its source has completed.
    #[must_use]
    pub fn ask_for_proof(&self) -> bool {
        self.fences && self.response == Response::Block
    }
}

/// What may be told and made of visits; the daemon counts as one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `REPEAT_WINDOW`
    pub repeat_window: Duration,
    /// `EVENT_RATE`
    pub event_rate: u32,
    /// `FENCE_RATE`
    pub fence_rate: u32,
    /// `TRIGGER_WINDOW`
    pub trigger_window: Duration,
    /// `PROOF_TRAPS`
    pub proof_traps: u32,
}

/// Visits that the limits left out, but for repeats, which are no news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// They were not told.
    pub untold: u64,
    /// Their sources were not fenced.
    pub unfenced: u64,
}

impl Visits {
    /// No visits so far.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let Limits { repeat_window, event_rate, fence_rate, trigger_window, proof_traps } = limits;
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let (repeat_ns, tally_ns) = (nanoseconds(repeat_window), nanoseconds(trigger_window));
        Self {
            counted: HashMap::new(),
            told: LruCache::new(TOLD),
            buckets: TokenBuckets::default(),
            limits: Settings { repeat_ns, tally_ns, event_rate, fence_rate, proof_traps, ..Settings::UNSET }
                .paced(),
            left_out: LeftOut::default(),
        }
    }

    /// The verdict on a visit, and how many distinct traps its source has visited (0 if it doesn't count). `shaken` is what
    /// the source's completed handshakes amount to, this one included.
    pub fn judge(
        &mut self,
        call: &Call,
        is_exempt: bool,
        rules: Rules,
        shaken: HandshakeCount,
    ) -> (Verdict, u32) {
        let Call { source, pair, proof, now_ns } = *call;
        if is_exempt {
            return (Verdict::Ignored, 0);
        }
        if self.counted.len() >= COUNTED && !self.counted.contains_key(&source) {
            self.counted.clear();
        }
        let tally = self.counted.entry(source).or_insert(Tally::EMPTY);
        let visits = tally.count(pair, now_ns, self.limits.tally_ns);
        let is_proven = proof != Proof::None && is_proven(shaken.traps, shaken.is_connected, &self.limits);
        let verdict = match rules.response {
            _ if visits < rules.trigger => Verdict::Counted,
            // One connection to a trap is no proof of a scan.
            Response::Block if rules.fences && !is_proven => Verdict::Fence,
            Response::Block => Verdict::Block,
            Response::LogOnly | Response::CommandOnly => Verdict::Report,
        };
        (verdict, visits)
    }

    /// Whether a source with these handshakes is spared only because it is connected.
    #[must_use]
    pub fn would_spare(&self, shaken: HandshakeCount) -> bool {
        is_proven(shaken.traps, false, &self.limits) && !is_proven(shaken.traps, true, &self.limits)
    }

    /// Whether one more source may be fenced at `now_ns`, nanoseconds since any fixed moment.
    pub fn may_fence(&mut self, now_ns: u64) -> bool {
        let may = self.buckets.try_acquire(RateLimit::Fence, &self.limits, now_ns);
        self.left_out.unfenced += u64::from(!may);
        may
    }

    /// Whether a visit may be told at `now_ns`. One that has `entered` its source in the kernel's maps is no repeat.
    pub fn may_tell(&mut self, key: DedupKey, entered: bool, now_ns: u64) -> bool {
        let told_ns = self.told.get(&key);
        let is_repeat = told_ns.is_some_and(|told_ns| now_ns.wrapping_sub(*told_ns) < self.limits.repeat_ns);
        if is_repeat && !entered {
            return false;
        }
        let may = self.buckets.try_acquire(RateLimit::Report, &self.limits, now_ns);
        if may {
            self.told.put(key, now_ns);
        }
        self.left_out.untold += u64::from(!may);
        may
    }

    /// What was left out since this was last asked.
    pub fn left_out(&mut self) -> LeftOut {
        mem::take(&mut self.left_out)
    }
}

/// The trap at `address`, as handshakes and probes are counted.
#[must_use]
pub fn pair(address: SocketAddr) -> u32 {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => tally::pair(Ipv4::from(ip), address.port()),
        IpAddr::V6(ip) => tally::pair(Ipv6::from(ip), address.port()),
    }
}

/// What a visit is called.
#[must_use]
pub const fn kind(protocol: Protocol) -> Kind {
    match protocol {
        Protocol::Tcp => Kind::Connect,
        Protocol::Udp => Kind::Udp,
    }
}

#[cfg(test)]
mod tests;
