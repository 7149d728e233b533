//! The maps of blocked and of fenced sources, which are authoritative.

use std::{net::IpAddr, os::fd::AsFd, sync::Arc};

use aya::maps::{HashMap, IterableMap, MapData, MapError};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    block::Block,
    gate::{Gated, Held},
};

use super::{Error, batch, error::os_error, gate::Gate};
use crate::policy::{PREFIXES, network_of};

/// `BPF_NOEXIST`: only insert.
const NO_EXIST: u64 = 1;

pub(super) type Raw = [u8; size_of::<Block>()];

/// Both families' maps of blocked or of fenced sources, with their gates.
#[derive(Debug)]
pub struct Blocked {
    v4: HashMap<MapData, [u8; 4], Raw>,
    v6: HashMap<MapData, [u8; 16], Raw>,
    names: [&'static str; 2],
    held: Held,
    gate: Arc<Gate>,
    capacity: u32,
}

impl Blocked {
    pub(super) fn new(
        (names, held): ([&'static str; 2], Held),
        v4: HashMap<MapData, [u8; 4], Raw>,
        v6: HashMap<MapData, [u8; 16], Raw>,
        gate: Arc<Gate>,
        capacity: u32,
    ) -> Self {
        Self { v4, v6, names, held, gate, capacity }
    }

    /// Returns the capacity per address family.
    pub(super) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Enters or replaces a block.
    pub fn insert(&mut self, source: IpAddr, block: &Block) -> Result<(), Error> {
        let value: Raw = bytemuck::cast(*block);
        let [v4, v6] = self.names;
        let (name, inserted) = match source {
            IpAddr::V4(source) => (v4, self.v4.insert(source.octets(), value, 0)),
            IpAddr::V6(source) => (v6, self.v6.insert(source.octets(), value, 0)),
        };
        inserted.map_err(|error| self.failure(name, error))?;
        self.open_gate(source, block);
        Ok(())
    }

    /// Lifts a block; a missing block is no error. The gate keeps the bit, which costs a look-up, until it is
    /// renewed.
    pub fn remove(&mut self, source: IpAddr) -> Result<(), Error> {
        let [v4, v6] = self.names;
        let (name, removed) = match source {
            IpAddr::V4(source) => (v4, self.v4.remove(&source.octets())),
            IpAddr::V6(source) => (v6, self.v6.remove(&source.octets())),
        };
        match removed {
            Err(error) if !is_absent(&error) => Err(Error::Map { map: name, source: error }),
            _ => Ok(()),
        }
    }

    /// Returns the block of `source`, even if it has expired.
    pub fn get(&self, source: IpAddr) -> Result<Option<Block>, Error> {
        let [v4, v6] = self.names;
        let (name, found) = match source {
            IpAddr::V4(source) => (v4, self.v4.get(&source.octets(), 0)),
            IpAddr::V6(source) => (v6, self.v6.get(&source.octets(), 0)),
        };
        match found {
            Ok(value) => Ok(Some(bytemuck::pod_read_unaligned(&value))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(Error::Map { map: name, source: error }),
        }
    }

    /// Enters or replaces many blocks at once.
    pub fn insert_all(&mut self, blocks: &[(IpAddr, Block)]) -> Result<(), Error> {
        let [v4, v6] = self.names;
        let (mut in_v4, mut in_v6) = (Vec::<([u8; 4], Raw)>::new(), Vec::<([u8; 16], Raw)>::new());
        for (source, block) in blocks {
            match source {
                IpAddr::V4(source) => in_v4.push((source.octets(), bytemuck::cast(*block))),
                IpAddr::V6(source) => in_v6.push((source.octets(), bytemuck::cast(*block))),
            }
        }
        let done = batch::update(self.v4.map().fd().as_fd(), &in_v4).map_err(|error| (v4, error));
        let done = done
            .and_then(|()| batch::update(self.v6.map().fd().as_fd(), &in_v6).map_err(|error| (v6, error)));
        // Done even if the update failed half-way.
        blocks.iter().for_each(|(source, block)| self.open_gate(*source, block));
        done.map_err(|(map, error)| match error.raw_os_error() {
            Some(number) if number == nix::Error::E2BIG as i32 => self.full(map),
            _ => Error::System { what: "writing many blocks", source: error },
        })
    }

    /// Enters blocks beside those of others: an existing entry is replaced only if `replaces` holds for it. Returns the
    /// entries that stay. The kernel's batches can't do that, and one call for each takes about a microsecond.
    pub fn insert_beside(
        &mut self,
        blocks: &[(IpAddr, Block)],
        replaces: impl Fn(&Block) -> bool,
    ) -> Result<Vec<(IpAddr, Block)>, Error> {
        let [v4, v6] = self.names;
        let mut others = Vec::new();
        for (source, block) in blocks {
            let value: Raw = bytemuck::cast(*block);
            let (name, inserted) = match source {
                IpAddr::V4(source) => (v4, self.v4.insert(source.octets(), value, NO_EXIST)),
                IpAddr::V6(source) => (v6, self.v6.insert(source.octets(), value, NO_EXIST)),
            };
            match inserted {
                Ok(()) => self.open_gate(*source, block),
                Err(error) if os_error(&error) == Some(nix::Error::EEXIST as i32) => {
                    match self.get(*source)?.filter(|old| !replaces(old)) {
                        Some(old) => others.push((*source, old)),
                        None => self.insert(*source, block)?,
                    }
                }
                Err(error) => return Err(self.failure(name, error)),
            }
        }
        Ok(others)
    }

    /// Lifts many blocks at once: see [`Blocked::remove`].
    pub fn remove_all(&mut self, sources: impl IntoIterator<Item = IpAddr>) -> Result<(), Error> {
        let (mut in_v4, mut in_v6) = (Vec::<[u8; 4]>::new(), Vec::<[u8; 16]>::new());
        for source in sources {
            match source {
                IpAddr::V4(source) => in_v4.push(source.octets()),
                IpAddr::V6(source) => in_v6.push(source.octets()),
            }
        }
        let done = batch::delete(self.v4.map().fd().as_fd(), &in_v4)
            .and_then(|()| batch::delete(self.v6.map().fd().as_fd(), &in_v6));
        done.map_err(|source| Error::System { what: "lifting many blocks", source })
    }

    /// Reads all blocks, including expired ones.
    pub fn read(&self) -> Result<Vec<(IpAddr, Block)>, Error> {
        let failed = |source| Error::System { what: "reading all blocks", source };
        let v4 = batch::read::<[u8; 4], Raw>(self.v4.map().fd().as_fd(), self.capacity).map_err(failed)?;
        let v6 = batch::read::<[u8; 16], Raw>(self.v6.map().fd().as_fd(), self.capacity).map_err(failed)?;
        let v4 = v4.into_iter().map(|(octets, value)| (octets.into(), bytemuck::pod_read_unaligned(&value)));
        let v6 = v6.into_iter().map(|(octets, value)| (octets.into(), bytemuck::pod_read_unaligned(&value)));
        Ok(v4.chain(v6).collect())
    }

    /// Sets the gate's bit of every source. Returns the sources like [`Blocked::read`].
    pub(super) fn fill_gate(&self) -> Result<Vec<(IpAddr, Block)>, Error> {
        let all = self.read()?;
        all.iter().for_each(|(source, block)| self.open_gate(*source, block));
        Ok(all)
    }

    /// Returns the entry of `source`, or of the network that contains it, with its key. The entry may have expired.
    pub fn holding(&self, source: IpAddr) -> Result<Option<(IpAddr, Block)>, Error> {
        let prefixes = if source.is_ipv6() { Some(PREFIXES.rev()) } else { None };
        for prefix in [0].into_iter().chain(prefixes.into_iter().flatten()) {
            let key = network_of(source, prefix).addr();
            if let Some(block) = self.get(key)?.filter(|block| block.prefix == prefix) {
                return Ok(Some((key, block)));
            }
        }
        Ok(None)
    }

    fn open_gate(&self, source: IpAddr, block: &Block) {
        if block.prefix == 0 && source.is_ipv6() {
            self.gate.set_alone();
        }
        match source {
            IpAddr::V4(source) => self.gate.set_v4(Ipv4::from(source).bit(), self.held),
            IpAddr::V6(source) => self.gate.set_v6(Ipv6::from(source).bit(), self.held),
        }
    }

    fn failure(&self, map: &'static str, source: MapError) -> Error {
        match os_error(&source) {
            Some(number) if number == nix::Error::E2BIG as i32 => self.full(map),
            _ => Error::Map { map, source },
        }
    }

    fn full(&self, map: &'static str) -> Error {
        Error::Full { map, capacity: self.capacity, remedy: "raise MAX_BLOCKED, or unblock sources" }
    }
}

fn is_absent(error: &MapError) -> bool {
    matches!(error, MapError::KeyNotFound) || os_error(error) == Some(nix::Error::ENOENT as i32)
}
