//! A peer: its rate, its clock, and what becomes of its words.

use std::collections::BTreeMap;

use super::{Gateway, Millis, Refused, Trust};

/// Factor of `PEER_RATE` at which a peer is held.
const EXCESS: u64 = 10;
/// Seconds of `PEER_RATE` that a peer may say at once.
const BURST: u64 = 5;
/// Interval in milliseconds at which a peer's whole state is accepted without a limit of rate.
const RESYNC: Millis = 60_000;
/// Difference in milliseconds of two clocks that is disregarded, because messages take time.
const JITTER: i64 = 1000;

/// Why a peer is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It exceeded ten times its rate.
    Rate,
    /// An administrator asked for it.
    Administrator,
}

impl Hold {
    /// Returns the name for files and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Administrator => "administrator",
        }
    }

    /// Returns the reason with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Rate, Self::Administrator].into_iter().find(|hold| hold.name() == name)
    }
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub gateway: Gateway,
    /// The trust in it; `None` for a stranger.
    pub trust: Option<Trust>,
    /// Whether its words are ignored and its blocks suspended, and why.
    pub held: Option<Hold>,
    /// Time of its last word.
    pub heard: Option<Millis>,
    /// Milliseconds by which this host's clock is ahead.
    pub offset: i64,
    /// Number of accepted words.
    pub accepted: u64,
    /// Numbers of refused words, by reason.
    pub refused: BTreeMap<Refused, u64>,
    bucket: u64,
    refilled: Millis,
    /// The current second, and the number of words in it.
    second: (Millis, u64),
    /// Start of the current resync, and the number of words that are left for it.
    resync: (Option<Millis>, usize),
}

impl Peer {
    pub(super) const fn new(gateway: Gateway, trust: Option<Trust>, held: Option<Hold>) -> Self {
        Self {
            gateway,
            trust,
            held,
            heard: None,
            offset: 0,
            accepted: 0,
            refused: BTreeMap::new(),
            bucket: u64::MAX,
            refilled: 0,
            second: (0, 0),
            resync: (None, 0),
        }
    }

    /// Whether its blocks count.
    #[must_use]
    pub fn counts(&self) -> Option<Trust> {
        self.trust.filter(|trust| self.held.is_none() && *trust != Trust::Log)
    }

    /// Records a beat.
    pub(super) fn beat(&mut self, clock: Millis, now: Millis) {
        let offset =
            i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(i64::try_from(clock).unwrap_or(i64::MAX));
        // It stays the same for as long as possible, because it is a part of what the peer said.
        if offset.abs_diff(self.offset) > JITTER.unsigned_abs() {
            self.offset = if offset.abs() <= JITTER { 0 } else { offset };
        }
    }

    /// Whether `count` words are accepted, of its whole state or as news. Holds the peer if they are far too many.
    pub(super) fn admit(
        &mut self,
        count: usize,
        is_state: bool,
        (rate, state): (u32, usize),
        now: Millis,
    ) -> bool {
        self.heard = Some(now);
        let (rate, words) = (u64::from(rate), count as u64);
        let refused = if self.trust.is_none() {
            Some(Refused::Stranger)
        } else if self.held.is_some() {
            Some(Refused::Held)
        } else if is_state {
            // The companion decides when the state is read, not the peer.
            (!self.resyncs(count, state, now)).then_some(Refused::Rate)
        } else {
            (!self.is_in_time(words, rate, now)).then_some(Refused::Rate)
        };
        match refused {
            None => self.accepted += words,
            Some(reason) => self.refuse(reason, words),
        }
        refused.is_none()
    }

    pub(super) fn refuse(&mut self, reason: Refused, words: u64) {
        *self.refused.entry(reason).or_default() += words;
    }

    fn resyncs(&mut self, count: usize, state: usize, now: Millis) -> bool {
        let (begun, left) = &mut self.resync;
        if begun.is_none_or(|begun| now.saturating_sub(begun) >= RESYNC) {
            (*begun, *left) = (Some(now), state);
        }
        let is_room = count <= *left;
        *left -= if is_room { count } else { 0 };
        is_room
    }

    fn is_in_time(&mut self, words: u64, rate: u64, now: Millis) -> bool {
        if self.second.0 != now / 1000 {
            self.second = (now / 1000, 0);
        }
        self.second.1 = self.second.1.saturating_add(words);
        if self.second.1 > rate * EXCESS {
            self.held = Some(Hold::Rate);
            return false;
        }
        // In thousandths of a word.
        let most = rate * BURST * 1000;
        let since = now.saturating_sub(self.refilled);
        self.bucket = self.bucket.saturating_add(since.saturating_mul(rate)).min(most);
        self.refilled = now;
        let is_room = words * 1000 <= self.bucket;
        self.bucket -= if is_room { words * 1000 } else { 0 };
        is_room
    }
}
