//! A sample of the pinned maps, for `top`.

use std::{cmp::Reverse, collections::BTreeMap};

use bytemuck::Zeroable;
use ipnet::IpNet;
use nix::net::if_::if_indextoname;
use portsentry_common::{block::Block, counter::Counters};
use serde::{Deserialize, Serialize};

use super::{
    error::Error,
    select::{Selection, Sort},
    would::{self, WouldBe},
};
use crate::{
    config::Config,
    control::Mode,
    kernel::{Fill, Observer, Waiting, monotonic_ns},
    notation,
    policy::{State, network_of},
};

/// A sample.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// `None` if nothing is pinned.
    pub maps: Option<Maps>,
    /// The interfaces to which the program is attached.
    pub interfaces: Vec<String>,
    /// The running daemon's process.
    pub daemon: Option<i32>,
    /// The mode of enforcement, if the daemon itself has taken the sample.
    pub mode: Option<Mode>,
    /// The sources that would be blocked or fenced, or the reason why they are unknown; `None` unless PortSentry only
    /// observes.
    #[serde(default)]
    pub would: Option<Result<WouldBe, String>>,
}

impl Sample {
    /// Adds at most `most` sources that would be blocked or fenced, those with the most packets first.
    #[must_use]
    pub fn observing(self, config: &Config, most: usize) -> Self {
        let selection = Selection { sort: Sort::Hits, ..Selection::default() };
        let would = would::read(config, &selection, most).map_err(|error| error.to_string());
        Self { would: Some(would), ..self }
    }
}

/// The contents of the maps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maps {
    /// Time of the sample in nanoseconds of `CLOCK_MONOTONIC`.
    pub now_ns: u64,
    /// The counters.
    #[serde(with = "notation::counters")]
    pub counters: Counters,
    /// The blocked and fenced networks.
    pub sources: Vec<Source>,
    /// Number of further ones, beyond the limit.
    pub left_out: usize,
    /// Fill level of the maps of blocked sources.
    pub blocked: Fill,
    /// Fill level of the maps of fenced sources.
    pub fenced: Fill,
    /// The ring's size and its unread data.
    pub ring: Waiting,
}

/// A blocked or fenced network, with the fields of its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "`Block` documents its fields")]
pub struct Source {
    #[serde(with = "notation")]
    pub address: IpNet,
    pub state: State,
    pub since_ns: i64,
    pub until_ns: u64,
    pub dropped: u64,
    pub hits: u32,
    pub interface: u32,
    pub port: u16,
    pub protocol: u8,
    pub kind: u8,
    pub flags: u8,
    pub origin: u8,
    pub proof: u8,
    pub prefix: u8,
}

impl Source {
    fn new(address: IpNet, state: State, block: &Block) -> Self {
        Self {
            address,
            state,
            since_ns: block.since_ns,
            until_ns: block.until_ns,
            dropped: block.dropped,
            hits: block.hits,
            interface: block.interface,
            port: block.port,
            protocol: block.protocol,
            kind: block.kind,
            flags: block.flags,
            origin: block.origin,
            proof: block.proof,
            prefix: block.prefix,
        }
    }
}

impl From<Source> for Block {
    fn from(source: Source) -> Self {
        Self {
            since_ns: source.since_ns,
            until_ns: source.until_ns,
            dropped: source.dropped,
            hits: source.hits,
            interface: source.interface,
            port: source.port,
            protocol: source.protocol,
            kind: source.kind,
            flags: source.flags,
            origin: source.origin,
            proof: source.proof,
            prefix: source.prefix,
            ..Self::zeroed()
        }
    }
}

/// Takes a sample with at most `most` sources: half of them those with the most dropped packets, the others the newest.
pub fn read(config: &Config, most: usize) -> Result<Sample, Error> {
    let Some(observer) = Observer::open(&config.pin_path)? else { return Ok(Sample::default()) };
    let name = |index: u32| Some(if_indextoname(index).ok()?.to_string_lossy().into_owned());
    Ok(Sample {
        maps: Some(maps(&observer, most)?),
        interfaces: observer.links().into_iter().filter_map(name).collect(),
        daemon: observer.daemon(),
        ..Sample::default()
    })
}

fn maps(observer: &Observer, most: usize) -> Result<Maps, Error> {
    let now_ns = monotonic_ns().unsigned_abs();
    let (mut sources, mut count) = (BTreeMap::new(), 0_usize);
    let mut add = |network, state, block: Block| {
        if !block.is_over(now_ns) {
            let is_new = sources.insert(network, Source::new(network, state, &block)).is_none();
            count += usize::from(is_new);
        }
        // A large map takes little memory.
        if sources.len() > most.saturating_mul(4) {
            let kept = shortened(std::mem::take(&mut sources).into_values().collect(), most);
            sources.extend(kept.into_iter().map(|source| (source.address, source)));
        }
    };
    // A source in both maps is blocked.
    for state in [State::Fenced, State::Blocked] {
        observer.walk(state, |source, block| add(network_of(source, block.prefix), state, block))?;
    }
    for (network, block) in observer.networks()? {
        add(network, State::Blocked, block);
    }
    let sources = shortened(sources.into_values().collect(), most);
    Ok(Maps {
        now_ns,
        counters: observer.counters()?,
        left_out: count.saturating_sub(sources.len()),
        sources,
        blocked: observer.fill(State::Blocked)?,
        fenced: observer.fill(State::Fenced)?,
        ring: observer.ring()?,
    })
}

fn shortened(mut sources: Vec<Source>, most: usize) -> Vec<Source> {
    if sources.len() > most {
        sources.sort_unstable_by_key(|source| Reverse(source.dropped));
        if let Some(rest) = sources.get_mut(most / 2..) {
            rest.sort_unstable_by_key(|source| Reverse(source.since_ns));
        }
        sources.truncate(most);
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8, dropped: u64, since_ns: i64) -> Source {
        let block = Block { dropped, since_ns, port: 11, protocol: 6, ..Block::zeroed() };
        Source::new(std::net::IpAddr::from([192, 0, 2, last]).into(), State::Fenced, &block)
    }

    #[test]
    fn the_busiest_and_the_newest_are_kept() {
        let all = vec![source(1, 9, 1), source(2, 8, 2), source(3, 0, 3), source(4, 0, 9), source(5, 0, 4)];
        let kept: Vec<IpNet> = shortened(all.clone(), 4).iter().map(|source| source.address).collect();
        let expected = [1, 2, 4, 5].map(|last| IpNet::from(std::net::IpAddr::from([192, 0, 2, last])));
        assert_eq!(kept, expected);
        assert_eq!(shortened(all.clone(), 5), all);
    }

    #[test]
    fn a_sample_is_written_and_read() {
        let fill = Fill { ipv4: 1, ipv6: 0, capacity: 8 };
        let would = Some(Err("no evidence".into()));
        let sample = Sample {
            would,
            maps: Some(Maps {
                now_ns: 7,
                counters: Counters { probes: 3, chain: 4, ..Counters::zeroed() },
                sources: vec![source(1, 2, -3)],
                left_out: 0,
                blocked: fill,
                fenced: fill,
                ring: Waiting { size: 4096, used: 8 },
            }),
            interfaces: vec!["eth0".into()],
            daemon: Some(1),
            mode: None,
        };
        let value = serde_json::to_value(&sample).unwrap();
        assert_eq!(serde_json::from_value::<Sample>(value).unwrap(), sample);
        let block = Block::from(source(1, 2, -3));
        assert_eq!(Source::new("192.0.2.1/32".parse().unwrap(), State::Fenced, &block), source(1, 2, -3));
    }
}
