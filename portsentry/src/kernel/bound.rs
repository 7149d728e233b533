//! The table of bound ports in the kernel's maps: stamps the sockets found by a dump, and publishes the stamps that
//! count.

mod devices;
mod slots;
mod sockets;
mod state;
mod upkeep;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::AsFd,
    time::Duration,
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, IterableMap, Map, MapData, MapError},
};
use bytemuck::Zeroable;
use portsentry_common::{
    address::Ipv6,
    bound::{
        AHEAD, BELOW, Below, EVERY_IPV4, EVERY_IPV6, Horizon, NEEDS_SYN, Reach, ServedKey, reach, slot, stamp,
    },
};

use self::slots::Slots;
use super::{Error, Pins, batch, clock::monotonic_ns};

pub use self::{
    devices::Devices,
    sockets::{BoundSocket, Sockets},
    state::BoundState,
    upkeep::{Source, Upkeep},
};

pub(super) const SLOTS: &str = "BOUND";
pub(super) const HORIZON: &str = "BOUND_HORIZON";
pub(super) const SERVED: &str = "SERVED";
pub(super) const DEVICES: &str = "DEVICES";
/// The map of the latest stamp of a service that must see the SYN.
pub(super) const NEEDS_SYN_MAP: &str = "NEEDS_SYN";

/// Maximum time that a dump waits for the kernel's next message.
const PATIENCE: Duration = Duration::from_secs(5);

/// The horizon in the maps' form.
pub(super) type RawHorizon = [u8; size_of::<Horizon>()];
type RawKey = [u8; size_of::<ServedKey>()];
type RawBelow = [u8; size_of::<Below>()];

/// For each device, the watched interfaces through which packets reach its sockets.
type Above = BTreeMap<u32, BTreeSet<u32>>;

/// The table.
pub struct Bound {
    slots: Slots,
    horizon: Array<MapData, RawHorizon>,
    served: HashMap<MapData, RawKey, u32>,
    devices: HashMap<MapData, u32, RawBelow>,
    needs_syn: Array<MapData, u32>,
    above: Above,
    /// Whether ports stay served for a while (`SERVED_GRACE`).
    keeps_served: bool,
}

impl Bound {
    /// Opens the table pinned in `pins`, with its own handles: the kernel program's must stay open for programs
    /// loaded later.
    pub(super) fn open(pins: &Pins, keeps_served: bool) -> Result<Self, Error> {
        fn get<T: TryFrom<Map, Error = MapError>>(
            pins: &Pins,
            name: &'static str,
            kind: fn(MapData) -> Map,
        ) -> Result<T, Error> {
            let map = MapData::from_pin(pins.map(name)).and_then(|data| T::try_from(kind(data)));
            map.map_err(Error::map(name))
        }
        let slots: Array<MapData, u64> = get(pins, SLOTS, Map::Array)?;
        Ok(Self {
            slots: Slots::of(&slots)?,
            horizon: get(pins, HORIZON, Map::Array)?,
            served: get(pins, SERVED, Map::LruHashMap)?,
            devices: get(pins, DEVICES, Map::HashMap)?,
            needs_syn: get(pins, NEEDS_SYN_MAP, Map::Array)?,
            above: Above::new(),
            keeps_served,
        })
    }

    /// Makes sockets bound to a device count for the interfaces in `above`.
    pub fn set_devices(&mut self, above: Above) -> Result<(), Error> {
        if above == self.above {
            return Ok(());
        }
        if !is_flat(&above) {
            // Before the entries, because without the flag programs don't look for them.
            let raw = self.horizon.get(&0, 0).map_err(Error::map(HORIZON))?;
            let horizon = Horizon { is_flat: 0, ..bytemuck::cast(raw) };
            self.horizon.set(0, bytemuck::cast::<_, RawHorizon>(horizon), 0).map_err(Error::map(HORIZON))?;
        }
        for (device, interfaces) in &above {
            // For a device with more interfaces, only the dumps count.
            let mut below = Below { flags: flags(*device, &above), ..Below::zeroed() };
            below.interfaces.iter_mut().zip(interfaces.iter().take(BELOW)).for_each(|(to, from)| *to = *from);
            self.devices
                .insert(device, bytemuck::cast::<_, RawBelow>(below), 0)
                .map_err(Error::map(DEVICES))?;
        }
        let gone: Vec<u32> =
            self.devices.keys().flatten().filter(|device| !above.contains_key(device)).collect();
        for device in gone {
            self.devices.remove(&device).map_err(Error::map(DEVICES))?;
        }
        self.above = above;
        Ok(())
    }

    /// Stamps the ports and addresses that `sockets` serve with `now`. Returns the bound ports without a stamp later
    /// than `horizon`: unless they are ephemeral, the hooks missed a bind.
    pub fn stamp(&mut self, sockets: &[BoundSocket], now: u32, horizon: u32) -> Result<Vec<u16>, Error> {
        let mut unseen = Vec::new();
        let mut served: Vec<(ServedKey, u32)> = Vec::new();
        for socket in sockets {
            let halves = Ipv6::from(socket.address).halves();
            let reached: &[(u8, [u64; 2])] = match reach(halves) {
                Reach::Nowhere => continue,
                Reach::One => &[(if socket.address.is_ipv4() { 4 } else { 6 }, halves)],
                Reach::EveryIpv4 => &[(4, EVERY_IPV4)],
                Reach::EveryIpv6 if socket.is_ipv6_only => &[(6, EVERY_IPV6)],
                Reach::EveryIpv6 => &[(6, EVERY_IPV6), (4, EVERY_IPV4)],
            };
            for (version, at) in reached {
                let slot = slot(socket.protocol, *version, socket.port);
                if self.slots.bound(slot) <= horizon {
                    unseen.push(socket.port);
                }
                self.slots.set_bound(slot, now);
                if socket.is_multipath {
                    served.push((ServedKey::new(*at, NEEDS_SYN, socket.port, socket.protocol as u8), now));
                }
                let is_open = reach(*at) != Reach::One;
                let stamp = if self.is_hidden(socket.device) { now + AHEAD } else { now };
                let key =
                    |interface| (ServedKey::new(*at, interface, socket.port, socket.protocol as u8), stamp);
                match self.interfaces(socket) {
                    Interfaces::None => {}
                    Interfaces::Every if is_open => self.slots.set_open(slot, now),
                    Interfaces::Every => served.push(key(0)),
                    Interfaces::Some(interfaces) => {
                        let keys = interfaces.iter().copied().map(key);
                        if socket.is_connected {
                            served.extend(keys.clone().map(|(key, stamp)| (key.connected(), stamp)));
                        }
                        served.extend(keys);
                    }
                }
            }
        }
        if served.iter().any(|(key, _)| key.interface == NEEDS_SYN) {
            self.note_needs_syn(now)?;
        }
        batch::update(self.served.map().fd().as_fd(), &served)
            .map_err(|source| Error::System { what: "writing to the map of served addresses", source })?;
        Ok(unseen)
    }

    /// Raises the latest stamp of a service that must see the SYN.
    fn note_needs_syn(&mut self, stamp: u32) -> Result<(), Error> {
        let latest = self.needs_syn.get(&0, 0).map_err(Error::map(NEEDS_SYN_MAP))?;
        self.needs_syn.set(0, latest.max(stamp), 0).map_err(Error::map(NEEDS_SYN_MAP))
    }

    /// Whether a look-up from the receiving interface can miss sockets bound to `device`.
    fn is_hidden(&self, device: u32) -> bool {
        self.above.get(&device).is_some_and(|interfaces| is_hidden(device, interfaces))
    }

    /// Returns the interfaces for which a socket counts without a look-up.
    fn interfaces(&self, socket: &BoundSocket) -> Interfaces<'_> {
        // A look-up finds this socket, so that it needs a stamp only for the time after it is closed. A connected
        // socket needs none.
        let counts_later = self.keeps_served && !socket.is_connected;
        match (socket.device, self.above.get(&socket.device)) {
            (0, _) if counts_later => Interfaces::Every,
            (1.., Some(interfaces)) if counts_later || self.is_hidden(socket.device) => {
                Interfaces::Some(interfaces)
            }
            _ => Interfaces::None,
        }
    }

    /// Publishes the horizon, and whether devices lie above watched interfaces.
    pub fn publish(&mut self, horizon: &Horizon) -> Result<(), Error> {
        let horizon = Horizon { is_flat: is_flat(&self.above).into(), ..*horizon };
        self.horizon.set(0, bytemuck::cast::<_, RawHorizon>(horizon), 0).map_err(Error::map(HORIZON))
    }
}

/// Makes programs look for services that must see the SYN, for a day: those of an earlier version are in the map of served
/// addresses, but that version noted no latest stamp.
pub(super) fn expect_needs_syn(ebpf: &mut Ebpf) -> Result<(), Error> {
    let map = ebpf.map_mut(NEEDS_SYN_MAP).ok_or_else(|| Error::Missing(NEEDS_SYN_MAP.into()))?;
    let mut map: Array<&mut MapData, u32> = Array::try_from(map).map_err(Error::map(NEEDS_SYN_MAP))?;
    map.set(0, stamp(monotonic_ns().unsigned_abs()), 0).map_err(Error::map(NEEDS_SYN_MAP))
}

/// Whether the devices are known, and none lies above a watched interface.
fn is_flat(above: &Above) -> bool {
    !above.is_empty() && above.keys().all(|device| flags(*device, above) & Below::HAS_ABOVE == 0)
}

/// The interfaces on which a socket's packets arrive.
enum Interfaces<'a> {
    None,
    Every,
    Some(&'a BTreeSet<u32>),
}

/// Returns [`Below::flags`] of a device.
fn flags(device: u32, above: &Above) -> u32 {
    let mut flags = 0;
    if above.get(&device).is_some_and(|interfaces| is_hidden(device, interfaces)) {
        flags |= Below::HIDDEN;
    }
    if above.iter().any(|(other, interfaces)| *other != device && interfaces.contains(&device)) {
        flags |= Below::HAS_ABOVE;
    }
    flags
}

/// Whether a look-up can miss sockets of a device that receives packets from `interfaces`.
fn is_hidden(device: u32, interfaces: &BTreeSet<u32>) -> bool {
    interfaces.iter().any(|interface| *interface != device)
}
