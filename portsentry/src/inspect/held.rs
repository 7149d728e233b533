//! The blocked and fenced hosts and networks in the kernel's maps.

use std::{borrow::Cow, cmp::Reverse, collections::BTreeMap, net::IpAddr, path::Path};

use ipnet::IpNet;
use portsentry_common::{
    block::{Block, Origin as By, Proof},
    classify::Protocol,
};
use serde::{Deserialize, Serialize};

use super::{
    error::Error,
    select::{Maker, Selection, Sort, is_of, overlap},
};
use crate::{
    config::Config,
    instant::Time,
    kernel::{Observer, monotonic_ns, wall_time},
    notation,
    policy::{BlockId, Ids, State, network_of},
    sink::{self, blocked_file, classic, id_file, origins::Origin, peer_file},
};

/// A listed source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// A host, or a network blocked by an administrator or by the block list.
    #[serde(with = "notation")]
    pub address: IpNet,
    /// Whether it is blocked or fenced.
    pub state: State,
    /// Start of the block or fence.
    pub since: Time,
    /// `None` for never.
    pub until: Option<Time>,
    /// Name of the proof that the source itself sent the probe.
    pub proof: Cow<'static, str>,
    /// `None` for an administrator's block.
    pub port: Option<u16>,
    /// Transport protocol of the last probe.
    pub protocol: Option<Cow<'static, str>>,
    /// Kind of the scan, or of the last probe.
    pub kind: Option<String>,
    /// Number of probes up to the block.
    pub hits: u32,
    /// Number of packets dropped since then.
    pub dropped: u64,
    /// The id of the block or fence. Entries of the block list have none.
    pub id: Option<BlockId>,
    /// The administrator's reason, from the blocked file, or the gateway that blocks it.
    pub reason: Option<String>,
    /// What it comes from.
    #[serde(default)]
    pub by: Maker,
    /// The gateway that says so, if it comes from the fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Its origin, which the command adds; `None` without `GEOIP_COUNTRY` and `GEOIP_ASN`.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Selected sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The sources, in order.
    pub sources: Vec<Listed>,
    /// Number of further selected sources, beyond the limit.
    pub left_out: usize,
    /// Reasons why ids or reasons are missing.
    pub problems: Vec<String>,
}

/// Returns the selected sources that are blocked or fenced now, at most `most`.
pub fn read(config: &Config, selection: &Selection, most: usize) -> Result<Held, Error> {
    match Observer::open(&config.pin_path)? {
        Some(observer) => observe(&observer, config, selection, most),
        None => Ok(Held::default()),
    }
}

/// Like [`read`], from open pins.
pub fn observe(
    observer: &Observer,
    config: &Config,
    selection: &Selection,
    most: usize,
) -> Result<Held, Error> {
    let now = monotonic_ns().unsigned_abs();
    let mut chosen = Chosen::new(selection, most);
    observer.walk(State::Fenced, |source, block| {
        let network = network_of(source, block.prefix);
        if !block.is_over(now) {
            chosen.add(source, Listed::new(network, State::Fenced, &block));
        }
    })?;
    // A source in both maps is blocked.
    observer.walk(State::Blocked, |source, block| {
        chosen.remove(source);
        let network = network_of(source, block.prefix);
        if !block.is_over(now) {
            chosen.add(source, Listed::new(network, State::Blocked, &block));
        }
    })?;
    let (mut sources, mut left_out) = chosen.finish();
    let networks = observer.networks()?.into_iter();
    let networks = networks.map(|(network, block)| Listed::new(network, State::Blocked, &block));
    sources.extend(networks.filter(|listed| is_chosen(listed, selection)));
    arrange(&mut sources, selection.sort);
    left_out += sources.len().saturating_sub(limit(selection, most));
    sources.truncate(limit(selection, most));
    let mut held = Held { sources, left_out, problems: Vec::new() };
    held.problems.extend(explain(&mut held.sources, config));
    held.problems.extend(identify(&mut held.sources, &config.blocked_file));
    held.problems.extend(name_gateways(&mut held.sources, &config.blocked_file));
    Ok(held)
}

fn limit(selection: &Selection, most: usize) -> usize {
    selection.limit.map_or(most, |limit| limit.min(most))
}

fn is_chosen(listed: &Listed, selection: &Selection) -> bool {
    selection.state.is_none_or(|state| listed.state == state)
        && selection.origin.is_none_or(|maker| listed.by == maker)
        && selection.kind.as_ref().is_none_or(|kind| is_of(listed.kind.as_deref(), kind))
        && selection.network.is_none_or(|network| overlap(network, listed.address))
}

/// Sorts sources.
pub fn arrange(sources: &mut [Listed], sort: Sort) {
    match sort {
        Sort::Since => sources.sort_by_key(|source| (source.since, source.address)),
        Sort::Dropped => sources.sort_by_key(|source| (Reverse(source.dropped), source.address)),
        Sort::Until => sources.sort_by_key(|source| (source.until.is_none(), source.until, source.address)),
        Sort::Hits => sources.sort_by_key(|source| (Reverse(source.hits), source.address)),
        Sort::Address => sources.sort_by_key(|source| source.address),
    }
}

/// The selected entries of the maps so far: only those that may be among the first, so that a large map takes little
/// memory.
struct Chosen<'a> {
    selection: &'a Selection,
    most: usize,
    entries: BTreeMap<IpAddr, Listed>,
    left_out: usize,
}

impl<'a> Chosen<'a> {
    fn new(selection: &'a Selection, most: usize) -> Self {
        Self { selection, most: limit(selection, most), entries: BTreeMap::new(), left_out: 0 }
    }

    fn add(&mut self, source: IpAddr, listed: Listed) {
        if is_chosen(&listed, self.selection) {
            self.entries.insert(source, listed);
        }
        if self.entries.len() > self.most.saturating_mul(2).saturating_add(64) {
            self.prune();
        }
    }

    fn remove(&mut self, source: IpAddr) {
        self.entries.remove(&source);
    }

    /// Drops the entries behind the first `most`.
    fn prune(&mut self) {
        let (mut sources, left_out) = Self { entries: std::mem::take(&mut self.entries), ..*self }.finish();
        self.left_out = left_out + sources.len().saturating_sub(self.most);
        sources.truncate(self.most);
        self.entries = sources.into_iter().map(|listed| (listed.address.addr(), listed)).collect();
    }

    /// Returns the entries in order, and the number of dropped ones.
    fn finish(self) -> (Vec<Listed>, usize) {
        let mut sources: Vec<Listed> = self.entries.into_values().collect();
        arrange(&mut sources, self.selection.sort);
        (sources, self.left_out)
    }
}

/// Adds the reasons in the blocked file. Returns the problem if it can't be read.
fn explain(sources: &mut [Listed], config: &Config) -> Option<String> {
    let (content, problem) = match sink::read(&config.blocked_file) {
        Ok(content) => (content, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let mut reasons = blocked_file::reasons(&content.unwrap_or_default());
    for source in sources.iter_mut().filter(|source| source.state == State::Blocked) {
        source.reason = reasons.remove(&source.address);
    }
    problem
}

/// Adds the ids. Returns the problem if their file can't be read.
fn identify(sources: &mut [Listed], blocked_file: &Path) -> Option<String> {
    let (ids, problem) = match id_file::read(blocked_file) {
        Ok(ids) => (ids, None),
        Err(error) => (Ids::default(), Some(error.to_string())),
    };
    sources.iter_mut().for_each(|source| source.id = ids.get(source.address));
    problem
}

/// Replaces the numbers of gateways by their names. Returns the problem if their file can't be read.
fn name_gateways(sources: &mut [Listed], blocked_file: &Path) -> Option<String> {
    let mut of_peers = sources.iter_mut().filter(|source| source.by == Maker::Peer).peekable();
    of_peers.peek()?;
    let (lines, problem) = match peer_file::read(blocked_file) {
        Ok(lines) => (lines, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    for source in of_peers {
        let number = source.gateway.take().and_then(|number| number.parse().ok());
        source.gateway = number.and_then(|number| peer_file::name(&lines, number)).map(str::to_owned);
        source.reason = Some(format!("gateway {}", source.gateway.as_deref().unwrap_or("unknown")));
    }
    problem
}

impl Listed {
    /// Returns the entry of a map.
    fn new(address: IpNet, state: State, block: &Block) -> Self {
        // An administrator's block has neither port nor kind.
        let protocol = Protocol::try_from(block.protocol).ok().filter(|_| block.port != 0);
        let until =
            (block.until_ns != 0).then(|| Time(wall_time(i64::try_from(block.until_ns).unwrap_or(i64::MAX))));
        let by = match By::try_from(block.origin) {
            Ok(By::Peer) => Maker::Peer,
            Ok(By::List) => Maker::List,
            _ => Maker::Own,
        };
        Self {
            address,
            state,
            since: Time(wall_time(block.since_ns)),
            until,
            proof: Proof::try_from(block.proof).map_or("unknown", Proof::name).into(),
            port: protocol.map(|_| block.port),
            protocol: protocol.map(|protocol| protocol.name().into()),
            kind: classic::entry_type(block),
            hits: block.hits,
            dropped: block.dropped,
            id: None,
            reason: None,
            by,
            gateway: (by == Maker::Peer).then(|| block.interface.to_string()),
            origin: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::policy::name_of;
    use portsentry_common::classify::Kind;

    fn listed(address: &str, second: u64, dropped: u64) -> Listed {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        Listed {
            address: address.parse::<IpAddr>().unwrap().into(),
            state: State::Blocked,
            since: Time(since),
            until: None,
            proof: "none".into(),
            port: Some(11),
            protocol: Some("TCP".into()),
            kind: Some("TCP SYN/Normal scan".into()),
            hits: 1,
            dropped,
            id: None,
            reason: None,
            by: Maker::Own,
            gateway: None,
            origin: None,
        }
    }

    fn fenced(address: &str, second: u64) -> Listed {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let until = Some(Time(since + Duration::from_mins(5)));
        Listed { state: State::Fenced, until, ..listed(address, second, 3) }
    }

    fn addresses(selection: &Selection, most: usize) -> (Vec<String>, usize) {
        let mut chosen = Chosen::new(selection, most);
        for source in [
            listed("192.0.2.9", 30, 5),
            listed("2001:db8::9", 10, 9),
            listed("192.0.2.10", 20, 7),
            fenced("198.51.100.7", 40),
        ] {
            chosen.add(source.address.addr(), source);
        }
        chosen.prune();
        let (sources, left_out) = chosen.finish();
        (sources.iter().map(|source| name_of(source.address)).collect(), left_out)
    }

    #[test]
    fn lists_are_filtered_and_sorted() {
        const ALL: Selection = Selection {
            state: None,
            network: None,
            kind: None,
            origin: None,
            sort: Sort::Since,
            limit: None,
            would: false,
        };
        let network = |text: &str| Some(text.parse().unwrap());
        for (selection, expected) in [
            (ALL, &["2001:db8::9", "192.0.2.10", "192.0.2.9", "198.51.100.7"][..]),
            (
                Selection { sort: Sort::Dropped, ..ALL },
                &["2001:db8::9", "192.0.2.10", "192.0.2.9", "198.51.100.7"],
            ),
            (
                Selection { sort: Sort::Address, ..ALL },
                &["192.0.2.9", "192.0.2.10", "198.51.100.7", "2001:db8::9"],
            ),
            (Selection { state: Some(State::Fenced), ..ALL }, &["198.51.100.7"]),
            (Selection { network: network("192.0.2.0/24"), ..ALL }, &["192.0.2.10", "192.0.2.9"]),
            (
                Selection { sort: Sort::Until, ..ALL },
                &["198.51.100.7", "192.0.2.9", "192.0.2.10", "2001:db8::9"],
            ),
            (
                Selection { kind: Some("SYN".into()), sort: Sort::Hits, ..ALL },
                &["192.0.2.9", "192.0.2.10", "198.51.100.7", "2001:db8::9"],
            ),
            (Selection { kind: Some("xmas".into()), ..ALL }, &[]),
            (Selection { network: network("2001:db8::9/128"), ..ALL }, &["2001:db8::9"]),
        ] {
            let (found, left_out) = addresses(&selection, usize::MAX);
            assert_eq!(
                (found.as_slice(), left_out),
                (&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..], 0),
                "{selection:?}"
            );
            let (found, left_out) = addresses(&Selection { limit: Some(1), ..selection.clone() }, 3);
            assert_eq!(found.first().map(String::as_str), expected.first().copied(), "{selection:?}");
            assert_eq!(found.len() + left_out, expected.len(), "{selection:?}");
        }
    }

    #[test]
    fn json_is_written_and_read() {
        let value = serde_json::to_value([fenced("192.0.2.9", 0)]).unwrap();
        let expected = serde_json::json!([{
            "address": "192.0.2.9", "state": "fenced", "since": "1970-01-01T00:00:00Z",
            "until": "1970-01-01T00:05:00Z", "proof": "none", "port": 11, "protocol": "TCP",
            "kind": "TCP SYN/Normal scan", "hits": 1, "dropped": 3, "id": null, "reason": null,
            "by": "own"
        }]);
        assert_eq!(value, expected);
        assert_eq!(serde_json::from_value::<Vec<Listed>>(value).unwrap(), [fenced("192.0.2.9", 0)]);
    }

    #[test]
    fn a_block_is_listed_as_the_map_holds_it() {
        let block = Block {
            since_ns: monotonic_ns(),
            until_ns: 0,
            dropped: 4,
            hits: 2,
            interface: 2,
            port: 69,
            protocol: 17,
            kind: Kind::Udp as u8,
            flags: 0,
            origin: 1,
            mirrored: 1,
            proof: Proof::Cookie as u8,
            prefix: 0,
            form: 0,
            guessed: 0,
            paced: 0,
        };
        let source = Listed::new(IpAddr::from([192, 0, 2, 9]).into(), State::Blocked, &block);
        assert_eq!(
            (source.until, source.proof, source.port, source.protocol, source.hits, source.dropped),
            (None, "cookie".into(), Some(69), Some("UDP".into()), 2, 4)
        );
        assert_eq!(source.kind.as_deref(), Some("UDP scan"));
        let odd = Listed::new(
            "203.0.113.0/24".parse().unwrap(),
            State::Blocked,
            &Block { kind: 99, proof: 99, port: 0, ..block },
        );
        assert_eq!(name_of(odd.address), "203.0.113.0/24");
        assert_eq!((odd.kind, odd.proof, odd.protocol), (None, "unknown".into(), None));
    }
}
