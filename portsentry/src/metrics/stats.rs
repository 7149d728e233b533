//! The daemon's stats: the keeper writes them, and metrics and health checks read them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use bytemuck::Zeroable;
use portsentry_common::counter::Counters;

use crate::{
    kernel::ScanState,
    policy::{Census, ScanKind, enforcement::Strength, peers::Millis},
    sink::runner::Ran,
};

/// Maximum time without an update by the keeper. It updates twice a second, but a new session takes a moment to
/// start.
const SILENCE: Duration = Duration::from_secs(10);

/// The stats.
#[derive(Debug, Default)]
pub struct Stats {
    state: Mutex<State>,
}

/// The content.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub started: SystemTime,
    pub snapshot: Option<(Instant, Snapshot)>,
    /// By action and result.
    pub actions: BTreeMap<(&'static str, &'static str), u64>,
    /// By cause.
    pub admitted: BTreeMap<&'static str, u64>,
    /// By cause.
    pub released: BTreeMap<&'static str, u64>,
    /// Scans that avoid traps, by kind, and whether their sources were fenced rather than reported.
    pub scans: BTreeMap<(ScanKind, bool), u64>,
    /// Blocked and fenced sources by country. At most 677 entries, because a country has two letters or none.
    pub countries: BTreeMap<String, u64>,
    /// Number of sightings that the reader dropped.
    pub left_out: u64,
    /// Whether the configuration was valid when it was last read, and the time of the last valid one.
    pub reload: (bool, SystemTime),
    /// Messages for the log.
    news: Vec<String>,
}

impl Default for State {
    fn default() -> Self {
        let now = SystemTime::now();
        Self {
            started: now,
            snapshot: None,
            actions: BTreeMap::new(),
            admitted: BTreeMap::new(),
            released: BTreeMap::new(),
            scans: BTreeMap::new(),
            countries: BTreeMap::new(),
            left_out: 0,
            reload: (true, now),
            news: Vec::new(),
        }
    }
}

/// The keeper's state at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The kernel's counters.
    pub counters: Counters,
    /// Numbers of blocked and fenced sources.
    pub census: Census,
    /// Maximum number of blocked sources per address family.
    pub max_blocked: u32,
    /// Maximum number of fenced sources per address family.
    pub max_fenced: u32,
    /// The ring's size in bytes.
    pub ring_size: u32,
    /// Interfaces to which PortSentry's program is attached.
    pub attached: Vec<String>,
    /// Interfaces that should be watched, but can't be or don't exist.
    pub refused: Vec<String>,
    /// Watched interfaces whose outgoing packets aren't seen.
    pub unseen: Vec<String>,
    /// Whether bind hooks keep the table of bound ports, in addition to dumps of the sockets.
    pub bound_by_hooks: bool,
    /// Age of the last dump; `None` before the first.
    pub dump_age: Option<Duration>,
    /// Reason why not all own, ignored and watched networks are in effect.
    pub scope_trouble: Option<String>,
    /// State of the detection of scans, if it could be read.
    pub scans: Option<ScanState>,
    /// Numbers of lost lines and events, by output.
    pub lost: Vec<(&'static str, u64)>,
    /// The mode of enforcement.
    pub strength: Option<Strength>,
    /// The fleet; `None` without `SHARE_SOCKET`.
    pub fleet: Option<FleetStats>,
    /// The block lists.
    pub lists: Vec<ListStats>,
}

/// A block list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListStats {
    /// Its name.
    pub name: String,
    /// Number of hosts and networks that it names.
    pub entries: usize,
    /// Number of them in force: the others are exempt, blocked for another reason, or without room.
    pub in_force: u64,
    /// Number of packets that those in force lost.
    pub dropped: u64,
}

/// The fleet.
#[derive(Clone, Debug, Default)]
pub struct FleetStats {
    /// Whether the companion is connected.
    pub is_joined: bool,
    /// What it reports.
    pub share: Option<ShareStats>,
    /// The other gateways.
    pub peers: Vec<PeerStats>,
}

/// What the companion reports.
#[derive(Clone, Copy, Debug)]
pub struct ShareStats {
    /// Number of the fleet's servers.
    pub servers: usize,
    /// Number of those that it is connected to.
    pub connected: usize,
    /// Number of words that the fleet's state has yet to store.
    pub waiting: usize,
    /// End of its certificate.
    pub certificate: Option<Millis>,
}

/// Another gateway of the fleet.
#[derive(Clone, Debug)]
pub struct PeerStats {
    /// Its name.
    pub gateway: String,
    /// Whether it is held.
    pub is_held: bool,
    /// Number of its blocks.
    pub blocks: usize,
    /// Number of its blocks and fences in force.
    pub in_force: usize,
    /// Milliseconds by which this host's clock is ahead.
    pub offset: i64,
    /// Time of its last word.
    pub heard: Option<Millis>,
    /// Number of accepted words.
    pub accepted: u64,
    /// Numbers of refused words, by reason.
    pub refused: Vec<(&'static str, u64)>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            counters: Counters::zeroed(),
            census: Census::default(),
            max_blocked: 0,
            max_fenced: 0,
            ring_size: 0,
            attached: Vec::new(),
            refused: Vec::new(),
            unseen: Vec::new(),
            bound_by_hooks: false,
            dump_age: None,
            scope_trouble: None,
            scans: None,
            lost: Vec::new(),
            strength: None,
            fleet: None,
            lists: Vec::new(),
        }
    }
}

impl Stats {
    /// Updates the snapshot.
    pub fn show(&self, snapshot: Snapshot) {
        self.state().snapshot = Some((Instant::now(), snapshot));
    }

    /// Counts a command that has ended or could not be run.
    pub fn count_command(&self, ran: &Ran) {
        *self.state().actions.entry((ran.purpose.key(), ran.outcome.word())).or_default() += 1;
    }

    /// Counts lines added to `hosts.deny`.
    pub fn count_denied(&self, count: usize) {
        if count > 0 {
            *self.state().actions.entry(("KILL_HOSTS_DENY", "done")).or_default() += count as u64;
        }
    }

    /// Counts networks that are blocked or fenced for this cause.
    pub fn count_admitted(&self, cause: &'static str, count: usize) {
        *self.state().admitted.entry(cause).or_default() += count as u64;
    }

    /// Counts a source that is blocked or fenced, by its country.
    pub fn count_country(&self, country: Option<String>) {
        *self.state().countries.entry(country.unwrap_or_else(|| "unknown".into())).or_default() += 1;
    }

    /// Counts a scan that avoids traps.
    pub fn count_scan(&self, kind: ScanKind, is_fence: bool) {
        *self.state().scans.entry((kind, is_fence)).or_default() += 1;
    }

    /// Counts networks that are released for this cause.
    pub fn count_released(&self, cause: &'static str, count: usize) {
        *self.state().released.entry(cause).or_default() += count as u64;
    }

    /// Counts probe events that were dropped because the keeper was behind.
    pub fn count_left_out(&self, count: u64) {
        self.state().left_out += count;
    }

    /// Records whether the configuration was valid when it was read.
    pub fn reloaded(&self, is_right: bool) {
        let mut state = self.state();
        state.reload.0 = is_right;
        if is_right {
            state.reload.1 = SystemTime::now();
        }
    }

    /// Queues a message for the log.
    pub(super) fn report(&self, news: String) {
        self.state().news.push(news);
    }

    /// Returns the messages for the log.
    pub fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.state().news)
    }

    pub(super) fn copy(&self) -> State {
        self.state().clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete, so the state after a panic is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns the reason why portsentry is not healthy, if any.
    pub fn trouble(&self, now: Instant) -> Option<String> {
        let Some((at, snapshot)) = &self.snapshot else { return Some("not watching yet".into()) };
        let silence = now.saturating_duration_since(*at);
        if silence > SILENCE {
            let seconds = silence.as_secs();
            return Some(format!("no heartbeat from the thread that writes the files for {seconds} seconds"));
        }
        if snapshot.attached.is_empty() {
            return Some("attached to no interface".into());
        }
        snapshot.scope_trouble.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_well_while_the_keeper_writes_and_an_interface_is_watched() {
        let stats = Stats::default();
        let trouble = |later: u64| stats.copy().trouble(Instant::now() + Duration::from_secs(later));
        assert!(trouble(0).unwrap().contains("not watching"));
        stats.show(Snapshot { attached: vec!["eth0".into()], ..Snapshot::default() });
        assert_eq!((trouble(0), trouble(9)), (None, None));
        assert!(trouble(12).unwrap().contains("for 12 seconds"));
        stats.show(Snapshot::default());
        assert!(trouble(0).unwrap().contains("no interface"));
        let scope_trouble = Some("map LOCAL_V4".into());
        stats.show(Snapshot { attached: vec!["eth0".into()], scope_trouble, ..Snapshot::default() });
        assert_eq!(trouble(0), Some("map LOCAL_V4".into()));
    }

    #[test]
    fn news_are_told_once() {
        let stats = Stats::default();
        stats.report("something".into());
        assert_eq!((stats.news().len(), stats.news().len()), (1, 0));
    }
}
