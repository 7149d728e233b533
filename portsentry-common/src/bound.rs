//! The table of bound ports: the ports to which sockets of this host are or were bound. The bind hooks and the
//! daemon's dumps stamp them. A stamp is never cleared; a [`Horizon`] says which stamps count.

use bytemuck::{Pod, Zeroable};

use crate::{
    address::Ipv6,
    classify::{Kind, Probe, Protocol},
    settings::Settings,
};

/// Number of slots in the table: one for each transport protocol, IP version and port.
pub const SLOTS: usize = 1 << 18;
/// Stamps per second.
pub const PER_SECOND: u32 = 15;
/// Number of stamps by which a socket that no look-up finds is stamped ahead. No other check shows that such a
/// socket is still open, and a dump may be late.
pub const AHEAD: u32 = 5 * PER_SECOND;
/// Maximum age of a dump, in stamps, with which an unstamped port counts as unbound without a look-up: five
/// seconds.
pub const FRESH: u32 = 5 * PER_SECOND;

/// The mark (`SO_MARK`) of the daemon's own sockets that are bound to a trap's address, so that they don't count as
/// services.
pub const OWN_MARK: u32 = 0x7073_7472;

/// Returns the stamp for this time of `CLOCK_MONOTONIC`. Its unit is 67 ms, so that 32 bits last nine years. Never
/// 0.
#[expect(clippy::cast_possible_truncation, reason = "it exceeds 32 bits only after nine years")]
#[inline(always)]
#[must_use]
pub const fn stamp(now_ns: u64) -> u32 {
    (now_ns >> 26) as u32 + 1
}

/// The table's entry for one port.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Slot {
    /// Time when a socket bound to the port, on any address except loopback, was last seen.
    pub bound: u32,
    /// Time when a socket that accepts packets to every address of the host, on any interface, was last seen.
    pub open: u32,
}

/// Returns the number of a port's slot.
#[inline(always)]
#[must_use]
pub const fn slot(protocol: Protocol, version: u8, port: u16) -> usize {
    let protocol = matches!(protocol, Protocol::Udp) as usize;
    protocol << 17 | ((version == 6) as usize) << 16 | port as usize
}

/// The stamps that count. The daemon publishes it after each dump. After the daemon dies, the last one stays valid.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Horizon {
    /// A port with a later [`Slot::open`] is served, as is an address with a later stamp in the map of served
    /// addresses.
    pub open: u32,
    /// A port with a later [`Slot::bound`] needs a look-up.
    pub bound: u32,
    /// Time of the last dump, or 0 before the first.
    pub dumped: u32,
    /// 1 if the hooks see every bind, so that a port without a stamp is unbound.
    pub is_complete: u32,
    /// The ports of the daemon's own traps, which are no services, in the order of [`trap`], or 0 for none.
    pub traps: [u32; 4],
    /// 1 if no device lies above any watched interface, so that no interface need be looked up.
    pub is_flat: u32,
}

/// Returns the index of a family's trap in [`Horizon::traps`].
#[inline(always)]
#[must_use]
pub const fn trap(protocol: Protocol, version: u8) -> usize {
    (version == 6) as usize + 2 * matches!(protocol, Protocol::Udp) as usize
}

/// The state of a packet's port, according to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Its port is served on every address, or was a moment ago.
    Served,
    /// Its port is not bound.
    Unbound,
    /// A look-up is needed.
    Unknown,
}

impl Horizon {
    /// Before the first dump, every packet needs a look-up.
    pub const NONE: Self =
        Self { open: u32::MAX, bound: u32::MAX, dumped: 0, is_complete: 0, traps: [0; 4], is_flat: 0 };

    /// Returns the state of the port of `slot` for a packet to it.
    #[inline(always)]
    #[must_use]
    pub const fn known(&self, slot: Slot, probe: &Probe, settings: &Settings, now: u32) -> Known {
        if slot.open > self.open {
            return Known::Served;
        }
        // A port of the ephemeral range may be bound without a call that a hook sees, and connections outlive their
        // listeners.
        let is_told = self.is_complete != 0
            && now.saturating_sub(self.dumped) <= FRESH
            && matches!(probe.kind, Kind::Syn | Kind::Udp)
            && !settings.is_ephemeral(probe.port);
        if is_told && !self.is_worth_asking(slot) { Known::Unbound } else { Known::Unknown }
    }

    /// Whether a socket was bound to the port of `slot` since the horizon.
    #[inline(always)]
    #[must_use]
    pub const fn is_worth_asking(&self, slot: Slot) -> bool {
        slot.bound > self.bound
    }
}

/// A served address: the address of a socket bound to one address or to a device.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct ServedKey {
    /// The address, IPv4 as IPv4-mapped. A family's unspecified address stands for all of its addresses.
    pub address: Ipv6,
    /// The interface on which its packets arrive, or 0 for any.
    pub interface: u32,
    /// Host byte order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// 1 for a connected UDP socket, which accepts only its peer's datagrams. A separate entry with 0 shows that
    /// the socket is bound.
    pub is_connected: u8,
}

impl ServedKey {
    /// Built from whole words, so that a look-up doesn't stall on a store.
    #[inline(always)]
    #[must_use]
    pub fn new([high, low]: [u64; 2], interface: u32, port: u16, protocol: u8) -> Self {
        let rest = u64::from(interface) | u64::from(port) << 32 | u64::from(protocol) << 48;
        bytemuck::cast([high, low, rest.to_le()])
    }

    /// Returns the same key for a connected socket.
    #[inline(always)]
    #[must_use]
    pub fn connected(self) -> Self {
        Self { is_connected: 1, ..self }
    }
}

/// Value of [`ServedKey::interface`] for an address and port whose service must see the SYN itself. The service is
/// another host's, to which this one translates, or it uses Multipath TCP. For these the kernel can't open a
/// connection from just an acknowledgement.
pub const NEEDS_SYN: u32 = u32::MAX;

/// Whether a service that must see the SYN may have been stamped after `horizon`, given the `latest` such stamp. Every
/// writer raises that before it stamps a service. Several at once may leave it lower than their stamps by less than the
/// margin.
#[inline(always)]
#[must_use]
pub const fn may_need_syn(latest: u32, horizon: u32) -> bool {
    latest != 0 && latest.saturating_add(AHEAD) > horizon
}

/// Maximum number of lower interfaces (such as a bridge's ports) that the map lists for a device. The sockets of a
/// device with more count for every interface.
pub const BELOW: usize = 15;

/// The watched interfaces through which packets reach the sockets bound to a device.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Below {
    /// Interface indices, followed by zeros. If the first is 0, the device has too many.
    pub interfaces: [u32; BELOW],
    /// [`Below::HIDDEN`] and [`Below::HAS_ABOVE`].
    pub flags: u32,
}

impl Below {
    /// The device lies above these interfaces. Without this flag it is the interface itself, and a look-up finds
    /// its sockets.
    pub const HIDDEN: u32 = 1;
    /// The device is a watched interface, and other devices lie above it.
    pub const HAS_ABOVE: u32 = 1 << 1;
}

/// The packets that a socket accepts, by its own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// None from outside: it is bound to loopback.
    Nowhere,
    /// Packets to one address.
    One,
    /// Packets to every IPv4 address.
    EveryIpv4,
    /// Packets to every IPv6 address.
    EveryIpv6,
}

/// Halves of the unspecified IPv4 address, as in [`ServedKey::address`].
pub const EVERY_IPV4: [u64; 2] = [0, 0x0000_ffff_0000_0000_u64.to_be()];
/// Halves of the unspecified IPv6 address.
pub const EVERY_IPV6: [u64; 2] = [0, 0];

/// Returns the packets that a socket with this address (IPv4 as IPv4-mapped, in halves) accepts.
#[inline(always)]
#[must_use]
pub const fn reach(address: [u64; 2]) -> Reach {
    let [high, low] = [u64::from_be(address[0]), u64::from_be(address[1])];
    if high != 0 {
        return Reach::One;
    }
    match low {
        0 => Reach::EveryIpv6,
        1 => Reach::Nowhere,
        _ if low == 0xffff_0000_0000 => Reach::EveryIpv4,
        _ if low >> 24 == 0x00ff_ff7f => Reach::Nowhere,
        _ => Reach::One,
    }
}

const _: () = assert!(size_of::<Slot>() == 8 && size_of::<Horizon>() == 36);
const _: () = assert!(size_of::<ServedKey>() == 24 && size_of::<Below>() == 64);

#[cfg(test)]
mod tests;
