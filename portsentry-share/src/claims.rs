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
use tokio::time::sleep;

use self::claim::{Claim, Withdrawn};
use crate::daemon::Daemon;

/// Difference of two ends in milliseconds that is disregarded: a rest is measured somewhere within a request, which may take long.
pub const JITTER: Millis = 60_000;
/// Time after which a block without an end is over for any daemon.
const LONGEST: Millis = 365 * 86_400_000;
/// Maximum number of claims.
pub const MOST: usize = 1 << 17;
/// Number of blocks of a word.
const AT_ONCE: usize = 256;

type Wanted = BTreeMap<IpAddr, (Millis, Option<Millis>)>;

/// The claims of one speaker.
#[derive(Debug)]
pub struct Claims {
    gateway: Gateway,
    file: PathBuf,
    /// Number of words per second that are said as news.
    rate: usize,
    /// By the speaker's own names for them.
    known: BTreeMap<String, Claim>,
    /// What the daemon has been told, by address: start and end.
    told: Wanted,
    /// What the daemon has been told and is over since, until it would have ended: start and end. Whether a daemon has heard
    /// the withdrawal is unknown.
    withdrawn: Withdrawn,
    /// The connection in which it was told.
    connection: u64,
    is_saved: bool,
}

impl Claims {
    /// Reads the claims that an earlier run has kept in a directory.
    #[must_use]
    pub fn load(gateway: Gateway, directory: &std::path::Path, rate: u32) -> Self {
        let file = directory.join(format!("{gateway}.json"));
        let (known, withdrawn) = file::read(&file);
        let told = by_address(&known);
        Self { gateway, file, rate: rate as usize, known, told, withdrawn, connection: 0, is_saved: true }
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

    /// Enters a claim, or a later end of a known one. Returns `false` if there is no room for it.
    #[must_use]
    pub fn put(&mut self, id: String, address: IpAddr, until: Option<Millis>, now: Millis) -> bool {
        if self.known.len() >= MOST && !self.known.contains_key(&id) {
            return false;
        }
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
        self.known.insert(id, Claim { address, since, until });
        self.is_saved = false;
        true
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
        let saved =
            if self.is_saved { Ok(()) } else { file::write(&self.file, &self.known, &self.withdrawn) };
        self.is_saved |= saved.is_ok();
        let connection = daemon.current();
        if connection != 0 {
            let is_new = std::mem::replace(&mut self.connection, connection) != connection;
            self.tell_changes(daemon, wanted, is_new, now).await;
        }
        saved
    }

    fn expire(&mut self, now: Millis) {
        let before = self.known.len();
        self.known.retain(|_, claim| claim.until.is_none_or(|until| until > now));
        self.told.retain(|_, (_, until)| until.is_none_or(|until| until > now));
        self.is_saved &= self.known.len() == before;
    }

    /// Makes what is wanted later than what has been told, where that would outlast it: of a peer's blocks of one source the
    /// latest counts, and of one block the latest end.
    fn supersede(&mut self) {
        let mut starts = BTreeMap::new();
        for (address, (since, until)) in by_address(&self.known) {
            let outlasts = |(start, end): &&(Millis, Option<Millis>)| {
                since < *start || (since == *start && !is_later(until, *end))
            };
            if let Some((start, _)) = self.told.get(&address).filter(outlasts) {
                starts.insert(address, start.saturating_add(1));
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
        for (address, (since, until)) in &self.told {
            let end = until.unwrap_or(since.saturating_add(LONGEST));
            self.withdrawn.insert(*address, (*since, end));
        }
        self.withdrawn.retain(|address, (_, end)| *end > now && !wanted.contains_key(address));
        let excess = self.withdrawn.len().saturating_sub(MOST);
        if excess > 0 {
            // Those that would end first harm least.
            let mut ends: Vec<(Millis, IpAddr)> =
                self.withdrawn.iter().map(|(address, (_, end))| (*end, *address)).collect();
            ends.sort_unstable();
            for (_, address) in ends.into_iter().take(excess) {
                self.withdrawn.remove(&address);
            }
        }
        self.is_saved &= self.withdrawn == before;
    }

    async fn tell_changes(&mut self, daemon: &Daemon, wanted: Wanted, is_new: bool, now: Millis) {
        let over = self.withdrawn.iter().filter(|(address, _)| is_new || self.told.contains_key(*address));
        let over: Vec<Said> = over.map(|(address, (since, _))| withdrawal(*address, *since, now)).collect();
        self.say(daemon, over, is_new).await;
        let lacks = |(address, it): &(&IpAddr, &(Millis, Option<Millis>))| {
            is_new || self.told.get(*address) != Some(*it)
        };
        let mut blocks: Vec<Said> = wanted
            .iter()
            .filter(lacks)
            .map(|(address, (since, until))| said(*address, *since, *until))
            .collect();
        // The daemon's quota is for the latest.
        blocks.sort_by_key(|block| std::cmp::Reverse(block.since));
        self.say(daemon, blocks, is_new).await;
        self.told = wanted;
    }

    /// Says words: a whole state at once, and news at their rate.
    async fn say(&self, daemon: &Daemon, blocks: Vec<Said>, state: bool) {
        let most = if state { AT_ONCE } else { AT_ONCE.min(self.rate) };
        let mut second = 0;
        for some in blocks.chunks(most) {
            if !state && second + some.len() > self.rate {
                sleep(Duration::from_secs(1)).await;
                second = 0;
            }
            second += some.len();
            let word = Word::Block { gateway: self.gateway.clone(), state, said: 0, blocks: some.to_vec() };
            daemon.say(self.connection, &word).await;
        }
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
    let mut all = BTreeMap::new();
    for Claim { address, since, until } in known.values() {
        let (latest, end) = all.entry(*address).or_insert((*since, *until));
        *latest = (*since).max(*latest);
        if is_later(*until, *end) {
            *end = *until;
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

fn said(address: IpAddr, since: Millis, until: Option<Millis>) -> Said {
    // None of these speakers says how the source was proven.
    Said { address, since, until, proof: "administrator".into(), kind: None, port: 0, protocol: None }
}

/// Returns a later block that is over already: of a peer's blocks of one source the latest counts.
fn withdrawal(address: IpAddr, since: Millis, now: Millis) -> Said {
    let since = now.saturating_sub(2).max(since + 1);
    said(address, since, Some(since + 1))
}

#[cfg(test)]
mod tests;
