//! What `portsentry status` shows: whether enforcement is attached, the daemon's process, and the counters.

use nix::net::if_::if_indextoname;
use portsentry_common::{counter::Counters, settings::FencedSyns};
use serde::{Deserialize, Serialize};

use super::{
    bound_ports::BoundPorts,
    error::Error,
    fence::{self, fenced_syns},
    gaps::Gaps,
    scans::Scans,
};
use crate::{
    config::Config,
    kernel::{Fill, Observer, Outgoing, Ports},
    notation,
    policy::State,
};

/// The report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether PortSentry's kernel program is attached to an interface.
    pub is_attached: bool,
    /// The interfaces for which a link is pinned.
    pub interfaces: Vec<Interface>,
    /// The running daemon's process.
    pub daemon: Option<i32>,
    /// Interfaces and networks that are not in effect, and the mode.
    #[serde(flatten)]
    pub gaps: Gaps,
    /// `None` if no maps are pinned.
    pub maps: Option<Maps>,
}

/// An interface for which a link is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// `None` if no interface has this index: it is gone, or is in another network namespace.
    pub name: Option<String>,
    /// The attachment of the program for outgoing packets; `None` if that can't be read.
    #[serde(default)]
    pub outgoing: Option<Outgoing>,
}

/// The contents of the maps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maps {
    /// Fill level of the maps of blocked sources.
    pub blocked: Fill,
    /// Fill level of the maps of fenced sources.
    pub fenced: Fill,
    /// Blocked networks.
    pub networks: usize,
    /// Number of watched ports.
    pub ports: Ports,
    /// State of the table of bound ports.
    pub bound_ports: BoundPorts,
    /// The kind of answer to fenced sources' SYNs.
    #[serde(with = "fence")]
    pub fenced_syns: FencedSyns,
    /// What other hosts' answers decide (`ANSWERS`): `off`, `observe` or `enforce`. `None` if that can't be read.
    #[serde(default)]
    pub answers: Option<String>,
    /// The detection of scans that avoid traps. `None` if that can't be read.
    #[serde(default)]
    pub scans: Option<Scans>,
    /// The ring's size in bytes.
    pub ring: u32,
    /// Memory of all maps, in bytes.
    pub memory: u64,
    /// Seconds since the daemon's last heartbeat.
    pub silence: Option<u64>,
    /// Seconds without a heartbeat after which no packet is dropped (`OPEN_AFTER`), or 0 for never.
    pub open_after: u64,
    /// The counters since the maps were created.
    #[serde(with = "notation::counters")]
    pub counters: Counters,
}

impl Report {
    /// Reads the state, without the gaps.
    pub fn read(config: &Config) -> Result<Self, Error> {
        let Some(observer) = Observer::open(&config.pin_path)? else { return Ok(Self::default()) };
        let name = |index| if_indextoname(index).ok().map(|name| name.to_string_lossy().into_owned());
        let interfaces: Vec<_> = observer
            .links()
            .into_iter()
            .map(|index| {
                let outgoing = observer.outgoing(index).ok();
                Interface { index, name: name(index), outgoing }
            })
            .collect();
        let daemon = observer.daemon();
        Ok(Self {
            is_attached: interfaces.iter().any(|interface| interface.name.is_some()),
            interfaces,
            daemon,
            gaps: Gaps::default(),
            maps: Some(Maps {
                blocked: observer.fill(State::Blocked)?,
                fenced: observer.fill(State::Fenced)?,
                networks: observer.networks()?.len(),
                ports: observer.ports()?,
                bound_ports: BoundPorts::new(observer.bound()?, daemon.is_some()),
                fenced_syns: fenced_syns(config, &observer),
                answers: observer.answers().ok().map(|answers| answers.to_string()),
                scans: observer.scans().ok().map(Scans::from),
                ring: observer.ring_size()?,
                memory: observer.memory()?,
                silence: observer.silence()?.map(|silence| silence.as_secs()),
                open_after: config.open_after.as_secs(),
                counters: observer.counters()?,
            }),
        })
    }
}
