//! The kernel's maps of blocked and fenced networks, by network: hosts and networks of `IPV6_PREFIX` are in the maps
//! of sources, all others in the map of networks.

use std::time::SystemTime;

use ipnet::IpNet;
use portsentry_common::{
    block::{Block, Origin, Proof},
    classify::Protocol,
};

use super::{Keeper, peer_entries::peer_entry};
use crate::{
    kernel::{self, Kernel, Moment},
    policy::{
        Hold, Scan, Sighting, SourceState, is_host, network_of, peers, prefix_of,
        register::{Case, Change},
    },
};

impl Keeper {
    /// Changes the maps for the network of `case`.
    pub(super) fn change(&mut self, change: Change, case: &Case) -> Result<(), kernel::Error> {
        let (network, hold) = (case.record.network, &case.record.hold);
        match change {
            Change::Enter => self.enter(network, hold),
            Change::Extend => {
                let Some(block) = self.entry(network, false)? else { return Ok(()) };
                self.insert(network, false, &Block { until_ns: end_ns(hold.until), ..block })
            }
            Change::Remove => self.remove(network),
            Change::Forget => self.kernel.handshakes.forget(network.addr()),
            Change::Acquit => self.acquit(network),
        }
    }

    /// Clears the failed first contacts of the sources in `network`.
    pub(super) fn acquit(&self, network: IpNet) -> Result<(), kernel::Error> {
        match &self.kernel.scans {
            Some(scans) => scans.acquit(network, self.scope.prefix()),
            None => Ok(()),
        }
    }

    /// Enters a network without a current probe. An existing entry keeps the kernel's data.
    pub(super) fn enter(&mut self, network: IpNet, hold: &Hold) -> Result<(), kernel::Error> {
        let new = entry_of(network, hold);
        let old = self.entry(network, hold.is_fence)?.filter(|old| !is_of_others(old));
        let block = old.map_or(new, |old| Block {
            until_ns: new.until_ns,
            proof: new.proof,
            mirrored: new.mirrored,
            ..old
        });
        self.insert(network, hold.is_fence, &block)
    }

    /// Enters the source of a visit to a trap, or of a scan.
    pub(super) fn enter_judged(&mut self, sighting: &Sighting) -> Result<(), kernel::Error> {
        let network = sighting.network();
        let mut hold = sighting.hold();
        hold.until = self.register.until(network, &hold);
        let origin = if sighting.scan.is_some() { Origin::Scan } else { Origin::Trigger };
        let block = Block {
            origin: origin as u8,
            form: sighting.scan.as_ref().map_or(0, Scan::form),
            kind: sighting.kind as u8,
            flags: sighting.flags,
            interface: sighting.interface,
            hits: sighting.hits,
            ..entry_of(network, &hold)
        };
        self.insert(network, hold.is_fence, &block)
    }

    /// Returns a network's current entry in the maps.
    pub(super) fn standing(&self, network: IpNet) -> Result<Option<SourceState>, kernel::Error> {
        let now = Moment::now();
        let standing_in = |is_fence| -> Result<Option<SourceState>, kernel::Error> {
            Ok(self.entry(network, is_fence)?.and_then(|block| standing(network, &block, is_fence, now)))
        };
        Ok(standing_in(false)?.or(standing_in(true)?))
    }

    /// Marks in the map that the files show a network, as fenced or as blocked. If the kernel has blocked it
    /// meanwhile, the files have yet to show that.
    pub(super) fn mark(&mut self, network: IpNet) -> Result<(), kernel::Error> {
        let Some(is_fence) = self.register.ledger().get(network).map(|hold| hold.is_fence) else {
            return Ok(());
        };
        match self.entry(network, is_fence)? {
            Some(block) if block.mirrored == 0 => {
                self.insert(network, is_fence, &Block { mirrored: 1, ..block })
            }
            _ => Ok(()),
        }
    }

    /// Whether a network belongs in the map of networks.
    fn is_apart(&self, network: IpNet) -> bool {
        !is_host(network) && !self.scope.is_prefix(network)
    }

    fn entry(&self, network: IpNet, is_fence: bool) -> Result<Option<Block>, kernel::Error> {
        let Kernel { blocked, fenced, networks, .. } = &self.kernel;
        if self.is_apart(network) {
            return if is_fence { Ok(None) } else { networks.get(network) };
        }
        let map = if is_fence { fenced } else { blocked };
        Ok(map.get(network.addr())?.filter(|block| block.prefix == prefix_of(network)))
    }

    fn insert(&mut self, network: IpNet, is_fence: bool, block: &Block) -> Result<(), kernel::Error> {
        let is_apart = self.is_apart(network);
        let Kernel { blocked, fenced, networks, .. } = &mut self.kernel;
        match (is_apart, is_fence) {
            (true, _) => networks.insert(network, block),
            (false, true) => fenced.insert(network.addr(), block),
            (false, false) => blocked.insert(network.addr(), block),
        }
    }

    /// Removes a network from every map, unless the block list contains it or a peer blocks it: then its entry stays.
    fn remove(&mut self, network: IpNet) -> Result<(), kernel::Error> {
        let is_listed = self.is_listed(network);
        let successors = if is_listed { Vec::new() } else { self.succeed(network) };
        let Kernel { blocked, fenced, networks, .. } = &mut self.kernel;
        let prefix = prefix_of(network);
        match (is_listed, is_host(network)) {
            // A full map might not accept it again.
            (true, true) => blocked.insert(network.addr(), &listed_entry())?,
            (true, false) => networks.insert(network, &listed_entry())?,
            (false, true) => {}
            (false, false) => networks.remove(network)?,
        }
        for change in &successors {
            if let peers::Change::Enter { enforced, .. } = change {
                let map = if enforced.is_fence { &mut *fenced } else { &mut *blocked };
                map.insert(network.addr(), &peer_entry(network, enforced))?;
            }
        }
        for map in [blocked, fenced] {
            let is_it = |block: Block| block.prefix == prefix && !is_of_others(&block);
            if map.get(network.addr())?.is_some_and(is_it) {
                map.remove(network.addr())?;
            }
        }
        Ok(())
    }
}

/// Returns the unexpired fences and blocks in the maps of sources. A source in both maps appears twice, and is
/// blocked.
pub(super) fn standings<'a>(
    blocked: &'a [(std::net::IpAddr, Block)],
    fenced: &'a [(std::net::IpAddr, Block)],
) -> impl Iterator<Item = SourceState> + use<'a> {
    let now = Moment::now();
    let each = [(fenced, true), (blocked, false)].into_iter();
    each.flat_map(move |(map, is_fence)| {
        map.iter().filter_map(move |(source, block)| {
            standing(network_of(*source, block.prefix), block, is_fence, now)
        })
    })
}

/// Whether an entry belongs to the block list or to a peer: no file repeats it.
pub(super) const fn is_of_others(block: &Block) -> bool {
    block.origin == Origin::List as u8 || block.origin == Origin::Peer as u8
}

/// Returns an entry's state, unless it has expired or belongs to others.
pub(super) fn standing(network: IpNet, block: &Block, is_fence: bool, now: Moment) -> Option<SourceState> {
    let now_ns = u64::try_from(now.monotonic_ns).unwrap_or_default();
    if block.is_over(now_ns) || is_of_others(block) {
        return None;
    }
    let until = i64::try_from(block.until_ns).ok().filter(|until| *until != 0);
    let hold = Hold {
        since: now.wall_time(block.since_ns),
        until: until.map(|until| now.wall_time(until)),
        port: block.port,
        protocol: Protocol::try_from(block.protocol).unwrap_or(Protocol::Tcp),
        proof: Proof::try_from(block.proof).unwrap_or(Proof::None),
        is_fence,
    };
    Some(SourceState { network, hold, mirrored: block.mirrored != 0 })
}

/// Returns an end in the form of the kernel's maps. An end in the past counts as expired.
fn end_ns(until: Option<SystemTime>) -> u64 {
    u64::try_from(until.map_or(0, kernel::monotonic_at)).unwrap_or(1)
}

/// Returns the entry of a network that the files name, or soon will.
pub(super) fn entry_of(network: IpNet, hold: &Hold) -> Block {
    Block {
        since_ns: kernel::monotonic_at(hold.since.min(SystemTime::now())),
        until_ns: end_ns(hold.until),
        port: hold.port,
        protocol: hold.protocol as u8,
        origin: Origin::File as u8,
        proof: hold.proof as u8,
        prefix: prefix_of(network),
        ..bytemuck::Zeroable::zeroed()
    }
}

/// Returns the entry of a source on the block list.
pub(super) fn listed_entry() -> Block {
    Block {
        since_ns: kernel::monotonic_ns(),
        origin: Origin::List as u8,
        proof: Proof::Administrator as u8,
        mirrored: 1,
        ..bytemuck::Zeroable::zeroed()
    }
}
