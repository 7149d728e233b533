//! Maps by source in which both the kernel program and the daemon's traps count probes and completed handshakes.

use std::{marker::PhantomData, net::IpAddr, time::Duration};

use aya::maps::{HashMap, MapData, MapError};
use bytemuck::Pod;
use portsentry_common::{
    address::Ipv6,
    environment::HandshakeCount,
    tally::{Handshakes, Tally},
};

use super::{Error, error::os_error, monotonic_ns};

/// The map of completed handshakes.
pub(super) const HANDSHAKES: &str = "HANDSHAKES";
/// The map of probes.
pub(super) const TALLIES: &str = "SOURCES";

/// A map with a value for each source. If a program writes at the same time, one of the two counts may be lost.
#[derive(Debug)]
struct PerSource<T, const SIZE: usize> {
    map: HashMap<MapData, [u8; 16], [u8; SIZE]>,
    name: &'static str,
    kind: PhantomData<T>,
}

impl<T: Pod, const SIZE: usize> PerSource<T, SIZE> {
    fn change<R>(&mut self, source: IpAddr, new: T, change: impl FnOnce(&mut T) -> R) -> Result<R, Error> {
        let mut value = self.get(source)?.unwrap_or(new);
        let result = change(&mut value);
        self.put(source, value)?;
        Ok(result)
    }

    fn get(&self, source: IpAddr) -> Result<Option<T>, Error> {
        match self.map.get(&key(source), 0) {
            Ok(raw) => Ok(Some(bytemuck::pod_read_unaligned(&raw))),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) if os_error(&error) == Some(nix::Error::ENOENT as i32) => Ok(None),
            Err(error) => Err(Error::Map { map: self.name, source: error }),
        }
    }

    fn put(&mut self, source: IpAddr, value: T) -> Result<(), Error> {
        let value: [u8; SIZE] = bytemuck::cast(value);
        self.map.insert(key(source), value, 0).map_err(Error::map(self.name))
    }
}

/// Completed handshakes by source.
#[derive(Debug)]
pub struct HandshakesMap(PerSource<Handshakes, { size_of::<Handshakes>() }>);

impl HandshakesMap {
    pub(super) const fn new(map: HashMap<MapData, [u8; 16], [u8; size_of::<Handshakes>()]>) -> Self {
        Self(PerSource { map, name: HANDSHAKES, kind: PhantomData })
    }

    /// Counts a handshake of `source` with the trap at `pair`, as the kernel program does.
    pub fn shake(&mut self, source: IpAddr, pair: u32, window: Duration) -> Result<HandshakeCount, Error> {
        let now_ns = now_ns();
        self.0.change(source, Handshakes::NONE, |handshakes| HandshakeCount {
            traps: handshakes.count(pair, now_ns, nanoseconds(window)),
            is_connected: handshakes.is_connected(now_ns),
        })
    }

    /// Records that `source` has an established connection to this host.
    pub fn vouch(&mut self, source: IpAddr) -> Result<(), Error> {
        self.0.change(source, Handshakes::NONE, |handshakes| handshakes.connected_ns = now_ns())
    }

    /// Clears the record of traps with which `source` has completed handshakes.
    pub fn forget(&mut self, source: IpAddr) -> Result<(), Error> {
        match self.0.get(source)? {
            Some(handshakes) => self.0.put(source, Handshakes { traps: Tally::EMPTY, ..handshakes }),
            None => Ok(()),
        }
    }
}

/// Probes by source.
#[derive(Debug)]
pub struct TalliesMap(PerSource<Tally, { size_of::<Tally>() }>);

impl TalliesMap {
    pub(super) const fn new(map: HashMap<MapData, [u8; 16], [u8; size_of::<Tally>()]>) -> Self {
        Self(PerSource { map, name: TALLIES, kind: PhantomData })
    }

    /// Counts a probe of `source` at `pair`, as the kernel program does. Returns the number of its probes.
    pub fn count(&mut self, source: IpAddr, pair: u32, window: Duration) -> Result<u32, Error> {
        self.0.change(source, Tally::EMPTY, |tally| tally.count(pair, now_ns(), nanoseconds(window)))
    }
}

fn key(source: IpAddr) -> [u8; 16] {
    Ipv6::from(source).octets
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn now_ns() -> u64 {
    monotonic_ns().unsigned_abs()
}
