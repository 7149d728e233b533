//! The block lists: that of the administrator (`BLOCK_LIST`), and those of a directory (`BLOCK_LISTS`).

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ipnet::IpNet;
use portsentry_common::block::{Block, Origin};

use crate::{
    config::{
        BlockList, Config,
        lists::{self, Found, NamedList},
    },
    metrics::ListStats,
    policy::network_of,
    sink::watch::ANY,
};

/// Minimum interval between two counts of hits.
const PAUSE: Duration = Duration::from_secs(30);
/// Maximum share of the time that counting takes: one part in so many.
const SHARE: u32 = 50;

/// The block lists.
#[derive(Debug)]
pub(super) struct Listed {
    /// All entries together.
    pub list: BlockList,
    pub path: PathBuf,
    /// The administrator's.
    pub own: BlockList,
    directory: Option<PathBuf>,
    lists: Vec<NamedList>,
    problems: Vec<(String, String)>,
    is_counted: bool,
    next_count: Option<Instant>,
}

impl Listed {
    pub(super) fn new(own: BlockList, config: &Config) -> Self {
        let mut listed = Self {
            list: BlockList::default(),
            path: config.block_list.clone(),
            own,
            directory: config.block_lists.clone(),
            lists: Vec::new(),
            problems: Vec::new(),
            is_counted: false,
            next_count: None,
        };
        listed.refresh();
        listed.merge();
        // The first refresh of the running daemon reports them.
        listed.problems.clear();
        listed
    }

    /// Whether `path` is that of a list, or of the directory.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.path == path || self.directory.as_ref().is_some_and(|directory| directory.join(ANY) == path)
    }

    /// Whether the lists contain a network.
    pub(super) fn names(&self, network: IpNet) -> bool {
        lists::names(&self.list, network)
    }

    /// Whether the lists are empty.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Reads the directory again. Of a list with an error the last valid content stays. Returns the names of the lists
    /// that changed, with their contents in words, and the new errors.
    pub(super) fn refresh(&mut self) -> (Vec<String>, Vec<String>) {
        let Some(directory) = &self.directory else { return Default::default() };
        let Found { lists: mut new, problems } = lists::read(directory);
        let old = std::mem::take(&mut self.lists);
        let is_unreadable = |list: &NamedList| {
            let is_it = |(name, _): &(String, String)| *name == list.name || name == "BLOCK_LISTS";
            !new.iter().any(|it| it.name == list.name) && problems.iter().any(is_it)
        };
        let (kept, gone): (Vec<NamedList>, Vec<NamedList>) = old.iter().cloned().partition(is_unreadable);
        let gone = gone.iter().filter(|list| !new.iter().any(|it| it.name == list.name));
        let mut changes: Vec<String> = gone.map(|list| format!("{} (removed)", list.name)).collect();
        for list in &new {
            if !old.iter().any(|it| it.name == list.name && it.list == list.list) {
                let (hosts, networks) = (list.list.hosts.len(), list.list.networks.len());
                changes.push(format!("{} ({hosts} hosts, {networks} networks)", list.name));
            }
        }
        new.extend(kept);
        new.sort_by(|one, other| one.name.cmp(&other.name));
        self.lists = new;
        let news = problems.iter().filter(|problem| !self.problems.contains(problem));
        let news =
            news.map(|(name, problem)| format!("block list {name}: {problem}; its last valid content stays"));
        let news = news.collect();
        self.problems = problems;
        (changes, news)
    }

    /// Updates the entries of all lists together.
    pub(super) fn merge(&mut self) {
        let lists = self.lists.iter().map(|list| &list.list);
        self.list = lists::merged(lists.chain([&self.own]));
        self.next_count = None;
    }

    /// Whether the hits should be counted.
    pub(super) fn is_count_due(&self) -> bool {
        let is_any = !self.lists.is_empty() || !self.own.is_empty() || self.is_counted;
        is_any && self.next_count.is_none_or(|next| next <= Instant::now())
    }

    /// Counts the entries in force and their dropped packets, list by list, since `begin`, when the maps began to be read.
    pub(super) fn count(
        &mut self,
        blocked: &[(IpAddr, Block)],
        networks: &BTreeMap<IpNet, Block>,
        begin: Instant,
    ) -> Vec<ListStats> {
        let hosts = blocked.iter().map(|(source, block)| (network_of(*source, block.prefix), block));
        let all = hosts.chain(networks.iter().map(|(network, block)| (*network, block)));
        let held: Vec<(IpNet, u64)> = all
            .filter(|(_, block)| block.origin == Origin::List as u8)
            .map(|(network, block)| (network, block.dropped))
            .collect();
        let stats = |name: &str, list: &BlockList| {
            let (in_force, dropped) = lists::hits(list, &held);
            ListStats {
                name: name.into(),
                entries: list.hosts.len() + list.networks.len(),
                in_force,
                dropped,
            }
        };
        let named = self.lists.iter().map(|list| stats(&list.name, &list.list));
        let own = (!self.own.is_empty()).then(|| stats("BLOCK_LIST", &self.own));
        let counted: Vec<ListStats> = own.into_iter().chain(named).collect();
        self.is_counted = !counted.is_empty();
        self.next_count = Some(Instant::now() + PAUSE.max(begin.elapsed() * SHARE));
        counted
    }
}
