//! Samples of the pinned maps.

use std::{collections::BTreeMap, time::Instant};

use ipnet::IpNet;
use nix::net::if_::if_indextoname;
use portsentry_common::{block::Block, counter::Counters};

use crate::{
    command::mode,
    config::Config,
    control::Mode,
    kernel::{Error, Fill, Observer, Waiting, monotonic_ns},
    modes::Modes,
    policy::{State, network_of},
};

/// The source of samples: the maps in `PIN_PATH`.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    pub config: Config,
    pub modes: Modes,
}

impl Feed {
    /// Takes a sample.
    pub(super) fn sample(&self) -> Result<Sample, Error> {
        let taken = Instant::now();
        let directory = &self.config.pin_path;
        let observer = Observer::open(directory)?;
        let maps = observer.as_ref().map(Maps::read).transpose()?;
        let links = observer.as_ref().map(Observer::links).unwrap_or_default();
        let name = |index: u32| Some(if_indextoname(index).ok()?.to_string_lossy().into_owned());
        Ok(Sample {
            taken,
            maps,
            interfaces: links.into_iter().filter_map(name).collect(),
            daemon: observer.as_ref().and_then(Observer::daemon),
            directory: directory.display().to_string(),
            mode: observer.as_ref().map(|observer| mode::current(&self.config, self.modes, observer)),
        })
    }
}

/// A sample.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub taken: Instant,
    /// `None` if nothing is pinned.
    pub maps: Option<Maps>,
    pub interfaces: Vec<String>,
    pub daemon: Option<i32>,
    pub directory: String,
    pub mode: Option<Mode>,
}

/// The contents of the maps.
#[derive(Clone, Debug)]
pub(super) struct Maps {
    /// In nanoseconds of `CLOCK_MONOTONIC`.
    pub now_ns: u64,
    pub counters: Counters,
    pub sources: BTreeMap<IpNet, (State, Block)>,
    pub blocked: Fill,
    pub fenced: Fill,
    pub ring: Waiting,
}

impl Maps {
    fn read(observer: &Observer) -> Result<Self, Error> {
        let now_ns = monotonic_ns().unsigned_abs();
        let mut sources = BTreeMap::new();
        // A source in both maps is blocked.
        for state in [State::Fenced, State::Blocked] {
            let standing = observer.sources(state)?.into_iter().filter(|(_, block)| !block.is_over(now_ns));
            let named = standing.map(|(source, block)| (network_of(source, block.prefix), (state, block)));
            sources.extend(named);
        }
        let networks = observer.networks()?.into_iter().filter(|(_, block)| !block.is_over(now_ns));
        sources.extend(networks.map(|(network, block)| (network, (State::Blocked, block))));
        Ok(Self {
            now_ns,
            counters: observer.counters()?,
            sources,
            blocked: observer.fill(State::Blocked)?,
            fenced: observer.fill(State::Fenced)?,
            ring: observer.ring()?,
        })
    }
}
