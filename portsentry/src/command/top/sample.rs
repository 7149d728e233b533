//! Samples of the pinned maps, from the pins or from the daemon.

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime},
};

use ipnet::IpNet;
use portsentry_common::{block::Block, counter::Counters};

use crate::{
    command::{looked, mode},
    config::Config,
    control::{Mode, Request},
    inspect::{error::Error, sample, would::WouldBe},
    kernel::{Fill, Waiting},
    modes::Modes,
    policy::{State, enforcement::Strength},
};

/// The source of samples: the maps in `PIN_PATH`, or the daemon for users who may not read them.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    pub config: Config,
    pub modes: Modes,
}

impl Feed {
    /// Takes a sample.
    pub(super) fn sample(&self) -> Result<Sample, Error> {
        let taken = Instant::now();
        let read = || sample::read(&self.config, usize::MAX);
        let found = looked::try_look(&self.config, read, &Request::Top {})?;
        // An answer of the daemon's has its mode, and the sources that it would hold.
        let mode = found
            .mode
            .clone()
            .or_else(|| found.maps.as_ref().map(|_| mode::current(&self.config, self.modes, found.daemon)));
        let is_observing = mode.as_ref().is_some_and(|mode| mode.name == Strength::Observing.name());
        let found = if is_observing && found.would.is_none() {
            found.observing(&self.config, usize::MAX)
        } else {
            found
        };
        Ok(Sample {
            taken,
            now: SystemTime::now(),
            maps: found.maps.map(Maps::from),
            interfaces: found.interfaces,
            daemon: found.daemon,
            directory: self.config.pin_path.display().to_string(),
            mode,
            would: found.would,
        })
    }
}

/// A sample.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub taken: Instant,
    pub now: SystemTime,
    /// `None` if nothing is pinned.
    pub maps: Option<Maps>,
    pub interfaces: Vec<String>,
    pub daemon: Option<i32>,
    pub directory: String,
    pub mode: Option<Mode>,
    /// The sources that would be held, while PortSentry only observes.
    pub would: Option<Result<WouldBe, String>>,
}

/// The contents of the maps.
#[derive(Clone, Debug)]
pub(super) struct Maps {
    /// In nanoseconds of `CLOCK_MONOTONIC`.
    pub now_ns: u64,
    pub counters: Counters,
    pub sources: BTreeMap<IpNet, (State, Block)>,
    /// Number of further ones.
    pub left_out: usize,
    pub blocked: Fill,
    pub fenced: Fill,
    pub ring: Waiting,
}

impl From<sample::Maps> for Maps {
    fn from(maps: sample::Maps) -> Self {
        let sample::Maps { now_ns, counters, sources, left_out, blocked, fenced, ring } = maps;
        let sources = sources.into_iter().map(|source| (source.address, (source.state, source.into())));
        Self { now_ns, counters, sources: sources.collect(), left_out, blocked, fenced, ring }
    }
}
