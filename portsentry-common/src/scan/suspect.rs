//! The record of a suspect, a source with at least two failed pairs.

use bytemuck::{Pod, Zeroable};

use super::{
    Contact, Evidence, FENCE, FENCE_PAIRS, FLOOR, MEMBER, MEMBER_PAIRS, Pair, REFUSED, REPORT, SERVED,
    SILENT, Verdict,
    mark::{Mark, PERIODS, is_silent},
};

/// Number of served pairs that may lower a score. More would let a scanner pay with known services for as long as it
/// likes.
const CREDITS: u8 = 6;
/// Number of failures from which the numbers of addresses and ports tell a peer-to-peer program from a scan of a few
/// ports. With fewer, too many programs have few of either by chance.
const PEER_PAIRS: u8 = 24;

/// Time in seconds for which the answer to a first contact may come, at least: at most twice as long. A client sends its
/// SYN three times in three seconds.
pub const OPEN: u32 = 4;

/// Number of pairs at which the set of a source with a verdict of [`Verdict::Fence`] is cleared. Otherwise a scanner
/// would run out of pairs that fence it anew.
const CROWDED: u32 = 48;

/// The failures of a period of [`OPEN`] seconds whose answers may still come.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Open {
    /// Their number.
    pub failed: u8,
    /// Their score in tenths of nats.
    pub score: u8,
}

/// Centinats in a unit of [`Open::score`].
const UNIT: i16 = 10;

/// A suspect. All zero is a free place.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Suspect {
    /// The failed pairs, three bits each: see [`Pair::marks`].
    pub pairs: u64,
    /// A hash of the source; never 0.
    pub tag: u32,
    /// Time of the first contact, in seconds.
    pub first: u32,
    /// Time of the last new pair, in seconds.
    pub last: u32,
    /// The score in centinats.
    pub score: i16,
    /// Hashes of the addresses, a bit each.
    pub hosts: u16,
    /// Hashes of the ports, a bit each.
    pub ports: u16,
    /// Hashes of the served pairs, a bit each. They are no part of `pairs`, which a scanner could otherwise fill with
    /// known services.
    pub services: u16,
    /// Number of distinct failed pairs.
    pub failed: u8,
    /// Number of served pairs that have lowered the score.
    pub credits: u8,
    /// The gravest [`Verdict`] so far.
    pub verdict: u8,
    /// Number of distinct failed pairs with a port above 1023.
    pub high: u8,
    /// The failures in `failed` and `score` whose answers may still come: those of the last period, and of the one before.
    pub open: [Open; 2],
    /// Number of the last period.
    pub period: u8,
    /// Number of failures since the last verdict.
    pub fresh: u8,
    /// Whether [`Verdict::Awaited`] was returned in the last period.
    pub is_awaited: u8,
    /// Number of failures for which [`Suspect::raise`] has raised the score.
    pub raised: u8,
}

const _: () = assert!(size_of::<Suspect>() == 40);

impl Suspect {
    /// Returns the suspect with a first pair.
    #[inline(always)]
    #[must_use]
    pub fn new(tag: u32, contact: &Contact, now: u32) -> Self {
        let mut suspect = Self { tag, first: now, last: now, period: period(now), ..Self::default() };
        suspect.add(contact, now);
        suspect
    }

    /// Adds a first contact. Returns the verdict if it is graver than before, or [`Verdict::Fence`] again if there are
    /// further failures since. Returns [`Verdict::Awaited`] once a period if only answers can prevent such a verdict.
    #[inline(always)]
    pub fn add(&mut self, contact: &Contact, now: u32) -> Verdict {
        self.add_where(contact, now, true)
    }

    /// Does the same. Unless a verdict `fences`, it is returned once.
    #[inline(always)]
    pub fn add_where(&mut self, contact: &Contact, now: u32, fences: bool) -> Verdict {
        self.pass_time(now);
        let Some(score) = contact.failure() else {
            self.succeed(contact.pair);
            return Verdict::None;
        };
        if self.knows(contact.pair) || contact.is_open && !self.opens(score) {
            return self.judge(fences);
        }
        if self.verdict == Verdict::Fence as u8 && self.pairs.count_ones() >= CROWDED {
            self.pairs = 0;
        }
        self.pairs |= contact.pair.marks();
        self.last = now;
        self.failed = self.failed.saturating_add(1);
        self.fresh = self.fresh.saturating_add(1);
        self.high = self.high.saturating_add(u8::from(contact.is_high));
        self.hosts |= 1 << (contact.pair.host() % 16);
        self.ports |= 1 << (contact.pair.port() % 16);
        self.score = self.score.saturating_add(score);
        self.judge(fences)
    }

    /// Returns what [`Self::add_where`] would return for a failure at `now` that is already known. [`Verdict::Awaited`] if
    /// answers may still come.
    #[must_use]
    pub fn judge_at(mut self, now: u32, fences: bool) -> Verdict {
        self.pass_time(now);
        self.is_awaited = 0;
        self.judge(fences)
    }

    /// Raises the score, because this many of the source's first failures belong to a distributed scan. A failure counts
    /// once. Verdicts follow with the next failure.
    pub fn raise(&mut self, pairs: u8) {
        let pairs = pairs.min(MEMBER_PAIRS).min(self.failed);
        let more = pairs.saturating_sub(self.raised);
        self.raised += more;
        self.score = self.score.saturating_add(MEMBER * i16::from(more));
    }

    /// Takes back a failed contact with this mark, because the port accepts. Its pair stays known.
    #[inline(always)]
    pub fn take_back(&mut self, contact: &Contact, mark: Mark, now: u32) {
        self.pass_time(now);
        if mark.score != 0 && self.knows(contact.pair) {
            self.close(mark);
            self.score -= mark.score;
            self.failed = self.failed.saturating_sub(1);
            self.fresh = self.fresh.saturating_sub(1);
            self.high = self.high.saturating_sub(u8::from(contact.is_high));
            // A raise belongs to a failure.
            let over = self.raised.saturating_sub(self.failed);
            self.raised -= over;
            self.score -= MEMBER * i16::from(over);
            if self.failed == 0 {
                self.score = self.score.min(0);
            }
        }
        self.succeed(contact.pair);
    }

    /// Makes a failed contact with this mark count as refused: no other answer will come.
    #[inline(always)]
    pub fn refuse(&mut self, contact: &Contact, mark: Mark, now: u32) {
        self.pass_time(now);
        if mark.score != 0 && self.knows(contact.pair) {
            self.close(mark);
            // What the shape added remains.
            if is_silent(mark.score) {
                self.score -= SILENT - REFUSED;
            }
        }
    }

    fn succeed(&mut self, pair: Pair) {
        let services = self.services | 1 << (pair.host().wrapping_mul(37).wrapping_add(pair.port()) % 16);
        if services == self.services {
            return;
        }
        self.services = services;
        if self.credits < CREDITS && services.count_ones() > 2 * u32::from(self.failed) {
            self.credits += 1;
            self.score = (self.score + SERVED).max(FLOOR);
        }
    }

    /// Makes the periods follow the clock. Another CPU's clock may be behind.
    #[inline(always)]
    fn pass_time(&mut self, now: u32) {
        let period = period(now);
        let [last, _] = self.open;
        match period.wrapping_sub(self.period) {
            0 | u8::MAX => return,
            1 => self.open = [Open::default(), last],
            _ => self.open = [Open::default(); 2],
        }
        self.period = period;
        self.is_awaited = 0;
    }

    /// Adds an open failure. Returns `false` if there are too many to add another.
    #[inline(always)]
    fn opens(&mut self, score: i16) -> bool {
        let [last, _] = &mut self.open;
        let Some(sum) = last.score.checked_add(units(score)) else { return false };
        (last.score, last.failed) = (sum, last.failed + 1);
        true
    }

    /// Ends the wait for the answer to a failure with this mark.
    #[inline(always)]
    fn close(&mut self, mark: Mark) {
        let [last, before] = &mut self.open;
        let open = match self.period.wrapping_sub(mark.period) % PERIODS {
            0 if mark.is_open => last,
            1 if mark.is_open => before,
            _ => return,
        };
        open.failed = open.failed.saturating_sub(1);
        open.score = open.score.saturating_sub(units(mark.score));
    }

    #[inline(always)]
    fn judge(&mut self, fences: bool) -> Verdict {
        let [last, before] = self.open;
        let open = last.failed.saturating_add(before.failed);
        let score = UNIT * (i16::from(last.score) + i16::from(before.score));
        let verdict = self.verdict_without(open, score);
        if self.is_news(verdict, open, fences) {
            self.verdict = verdict as u8;
            self.fresh = open;
            return verdict;
        }
        let is_awaited = self.is_awaited == 0 && self.is_news(self.verdict_without(0, 0), 0, fences);
        self.is_awaited |= u8::from(is_awaited);
        if is_awaited { Verdict::Awaited } else { Verdict::None }
    }

    /// Returns the verdict that rests on all failures but this many with this score.
    #[inline(always)]
    const fn verdict_without(&self, failed: u8, score: i16) -> Verdict {
        let score = self.score - score;
        if score >= FENCE && self.failed.saturating_sub(failed) >= FENCE_PAIRS && !self.is_peer() {
            Verdict::Fence
        } else if score >= REPORT {
            Verdict::Report
        } else {
            Verdict::None
        }
    }

    /// Whether a verdict that rests on all failures but this many is graver than before, or a fence for further ones.
    #[inline(always)]
    const fn is_news(&self, verdict: Verdict, without: u8, fences: bool) -> bool {
        let is_anew = fences && matches!(verdict, Verdict::Fence) && self.fresh > without;
        verdict as u8 > self.verdict || is_anew
    }

    /// Returns the evidence against the source.
    #[inline(always)]
    #[must_use]
    pub const fn evidence(&self) -> Evidence {
        let is_sweep = if self.is_sweep() { Evidence::SWEEP } else { 0 };
        let is_peer = if self.is_peer() { Evidence::PEER } else { 0 };
        Evidence {
            span: self.last.saturating_sub(self.first),
            score: self.score,
            failed: self.failed,
            form: is_sweep | is_peer,
        }
    }

    /// Whether the failures are those of a peer-to-peer program: each address at another high port. Such a source is
    /// only reported.
    #[inline(always)]
    #[must_use]
    pub const fn is_peer(&self) -> bool {
        let [hosts, ports] = [self.hosts.count_ones(), self.ports.count_ones()];
        let are_many = hosts > 1 && ports > 1;
        let are_alike = 5 * hosts > 2 * ports && 5 * ports > 2 * hosts;
        self.high == self.failed && are_many && (self.failed < PEER_PAIRS || are_alike)
    }

    /// Whether most failures are at one port, or at a few ports of many addresses.
    #[inline(always)]
    #[must_use]
    pub const fn is_sweep(&self) -> bool {
        self.hosts.count_ones() > 2 * self.ports.count_ones()
    }

    /// Whether this pair failed before, or others have set its bits.
    #[inline(always)]
    #[must_use]
    pub const fn knows(&self, pair: Pair) -> bool {
        let marks = pair.marks();
        self.pairs & marks == marks
    }
}

/// Returns the number of the period at `now`.
#[inline(always)]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "it wraps after 17 minutes")]
pub const fn period(now: u32) -> u8 {
    (now / OPEN) as u8
}

/// Returns a failure's score in units of [`Open::score`].
#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the highest is 420")]
const fn units(score: i16) -> u8 {
    (score / UNIT) as u8
}

#[cfg(test)]
mod tests;
