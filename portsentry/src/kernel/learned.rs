//! The maps of ports learned from other hosts' answers.

use std::{
    net::{Ipv6Addr, SocketAddr},
    path::Path,
};

use aya::maps::{HashMap, Map, MapData, MapError};
use portsentry_common::{
    address::Ipv6,
    classify::Protocol,
    learned::{PortKey, SERVED_NS},
};

use super::{Error, clock::monotonic_ns, error::os_error};

/// The map of served ports.
pub(super) const SERVED: &str = "LEARNED_SERVED";
/// The map of refused ports.
pub(super) const REFUSED: &str = "LEARNED_REFUSED";
/// The map of failed connections.
pub(super) const FAILURES: &str = "FAILURES";

/// Returns a random key for the hashes of questions.
pub(super) fn random_key() -> Result<u64, Error> {
    getrandom::u64()
        .map_err(|error| Error::System { what: "asking for random numbers", source: error.into() })
}

/// A port of another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LearnedPort {
    /// The address to which clients send, and the port.
    pub at: SocketAddr,
    /// The transport protocol.
    pub protocol: Protocol,
    /// Whether it is served; otherwise it is refused.
    pub is_served: bool,
    /// Time of its last answer in nanoseconds of `CLOCK_MONOTONIC`.
    pub answered_ns: u64,
}

type Ports = HashMap<MapData, [u8; size_of::<PortKey>()], u64>;

/// The learned ports, in a directory of pins.
#[derive(Debug)]
pub struct LearnedPorts([Learned; 2]);

/// One of the maps.
#[derive(Debug)]
struct Learned {
    map: Ports,
    name: &'static str,
    /// Maximum number of entries to read. The kernel restarts a walk if entries disappear; twice the map's size is a
    /// sufficient limit.
    most: usize,
}

impl LearnedPorts {
    /// Opens the maps in `directory`. Returns `None` if an earlier version pinned the maps there.
    pub fn open(directory: &Path) -> Result<Option<Self>, Error> {
        if !directory.join(SERVED).exists() {
            return Ok(None);
        }
        let open = |name| -> Result<_, Error> {
            let data = MapData::from_pin(directory.join(name)).map_err(Error::map(name))?;
            let most = 2 * data.info().map_err(Error::map(name))?.max_entries() as usize;
            Ok(Learned {
                map: HashMap::try_from(Map::LruHashMap(data)).map_err(Error::map(name))?,
                name,
                most,
            })
        };
        Ok(Some(Self([open(SERVED)?, open(REFUSED)?])))
    }

    /// Returns all ports, ordered by address.
    pub fn read(&self) -> Result<Vec<LearnedPort>, Error> {
        let mut ports = Vec::new();
        for (Learned { map, name, most }, is_served) in self.0.iter().zip([true, false]) {
            for entry in map.iter().take(*most) {
                let (key, answered_ns) = entry.map_err(Error::map(name))?;
                ports.extend(port(&key, is_served, answered_ns));
            }
        }
        ports.sort_unstable();
        ports.dedup();
        Ok(ports)
    }

    /// Whether a TCP port has answered within a day. One that can't be looked up has not.
    #[must_use]
    pub fn has_answered(&self, at: SocketAddr) -> bool {
        let [Learned { map, .. }, _] = &self.0;
        let now_ns = monotonic_ns().unsigned_abs();
        map.get(&bytemuck::cast(key(at, Protocol::Tcp)), 0)
            .is_ok_and(|answered_ns| now_ns.saturating_sub(answered_ns) < SERVED_NS)
    }

    /// Forgets a port. Returns whether it was known.
    pub fn forget(&mut self, port: &LearnedPort) -> Result<bool, Error> {
        let key = key(port.at, port.protocol);
        let Learned { map, name, .. } = &mut self.0[usize::from(!port.is_served)];
        match map.remove(&bytemuck::cast(key)) {
            Ok(()) => Ok(true),
            Err(MapError::KeyNotFound) => Ok(false),
            Err(error) if os_error(&error) == Some(nix::Error::ENOENT as i32) => Ok(false),
            Err(source) => Err(Error::Map { map: name, source }),
        }
    }
}

fn key(at: SocketAddr, protocol: Protocol) -> PortKey {
    PortKey::new(bytemuck::cast(Ipv6::from(at.ip()).octets), at.port(), protocol as u8)
}

/// Returns the port of a map's key, unless another version wrote the key.
fn port(key: &[u8; size_of::<PortKey>()], is_served: bool, answered_ns: u64) -> Option<LearnedPort> {
    let PortKey { address, port, protocol, .. } = bytemuck::pod_read_unaligned(key);
    let address = Ipv6Addr::from(address.octets).to_canonical();
    let protocol = Protocol::try_from(protocol).ok()?;
    Some(LearnedPort { at: SocketAddr::new(address, port), protocol, is_served, answered_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_port() {
        for (text, protocol) in [("192.0.2.7:80", Protocol::Tcp), ("[2001:db8::7]:53", Protocol::Udp)] {
            let at: SocketAddr = text.parse().unwrap();
            let found = port(&bytemuck::cast(key(at, protocol)), true, 5).unwrap();
            assert_eq!(found, LearnedPort { at, protocol, is_served: true, answered_ns: 5 });
        }
        assert_eq!(port(&[0; 24], true, 5), None, "no protocol");
    }
}
