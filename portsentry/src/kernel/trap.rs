//! The traps of the connect modes: passes the daemon's sockets to the kernel's second program.

use std::{fs::File, os::fd::AsRawFd};

use aya::{
    Ebpf,
    maps::SockMap,
    programs::{SkLookup, links::FdLink, sk_lookup::SkLookupLink},
};

use super::Error;

const PROGRAM: &str = "portsentry_steer";
const MAP: &str = "TRAPS";

/// A socket's slot among the traps.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrapSlot {
    /// A listening TCP socket for IPv4.
    TcpV4 = 0,
    /// A listening TCP socket for IPv6.
    TcpV6 = 1,
    /// A UDP socket for IPv4.
    UdpV4 = 2,
    /// A UDP socket for IPv6.
    UdpV6 = 3,
}

/// The attached steering program of this network namespace. Detached when dropped.
#[derive(Debug)]
pub struct Traps(#[expect(dead_code, reason = "held, not used")] FdLink);

/// Loads the program, gives it `sockets`, and attaches it.
pub(super) fn set(ebpf: &mut Ebpf, sockets: &[(TrapSlot, &dyn AsRawFd)]) -> Result<Traps, Error> {
    let map = ebpf.map_mut(MAP).ok_or_else(|| Error::Missing(MAP.into()))?;
    let mut map = SockMap::try_from(map).map_err(Error::map(MAP))?;
    for (place, socket) in sockets {
        map.set(*place as u32, &socket.as_raw_fd(), 0).map_err(Error::map(MAP))?;
    }
    let program = ebpf.program_mut(PROGRAM).ok_or_else(|| Error::Missing(PROGRAM.into()))?;
    let program: &mut SkLookup = program.try_into().map_err(Error::Program)?;
    program.load()?;
    let namespace = File::open("/proc/thread-self/ns/net")
        .map_err(|source| Error::System { what: "opening this network namespace", source })?;
    let link = program.attach(namespace)?;
    let link: SkLookupLink = program.take_link(link)?;
    Ok(Traps(link.into()))
}
