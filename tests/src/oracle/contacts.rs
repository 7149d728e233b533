//! The first contacts of a source, according to `docs/detection.md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use portsentry_common::decide::Verdict;

/// Seconds of a period: an answer may come in the contact's own period, and in the next one.
const PERIOD: u64 = 4;
/// Time after which a source's failures count for nothing, in seconds.
const DAY: u64 = 86_400;

/// A failed first contact.
#[derive(Clone, Debug)]
struct Failure {
    /// What it added to the source's score.
    score: f64,
    is_silent: bool,
    /// The period in which it was made, while its answer may come.
    open: Option<u64>,
    /// Whether no verdict rests on it yet.
    is_new: bool,
    /// Whether the port accepted later.
    is_taken_back: bool,
}

/// The first contacts of a source.
#[derive(Clone, Debug, Default)]
pub(super) struct Contacts {
    failed: BTreeMap<SocketAddr, Failure>,
    services: BTreeSet<SocketAddr>,
    credits: u32,
    score: f64,
    verdict: Option<Verdict>,
    /// The last period in which the daemon was told that only answers can prevent a verdict.
    awaited: Option<u64>,
    last: u64,
}

impl Contacts {
    /// Counts a failed contact at `now` in seconds. Returns whether it is a new one.
    pub(super) fn fail(
        &mut self,
        at: SocketAddr,
        (score, is_silent): (f64, bool),
        is_open: bool,
        now: u64,
    ) -> bool {
        if self.last + DAY < now {
            *self = Self::default();
        }
        if self.failed.contains_key(&at) {
            return false;
        }
        let period = now / PERIOD;
        let opened =
            self.failed.values().filter(|it| it.open == Some(period)).map(|it| it.score).sum::<f64>();
        if is_open && opened + score > 25.501 {
            return false;
        }
        let open = is_open.then_some(period);
        self.failed.insert(at, Failure { score, is_silent, open, is_new: true, is_taken_back: false });
        self.score += score;
        self.last = now;
        true
    }

    /// Counts a contact with a served port, if the source has failed at two.
    pub(super) fn succeed(&mut self, at: SocketAddr) {
        const FLOOR: f64 = -3.0;
        if self.failed.len() < 2 || !self.services.insert(at) {
            return;
        }
        if self.credits < 6 && self.services.len() > 2 * self.failures() {
            self.credits += 1;
            self.score = (self.score - 1.5).max(FLOOR);
        }
    }

    /// Takes back a failed contact, because the port accepts. `is_its` says that the answer is that of the contact's own SYN.
    pub(super) fn accept(&mut self, at: SocketAddr, is_its: bool) {
        if self.failed.len() == 1 && self.failed.contains_key(&at) {
            *self = Self::default();
            return;
        }
        if let Some(failure) = self.failed.get_mut(&at).filter(|it| is_its && !it.is_taken_back) {
            (failure.is_taken_back, failure.open) = (true, None);
            self.score -= failure.score;
            if self.failures() == 0 {
                self.score = self.score.min(0.0);
            }
        }
        self.succeed(at);
    }

    /// Makes a failed contact count as refused.
    pub(super) fn refuse(&mut self, at: SocketAddr, is_its: bool) {
        let is_alone = self.failed.len() == 1;
        let Some(failure) = self.failed.get_mut(&at).filter(|_| is_its || is_alone) else { return };
        failure.open = None;
        if failure.is_silent && !failure.is_taken_back {
            failure.is_silent = false;
            failure.score -= 0.7;
            self.score -= 0.7;
        }
    }

    /// Judges a source whose contact has just failed. A verdict rests on failures to which no answer can come.
    pub(super) fn judge(&mut self, fences: bool, now: u64) -> Option<Verdict> {
        let period = now / PERIOD;
        if self.failed.len() < 2 {
            return None;
        }
        let is_open = |it: &Failure| it.open.is_some_and(|made| made + 1 >= period);
        let (open, settled): (Vec<_>, Vec<_>) = self.counted().partition(|it| is_open(it));
        let open_score = open.iter().map(|it| it.score).sum::<f64>();
        let verdict = self.verdict_on(self.score - open_score, settled.len());
        if self.is_news(verdict, fences && settled.iter().any(|it| it.is_new)) {
            self.verdict = verdict;
            for failure in self.failed.values_mut().filter(|it| !is_open(it)) {
                failure.is_new = false;
            }
            return verdict;
        }
        let would = self.verdict_on(self.score, self.failures());
        let is_told =
            self.is_news(would, fences && self.counted().any(|it| it.is_new)) && self.awaited != Some(period);
        self.awaited = if is_told { Some(period) } else { self.awaited };
        is_told.then_some(Verdict::Counted)
    }

    /// Number of failures.
    pub(super) fn failures(&self) -> usize {
        self.counted().count()
    }

    fn counted(&self) -> impl Iterator<Item = &Failure> {
        self.failed.values().filter(|it| !it.is_taken_back)
    }

    fn verdict_on(&self, score: f64, failures: usize) -> Option<Verdict> {
        const REPORT: f64 = 9.2;
        const FENCE: f64 = 13.8;
        const FENCE_FAILURES: usize = 6;
        const ROUNDING: f64 = 0.001;
        if score > FENCE - ROUNDING && failures >= FENCE_FAILURES && !self.is_peer() {
            Some(Verdict::Fence)
        } else {
            (score > REPORT - ROUNDING).then_some(Verdict::Report)
        }
    }

    /// Whether a verdict is graver than the last one, or a fence for new failures.
    fn is_news(&self, verdict: Option<Verdict>, has_new: bool) -> bool {
        match (self.verdict, verdict) {
            (None, Some(_)) | (Some(Verdict::Report), Some(Verdict::Fence)) => true,
            (_, Some(Verdict::Fence)) => has_new,
            _ => false,
        }
    }

    /// A source with only high ports, at several addresses and ports, is like a peer-to-peer program.
    fn is_peer(&self) -> bool {
        const MANY: usize = 24;
        let addresses: BTreeSet<_> = self.failed.keys().map(SocketAddr::ip).collect();
        let ports: BTreeSet<_> = self.failed.keys().map(SocketAddr::port).collect();
        let are_high = self.failed.iter().all(|(at, it)| it.is_taken_back || at.port() > 1023);
        are_high && addresses.len() > 1 && ports.len() > 1 && self.failures() < MANY
    }
}
