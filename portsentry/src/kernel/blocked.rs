//! The blocked and the fenced maps: the truth about who is. It must not write files or decide who belongs there.

use std::{net::IpAddr, sync::Arc};

use aya::maps::{HashMap, MapData, MapError};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    block::Block,
    gate::Gated,
};

use super::{Error, error::os_error, gate::Gate};

pub(super) type Raw = [u8; size_of::<Block>()];

/// Both families' maps of blocked or of fenced sources, and the gates before them.
#[derive(Debug)]
pub struct Blocked {
    v4: HashMap<MapData, [u8; 4], Raw>,
    v6: HashMap<MapData, [u8; 16], Raw>,
    names: [&'static str; 2],
    gate: Arc<Gate>,
    capacity: u32,
}

impl Blocked {
    pub(super) fn new(
        names: [&'static str; 2],
        v4: HashMap<MapData, [u8; 4], Raw>,
        v6: HashMap<MapData, [u8; 16], Raw>,
        gate: Arc<Gate>,
        capacity: u32,
    ) -> Self {
        Self { v4, v6, names, gate, capacity }
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
        self.open_gate(source);
        Ok(())
    }

    /// Lifts a block; that none stood is no error. The gate keeps its bit, which costs a look-up, until the next
    /// start rebuilds it.
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

    /// The block of `source`, over or not.
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

    /// Every block, over or not, as they stand while the maps are walked.
    pub fn read(&self) -> Result<Vec<(IpAddr, Block)>, Error> {
        let [name_v4, name_v6] = self.names;
        let v4 = self.v4.iter().map(|entry| {
            let (octets, value) = entry.map_err(Error::map(name_v4))?;
            Ok((IpAddr::from(octets), bytemuck::pod_read_unaligned(&value)))
        });
        let v6 = self.v6.iter().map(|entry| {
            let (octets, value) = entry.map_err(Error::map(name_v6))?;
            Ok((IpAddr::from(octets), bytemuck::pod_read_unaligned(&value)))
        });
        v4.chain(v6).collect()
    }

    /// Sets the gate's bit of every blocked source.
    pub(super) fn fill_gate(&self) -> Result<(), Error> {
        for (source, _) in self.read()? {
            self.open_gate(source);
        }
        Ok(())
    }

    fn open_gate(&self, source: IpAddr) {
        match source {
            IpAddr::V4(source) => self.gate.set_v4(Ipv4::from(source).bit()),
            IpAddr::V6(source) => self.gate.set_v6(Ipv6::from(source).bit()),
        }
    }

    fn failure(&self, map: &'static str, source: MapError) -> Error {
        match os_error(&source) {
            Some(number) if number == nix::Error::E2BIG as i32 => {
                Error::Full { map, capacity: self.capacity, remedy: "raise MAX_BLOCKED, or unblock sources" }
            }
            _ => Error::Map { map, source },
        }
    }
}

fn is_absent(error: &MapError) -> bool {
    matches!(error, MapError::KeyNotFound) || os_error(error) == Some(nix::Error::ENOENT as i32)
}
