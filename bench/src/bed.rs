//! PortSentry's kernel program, loaded with a given number of blocked sources.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
};

use anyhow::{Context, Result};
use aya::programs::{SchedClassifier, Xdp};
use bytemuck::Zeroable;
use ipnet::IpNet;
use portsentry::kernel::{BoundSocket, Kernel, Load, Pins, Ring, Watched, monotonic_ns};
use portsentry_common::{
    block::Block,
    bound::{Horizon, stamp},
    classify::Protocol,
    environment::Locality,
    gate::Gated,
    settings::Settings,
};

use crate::{
    directory::Directory,
    leaving::BEHIND,
    paths::{BLOCKED, FENCED, HONEST, OWN, SERVED, UNWATCHED, settings},
    sources::{FAMILIES, Family},
};

/// Parameters of the load.
#[derive(Clone, Debug)]
pub(crate) struct Making {
    pub(crate) settings: Settings,
    /// Blocked sources of each address family.
    pub(crate) blocked: u32,
    /// Number of watched ports of each protocol, starting at 0, without [`UNWATCHED`].
    pub(crate) ports: u32,
    /// Networks of each address family that are never blocked.
    pub(crate) ignored: u32,
    /// Blocked networks of each address family.
    pub(crate) networks: u32,
    /// Entries of each map of fenced and of counted sources, and of learned ports.
    pub(crate) entries: u32,
    /// Number of sets of suspects in the memory of scans.
    pub(crate) scan_sets: u32,
}

/// The loaded program. It sees the sockets and addresses of the network namespace.
pub(crate) struct Bed {
    pub(crate) kernel: Kernel,
    blocked: u32,
    _ring: Ring,
    pins: Directory,
}

/// The interface on which a test run's frames arrive: loopback.
const INTERFACE: u32 = 1;

impl Making {
    /// Returns parameters that watch all ports of advanced mode.
    pub(crate) fn new(blocked: u32) -> Self {
        let settings = Settings { event_rate: 0, fence_ns: 1, ..settings() };
        Self { settings, blocked, ports: 1 << 16, ignored: 0, networks: 0, entries: 1 << 16, scan_sets: 1 }
    }

    /// Loads the program.
    pub(crate) fn load(&self) -> Result<Bed> {
        let pins = Directory::new()?;
        let load = Load {
            settings: self.settings,
            max_blocked: self.capacity(),
            max_networks: 2 * self.networks.max(1),
            max_addresses: 16_384.max(self.ignored),
            max_fenced: self.entries,
            max_sources: self.entries,
            max_served: self.entries,
            scan_sets: self.scan_sets,
            ring_size: 1 << 20,
            debug: false,
        };
        let (kernel, ring) = load.load(Pins::open(pins.path())?)?;
        let mut bed = Bed { kernel, blocked: self.blocked, _ring: ring, pins };
        bed.watch(self.ports)?;
        bed.serve()?;
        bed.kernel.set_constants(INTERFACE, 1500)?;
        bed.know_networks(self.ignored)?;
        bed.block()?;
        bed.block_networks(self.networks)?;
        bed.kernel.settle_gates()?;
        Ok(bed)
    }

    /// Returns the capacity of each blocked map.
    fn capacity(&self) -> u32 {
        capacity(self.blocked)
    }
}

impl Bed {
    pub(crate) fn program(&self) -> Result<&Xdp> {
        Ok(self.kernel.program()?)
    }

    /// Returns the program for outgoing packets.
    pub(crate) fn egress(&self) -> Result<&SchedClassifier> {
        Ok(self.kernel.egress()?)
    }

    /// Returns the pin of the map called `name`, and the capacity of a blocked map.
    pub(crate) fn blocked_map(&self, name: &str) -> (PathBuf, u32) {
        (self.pins.path().join(name), capacity(self.blocked))
    }

    fn watch(&mut self, ports: u32) -> Result<()> {
        let mut words = Box::new([0_u64; 1024]);
        for port in (0..ports).filter(|port| *port != u32::from(UNWATCHED)) {
            words[port as usize / 64] |= 1 << (port % 64);
        }
        self.kernel.watch(Watched::AdvancedTcp, &words)?;
        Ok(self.kernel.watch(Watched::AdvancedUdp, &words)?)
    }

    /// Fills the table of bound ports as a running daemon does: all binds are known, and [`SERVED`] is served on every
    /// address.
    fn serve(&mut self) -> Result<()> {
        let bound = self.kernel.bound.as_mut().context("a table of bound ports")?;
        let now = stamp(monotonic_ns().unsigned_abs());
        let service = |protocol| BoundSocket {
            protocol,
            address: Ipv6Addr::UNSPECIFIED.into(),
            port: SERVED,
            device: 0,
            is_ipv6_only: false,
            is_connected: false,
            is_multipath: false,
        };
        let interfaces = (1..10).map(|interface| (interface, BTreeSet::from([interface])));
        bound.set_devices(interfaces.collect())?;
        bound.stamp(&[Protocol::Tcp, Protocol::Udp].map(service), now, 0)?;
        let before = now.saturating_sub(1);
        // The daemon lists sockets every two seconds; this list never grows old.
        let horizon = Horizon {
            open: before,
            bound: before,
            dumped: u32::MAX,
            is_complete: 1,
            traps: [0; 4],
            is_flat: 1,
        };
        Ok(bound.publish(&horizon)?)
    }

    fn know_networks(&mut self, ignored: u32) -> Result<()> {
        let own = OWN.map(|address| (address, Locality::Own));
        let behind = BEHIND.map(|address| (address, Locality::Protected));
        let local = own
            .into_iter()
            .chain(behind)
            .map(|(address, locality)| Ok((address.parse::<IpAddr>()?.into(), locality as u32)));
        self.kernel.local.replace(&local.collect::<Result<_>>()?)?;
        let networks = distant(ignored).map(|source| (source.into(), 1));
        Ok(self.kernel.ignored.replace(&networks.collect())?)
    }

    fn block_networks(&mut self, count: u32) -> Result<()> {
        let networks = distant(count).map(|source| {
            let length = if source.is_ipv4() { 24 } else { 48 };
            Ok((IpNet::new(source, length)?.trunc(), Block::zeroed()))
        });
        Ok(self.kernel.networks.replace(&networks.collect::<Result<_>>()?)?)
    }

    fn block(&mut self) -> Result<()> {
        let block = Block::zeroed();
        let bit_of = |address: &str| bit(address.parse().unwrap_or([0; 4].into()));
        for (family, spared) in
            FAMILIES.into_iter().zip([0, 1].map(|at| [HONEST, FENCED].map(|of| bit_of(of[at]))))
        {
            let sources = (0..self.blocked).map(|number| family.source(number));
            let blocks = sources.filter(|source| !spared.contains(&bit(*source)));
            let blocks = blocks.map(|source| (source, block));
            self.kernel.blocked.insert_all(&blocks.collect::<Vec<_>>())?;
        }
        for address in BLOCKED {
            self.kernel.blocked.insert(address.parse().context(address)?, &block)?;
        }
        Ok(())
    }

    /// Fences a source permanently.
    pub(crate) fn fence(&mut self, address: &str) -> Result<()> {
        let block = Block { until_ns: u64::MAX, ..Block::zeroed() };
        Ok(self.kernel.fenced.insert(address.parse().context("an address")?, &block)?)
    }
}

/// Returns sources of each address family, numbered backwards from the end, so that no walk reaches them.
fn distant(count: u32) -> impl Iterator<Item = IpAddr> {
    (0..count).flat_map(|number| FAMILIES.map(|family| family.source(u32::MAX - number)))
}

/// Returns the name of a blocked map.
pub(crate) const fn blocked_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "BLOCKED_V4",
        Family::V6 => "BLOCKED_V6",
    }
}

/// Returns a capacity with room for the numbered sources and those blocked by address.
const fn capacity(blocked: u32) -> u32 {
    blocked + 16
}

/// Returns the address's bit in its family's gate.
fn bit(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => portsentry_common::address::Ipv4::from(address).bit(),
        IpAddr::V6(address) => portsentry_common::address::Ipv6::from(address).bit(),
    }
}
