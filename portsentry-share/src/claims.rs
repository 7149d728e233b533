//! What somebody outside the fleet says, as the words of a peer: which sources are blocked, and since when that is known.
//! The times are kept in a file. Otherwise a restart would make old words new, and a block that an administrator has lifted
//! would begin again.

mod claim;
mod file;

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use portsentry::policy::{
    is_host,
    peers::{Gateway, Millis, Said, Word, is_private},
};
use tokio::time::Instant;

use self::{
    claim::{Claim, Heard, Withdrawn},
    file::Kept,
};
use crate::daemon::{Daemon, Refusals};

/// Difference of two ends in milliseconds that is disregarded: a rest is measured somewhere within a request, which may take long.
pub const JITTER: Millis = 60_000;
/// Time after which a block without an end is over for any daemon.
const LONGEST: Millis = 365 * 86_400_000;
/// Maximum number of claims.
pub const MOST: usize = 1 << 17;
/// Number of blocks of a word.
const AT_ONCE: usize = 256;

/// Minimum time between two tellings of the whole to the same daemon, because it has refused words.
const AGAIN: Duration = Duration::from_mins(1);
/// Interval in milliseconds at which it is noted that something is still claimed.
const NOTED: Millis = 3_600_000;

/// The claims about an address, merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    since: Millis,
    until: Option<Millis>,
    /// When it was first claimed, with interruptions.
    first: Millis,
}

type Wanted = BTreeMap<IpAddr, Term>;

/// The claims of one speaker.
#[derive(Debug)]
pub struct Claims {
    gateway: Gateway,
    file: PathBuf,
    /// Number of words per second that are said as news.
    rate: usize,
    /// By the speaker's own names for them.
    known: BTreeMap<String, Claim>,
    /// When each claim was made first and last, by an identity that outlives its renewal: a renewed claim isn't a new one.
    heard: Heard,
    /// What the daemon has been told, by address.
    told: Wanted,
    /// What the daemon has been told and is over since, until it would have ended: start and end. Whether a daemon has heard
    /// the withdrawal is unknown.
    withdrawn: Withdrawn,
    /// The connection in which it was told.
    connection: u64,
    /// How often its words had not been heard when it was told the whole.
    refusals: Refusals,
    /// When the whole was told last.
    whole: Option<Instant>,
    /// Start of the current second, and the number of news in it.
    spent: (Instant, usize),
    /// Whether there are more news than their rate allows.
    is_behind: bool,
    is_saved: bool,
}

impl Claims {
    /// Reads the claims that an earlier run has kept in a directory.
    #[must_use]
    pub fn load(gateway: Gateway, directory: &std::path::Path, rate: u32) -> Self {
        let file = directory.join(format!("{gateway}.json"));
        let Kept { known, withdrawn, heard } = file::read(&file);
        let told = by_address(&known);
        Self {
            gateway,
            file,
            rate: rate as usize,
            known,
            heard,
            told,
            withdrawn,
            connection: 0,
            refusals: Refusals::default(),
            whole: None,
            spent: (Instant::now(), 0),
            is_behind: false,
            is_saved: true,
        }
    }

    /// Whether the daemon has yet to be told news, because their rate is limited.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Returns the number of claims.
    #[must_use]
    pub fn count(&self) -> usize {
        self.known.len()
    }

    /// Describes what couldn't become claims: this number of others.
    #[must_use]
    pub fn describe_others(&self, count: usize) -> String {
        match count {
            0 => String::new(),
            _ if self.known.len() < MOST => {
                format!(" ({count} of networks or private addresses left out)")
            }
            _ => format!(" ({count} left out: beyond {MOST}, or of networks or private addresses)"),
        }
    }

    /// Enters a claim, or a later end of a known one. `same` is what stays the same if it is claimed again after an
    /// interruption, so that a lift holds it back; without it, that is a new claim. Returns `false` if there is no room for it.
    #[must_use]
    pub fn put(
        &mut self,
        (id, same): (String, Option<String>),
        address: IpAddr,
        until: Option<Millis>,
        now: Millis,
    ) -> bool {
        if self.known.len() >= MOST && !self.known.contains_key(&id) {
            return false;
        }
        let first = same.map(|same| self.note(same, now));
        let is_same = |claim: &Claim| {
            claim.address == address
                && match (claim.until, until) {
                    (Some(before), Some(until)) => before.abs_diff(until) <= JITTER,
                    (before, until) => before == until,
                }
        };
        if self.known.get(&id).is_some_and(is_same) {
            return true;
        }
        // A block that is prolonged is the same one; with another address or an earlier end it is another.
        let before =
            self.known.get(&id).filter(|claim| claim.address == address && is_later(until, claim.until));
        let since = before.map_or(now, |claim| claim.since);
        self.known.insert(id, Claim { address, since, until, first });
        self.is_saved = false;
        true
    }

    /// Notes that something is claimed. Returns since when, with interruptions.
    fn note(&mut self, same: String, now: Millis) -> Millis {
        let (first, last) = self.heard.entry(same).or_insert((now, 0));
        if last.saturating_add(NOTED) < now {
            *last = now;
            self.is_saved = false;
        }
        *first
    }

    /// Removes a claim.
    pub fn remove(&mut self, id: &str) {
        self.is_saved &= self.known.remove(id).is_none();
    }

    /// Removes all claims but those for which `is_kept` holds.
    pub fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        let before = self.known.len();
        self.known.retain(|id, _| is_kept(id));
        self.is_saved &= self.known.len() == before;
    }

    /// Tells the daemon what it doesn't know, and saves the claims. Returns a problem of the file.
    pub async fn tell(&mut self, daemon: &Daemon, now: Millis) -> Result<(), String> {
        self.expire(now);
        self.supersede();
        let wanted = by_address(&self.known);
        self.withdraw(&wanted, now);
        let saved = if self.is_saved {
            Ok(())
        } else {
            file::write(&self.file, (&self.known, &self.withdrawn, &self.heard))
        };
        self.is_saved |= saved.is_ok();
        let connection = daemon.current();
        if connection != 0 {
            let is_new = std::mem::replace(&mut self.connection, connection) != connection;
            let refusals = daemon.refusals(&self.gateway);
            let is_due = refusals != self.refusals && self.whole.is_none_or(|whole| whole.elapsed() >= AGAIN);
            if is_new || is_due {
                (self.refusals, self.whole) = (refusals, Some(Instant::now()));
            }
            self.tell_changes(daemon, wanted, is_new || is_due, now).await;
        } else {
            // A new one is told the whole.
            self.is_behind = false;
        }
        saved
    }

    fn expire(&mut self, now: Millis) {
        let before = self.known.len();
        self.known.retain(|_, claim| claim.until.is_none_or(|until| until > now));
        self.told.retain(|_, term| term.until.is_none_or(|until| until > now));
        self.is_saved &= self.known.len() == before;
        // No lift stands longer.
        self.heard.retain(|_, (_, last)| last.saturating_add(LONGEST) > now);
        let excess = self.heard.len().saturating_sub(2 * MOST);
        if excess > 0 {
            let mut oldest: Vec<(Millis, String)> =
                self.heard.iter().map(|(same, (_, last))| (*last, same.clone())).collect();
            let (before, nth, _) = oldest.select_nth_unstable(excess - 1);
            for (_, same) in before.iter().chain([&*nth]) {
                self.heard.remove(same);
            }
        }
    }

    /// Makes what is wanted later than what has been told, where that would outlast it: of a peer's blocks of one source the
    /// latest counts, and of one block the latest end.
    fn supersede(&mut self) {
        let mut starts = BTreeMap::new();
        for (address, Term { since, until, .. }) in by_address(&self.known) {
            let outlasts =
                |told: &&Term| since < told.since || (since == told.since && !is_later(until, told.until));
            if let Some(told) = self.told.get(&address).filter(outlasts) {
                starts.insert(address, told.since.saturating_add(1));
            }
        }
        for claim in self.known.values_mut() {
            if let Some(start) = starts.get(&claim.address) {
                claim.since = *start;
            }
        }
        self.is_saved &= starts.is_empty();
    }

    /// Notes what has been told and isn't wanted any more.
    fn withdraw(&mut self, wanted: &Wanted, now: Millis) {
        let before = self.withdrawn.clone();
        for (address, Term { since, until, .. }) in &self.told {
            let end = until.unwrap_or(since.saturating_add(LONGEST));
            self.withdrawn.insert(*address, (*since, end));
        }
        self.withdrawn.retain(|address, (_, end)| *end > now && !wanted.contains_key(address));
        let excess = self.withdrawn.len().saturating_sub(MOST);
        if excess > 0 {
            // Those that would end first harm least. The daemon is yet to be told of those that it was told before.
            let said = self.withdrawn.iter().filter(|(address, _)| !self.told.contains_key(*address));
            let mut ends: Vec<(Millis, IpAddr)> = said.map(|(address, (_, end))| (*end, *address)).collect();
            ends.sort_unstable();
            for (_, address) in ends.into_iter().take(excess) {
                self.withdrawn.remove(&address);
            }
        }
        self.is_saved &= self.withdrawn == before;
    }

    /// Sends the daemon the changes, limited to the rate of news, or the whole state at once.
    async fn tell_changes(&mut self, daemon: &Daemon, wanted: Wanted, is_whole: bool, now: Millis) {
        let over = self.withdrawn.iter().filter(|(address, _)| is_whole || self.told.contains_key(*address));
        let mut all: Vec<Said> =
            over.map(|(address, (since, _))| withdrawal(*address, *since, now)).collect();
        let lacks = |(address, term): &(&IpAddr, &Term)| is_whole || self.told.get(*address) != Some(*term);
        let mut blocks: Vec<Said> =
            wanted.iter().filter(lacks).map(|(address, term)| said(*address, *term)).collect();
        // The daemon's quota is for the latest.
        blocks.sort_by_key(|block| std::cmp::Reverse(block.since));
        // Nobody waits for a release behind news.
        all.extend(blocks);
        let room = if is_whole { all.len() } else { self.room().min(all.len()) };
        self.is_behind = room < all.len();
        for some in all[..room].chunks(AT_ONCE) {
            let blocks = some.to_vec();
            let word = Word::Block { gateway: self.gateway.clone(), state: is_whole, said: 0, blocks };
            daemon.say(self.connection, &word).await;
        }
        if is_whole {
            self.told = wanted;
            return;
        }
        self.spent.1 += room;
        for Said { address, .. } in &all[..room] {
            match wanted.get(address) {
                Some(term) => drop(self.told.insert(*address, *term)),
                None => drop(self.told.remove(address)),
            }
        }
    }

    /// Returns the number of news for which there is room in the current second.
    fn room(&mut self) -> usize {
        if self.spent.0.elapsed() >= Duration::from_secs(1) {
            self.spent = (Instant::now(), 0);
        }
        self.rate.saturating_sub(self.spent.1)
    }
}

/// Returns the address by which a peer may name a network, or `None` for a network that is more than one source.
#[must_use]
pub fn source(network: IpNet, prefix: u8) -> Option<IpAddr> {
    let is_source = is_host(network) || (network.addr().is_ipv6() && network.prefix_len() == prefix);
    (is_source && !is_private(network.addr())).then(|| network.addr())
}

/// Returns the latest start and end of the claims about each address.
fn by_address(known: &BTreeMap<String, Claim>) -> Wanted {
    let mut all: Wanted = BTreeMap::new();
    for Claim { address, since, until, first } in known.values() {
        let first = first.unwrap_or(*since);
        let term = all.entry(*address).or_insert(Term { since: *since, until: *until, first });
        (term.since, term.first) = ((*since).max(term.since), first.max(term.first));
        if is_later(*until, term.until) {
            term.until = *until;
        }
    }
    all
}

fn is_later(end: Option<Millis>, than: Option<Millis>) -> bool {
    match (end, than) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(end), Some(than)) => end >= than,
    }
}

fn said(address: IpAddr, Term { since, until, first }: Term) -> Said {
    let first = Some(first).filter(|first| *first < since);
    // None of these speakers says how the source was proven.
    Said { address, since, until, first, proof: "administrator".into(), kind: None, port: 0, protocol: None }
}

/// Returns a later block that is over already: of a peer's blocks of one source the latest counts.
fn withdrawal(address: IpAddr, since: Millis, now: Millis) -> Said {
    let since = now.saturating_sub(2).max(since + 1);
    said(address, Term { since, until: Some(since + 1), first: since })
}

#[cfg(test)]
mod tests;
