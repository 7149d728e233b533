//! The route to an address: the interface, and this host's own address on it.

use std::{io, net::IpAddr, time::Duration};

use nix::{libc, sys::socket::SockProtocol};

use crate::netlink::{Socket, address, attribute, u32_at, written};

/// Bytes of `struct rtmsg`.
const ROUTE: usize = 12;
/// Maximum time that the kernel's answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// A route, as the kernel would take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Index of the outgoing interface.
    pub interface: u32,
    /// This host's address on packets that it sends there.
    pub own: Option<IpAddr>,
}

/// Returns the route to `destination`, or `None` without one.
pub fn path(destination: IpAddr) -> io::Result<Option<Path>> {
    let (family, octets) = match destination {
        IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
    };
    let [family, bits] = [family, libc::c_int::try_from(octets.len() * 8).unwrap_or_default()]
        .map(|number| u8::try_from(number).unwrap_or_default());
    let request = [&[family, bits][..], &[0; ROUTE - 2], &written(libc::RTA_DST, &octets)].concat();
    let mut socket = Socket::open(SockProtocol::NetlinkRoute, Some(PATIENCE))?;
    let body = match socket.ask((libc::RTM_GETROUTE, &request)) {
        Err(error)
            if [
                Some(libc::ENETUNREACH),
                Some(libc::EHOSTUNREACH),
                Some(libc::EACCES),
                Some(libc::EINVAL),
            ]
            .contains(&error.raw_os_error()) =>
        {
            return Ok(None);
        }
        answer => answer?,
    };
    Ok(body.and_then(|body| {
        let rest = body.get(ROUTE..)?;
        let interface = u32_at(attribute(rest, libc::RTA_OIF)?, 0)?;
        Some(Path { interface, own: attribute(rest, libc::RTA_PREFSRC).and_then(address) })
    }))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_way_to_an_own_address_is_loopback() {
        let own = IpAddr::from(Ipv4Addr::LOCALHOST);
        assert_eq!(path(own).unwrap(), Some(Path { interface: 1, own: Some(own) }));
    }
}
