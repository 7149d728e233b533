//! The map of completed handshakes, to which both the kernel program and the daemon's traps add.

use std::{net::IpAddr, time::Duration};

use aya::maps::{HashMap, MapData, MapError};
use portsentry_common::{
    environment::HandshakeCount,
    tally::{Handshakes, Tally},
};

use super::{Error, error::os_error, monotonic_ns};

/// The map's name.
pub(super) const MAP: &str = "HANDSHAKES";

type Raw = [u8; size_of::<Handshakes>()];

/// Completed handshakes by source.
#[derive(Debug)]
pub struct HandshakesMap(HashMap<MapData, [u8; 16], Raw>);

impl HandshakesMap {
    pub(super) const fn new(map: HashMap<MapData, [u8; 16], Raw>) -> Self {
        Self(map)
    }

    /// Counts a handshake of `source` with the trap at `pair`, as the kernel program does.
    pub fn shake(&mut self, source: IpAddr, pair: u32, window: Duration) -> Result<HandshakeCount, Error> {
        let now_ns = now_ns();
        let window_ns = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        self.change(source, |handshakes| HandshakeCount {
            traps: handshakes.count(pair, now_ns, window_ns),
            is_connected: handshakes.is_connected(now_ns),
        })
    }

    /// Records that `source` has an established connection to this host.
    pub fn vouch(&mut self, source: IpAddr) -> Result<(), Error> {
        self.change(source, |handshakes| handshakes.connected_ns = now_ns())
    }

    /// Removes the completed handshakes of `source`.
    pub fn forget(&mut self, source: IpAddr) -> Result<(), Error> {
        let key = key(source);
        match self.get(&key)? {
            Some(handshakes) => self.put(&key, &Handshakes { traps: Tally::EMPTY, ..handshakes }),
            None => Ok(()),
        }
    }

    /// A concurrent write of a program may be lost, or this one.
    fn change<R>(&mut self, source: IpAddr, change: impl FnOnce(&mut Handshakes) -> R) -> Result<R, Error> {
        let key = key(source);
        let mut handshakes = self.get(&key)?.unwrap_or(Handshakes::NONE);
        let result = change(&mut handshakes);
        self.put(&key, &handshakes)?;
        Ok(result)
    }

    fn get(&self, key: &[u8; 16]) -> Result<Option<Handshakes>, Error> {
        match self.0.get(key, 0) {
            Ok(raw) => Ok(Some(bytemuck::pod_read_unaligned(&raw))),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) if os_error(&error) == Some(nix::Error::ENOENT as i32) => Ok(None),
            Err(error) => Err(Error::Map { map: MAP, source: error }),
        }
    }

    fn put(&mut self, key: &[u8; 16], handshakes: &Handshakes) -> Result<(), Error> {
        self.0.insert(key, bytemuck::cast::<Handshakes, Raw>(*handshakes), 0).map_err(Error::map(MAP))
    }
}

fn key(source: IpAddr) -> [u8; 16] {
    match source {
        IpAddr::V4(source) => source.to_ipv6_mapped().octets(),
        IpAddr::V6(source) => source.octets(),
    }
}

fn now_ns() -> u64 {
    monotonic_ns().unsigned_abs()
}
