//! Routes in messages of rtnetlink(7).

use std::net::IpAddr;

use ipnet::IpNet;
use portsentry::netlink::{address, attribute, u32_at, written};

/// The routing protocol of this program's routes (`ip route` shows the number).
pub const PROTOCOL: u8 = 80;
/// `RTN_BLACKHOLE`
pub const BLACKHOLE: u8 = 6;
/// Bytes of `struct rtmsg`.
const HEADER: usize = 12;

/// `RTM_NEWROUTE`, `RTM_DELROUTE`, `RTM_GETROUTE`
pub const NEW: u16 = 24;
pub const DELETE: u16 = 25;
pub const GET: u16 = 26;

const INET: u8 = 2;
const INET6: u8 = 10;
/// `RTA_DST`, `RTA_TABLE`
const DESTINATION: u16 = 1;
const TABLE: u16 = 15;

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its destination.
    pub network: IpNet,
    /// Its table.
    pub table: u32,
    /// The protocol that made it.
    pub protocol: u8,
    /// Its type.
    pub kind: u8,
}

/// The address families, for dumps.
pub const FAMILIES: [u8; 2] = [INET, INET6];

/// Returns the body of a message about one of this program's routes.
#[must_use]
pub fn body(network: IpNet, table: u32) -> Vec<u8> {
    let (family, octets) = match network.addr() {
        IpAddr::V4(address) => (INET, address.octets().to_vec()),
        IpAddr::V6(address) => (INET6, address.octets().to_vec()),
    };
    let small = u8::try_from(table).unwrap_or(0);
    let header = [family, network.prefix_len(), 0, 0, small, PROTOCOL, 0, BLACKHOLE, 0, 0, 0, 0];
    [&header[..], &written(DESTINATION, &octets), &written(TABLE, &table.to_ne_bytes())].concat()
}

/// Returns the body of a request for the routes of a table.
#[must_use]
pub fn in_table(family: u8, table: u32) -> Vec<u8> {
    let mut header = [0; HEADER];
    header[0] = family;
    [&header[..], &written(TABLE, &table.to_ne_bytes())].concat()
}

/// Reads the body of a message about a route. Returns `None` without a destination.
#[must_use]
pub fn read(body: &[u8]) -> Option<Route> {
    let attributes = body.get(HEADER..)?;
    let destination = address(attribute(attributes, DESTINATION)?)?;
    let table = attribute(attributes, TABLE).and_then(|value| u32_at(value, 0));
    Some(Route {
        network: IpNet::new(destination, *body.get(1)?).ok()?,
        table: table.unwrap_or(u32::from(*body.get(4)?)),
        protocol: *body.get(5)?,
        kind: *body.get(7)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_route_is_written_and_read() {
        for (network, table) in [("203.0.113.9/32", 80), ("2001:db8:7::/64", 70_000)] {
            let network = network.parse().unwrap();
            let route = Route { network, table, protocol: PROTOCOL, kind: BLACKHOLE };
            assert_eq!(read(&body(network, table)), Some(route));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&bytes);
        }
    }
}
