//! What the daemon knows of its own host: interfaces, addresses, gateways, resolvers.
//!
//! It must not know what these are used for.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use futures_util::{Stream, StreamExt, TryStreamExt};
use ipnet::Ipv4Net;
use rtnetlink::{
    Handle, MulticastGroup, RouteMessageBuilder, new_multicast_connection,
    packet_route::{
        address::AddressAttribute,
        link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo},
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia},
    },
};

/// Where resolvers are named; the second is where systemd-resolved names the real ones behind its stub.
pub const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// It is the loopback interface.
    pub is_loopback: bool,
    /// It is one end of a virtual cable, as containers have.
    pub is_veth: bool,
}

/// The host at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Its interfaces.
    pub interfaces: BTreeSet<Interface>,
    /// Its addresses on all of them.
    pub addresses: BTreeSet<IpAddr>,
    /// The broadcast addresses of the networks that it is in.
    pub broadcasts: BTreeSet<IpAddr>,
    /// The next hops of its routes.
    pub gateways: BTreeSet<IpAddr>,
    /// Its name servers.
    pub resolvers: BTreeSet<IpAddr>,
}

/// Reads the host, and tells when it is worth reading again.
#[derive(Clone, Debug)]
pub struct Observer(Handle);

impl Observer {
    /// Connects to the kernel's routing socket. The stream yields after each change of links, addresses, routes.
    pub fn connect() -> io::Result<(Self, impl Stream<Item = ()> + Unpin)> {
        let (connection, handle, messages) = new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ])?;
        tokio::spawn(connection);
        Ok((Self(handle), messages.map(|_| ())))
    }

    /// The host as it is now.
    pub async fn read(&self) -> Result<Host, rtnetlink::Error> {
        let mut host = Host { resolvers: resolvers(), ..Host::default() };
        let mut links = self.0.link().get().execute();
        while let Some(link) = links.try_next().await? {
            let is_veth = link.attributes.iter().any(|attribute| match attribute {
                LinkAttribute::LinkInfo(infos) => infos.contains(&LinkInfo::Kind(InfoKind::Veth)),
                _ => false,
            });
            let name = link.attributes.into_iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name),
                _ => None,
            });
            let is_loopback = link.header.flags.contains(LinkFlags::Loopback);
            host.interfaces.extend(name.map(|name| Interface {
                index: link.header.index,
                name,
                is_loopback,
                is_veth,
            }));
        }
        let mut addresses = self.0.address().get().execute();
        while let Some(message) = addresses.try_next().await? {
            // On a point-to-point link `Address` is the peer's, and `Local` our own.
            let local = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Local(address) => Some(*address),
                _ => None,
            });
            let address = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Address(address) => Some(*address),
                _ => None,
            });
            host.addresses.extend(local.or(address));
            if let Some(IpAddr::V4(address)) = local.or(address) {
                host.broadcasts.extend(broadcasts(address, message.header.prefix_len));
            }
            host.broadcasts.extend(message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Broadcast(address) => Some(IpAddr::from(*address)),
                _ => None,
            }));
        }
        let requests =
            [RouteMessageBuilder::<Ipv4Addr>::new().build(), RouteMessageBuilder::<Ipv6Addr>::new().build()];
        for request in requests {
            let mut routes = self.0.route().get(request).execute();
            while let Some(route) = routes.try_next().await? {
                host.gateways.extend(next_hops(&route));
            }
        }
        Ok(host)
    }
}

/// The broadcast addresses of the network with `address` in it, RFC 919's and the older one (RFC 1122, 3.3.6); a /31 has
/// none (RFC 3021).
fn broadcasts(address: Ipv4Addr, prefix: u8) -> Vec<IpAddr> {
    match Ipv4Net::new(address, prefix) {
        Ok(network) if prefix <= 30 => [network.broadcast(), network.network()].map(IpAddr::V4).into(),
        _ => Vec::new(),
    }
}

fn next_hops(route: &RouteMessage) -> Vec<IpAddr> {
    let gateway = |attribute: &RouteAttribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address))
        | RouteAttribute::Via(RouteVia::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Gateway(RouteAddress::Inet6(address))
        | RouteAttribute::Via(RouteVia::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    };
    let mut hops: Vec<IpAddr> = route.attributes.iter().filter_map(gateway).collect();
    for attribute in &route.attributes {
        if let RouteAttribute::MultiPath(paths) = attribute {
            hops.extend(paths.iter().flat_map(|path| path.attributes.iter().filter_map(gateway)));
        }
    }
    hops
}

fn resolvers() -> BTreeSet<IpAddr> {
    let texts = RESOLVERS.iter().filter_map(|path| fs::read_to_string(path).ok());
    texts.flat_map(|text| nameservers(&text)).collect()
}

/// The addresses behind `nameserver` (resolv.conf(5)); an interface behind `%` is left out.
fn nameservers(text: &str) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("nameserver"));
    let words = lines.filter(|rest| rest.starts_with(char::is_whitespace));
    let words = words.filter_map(|rest| rest.split_whitespace().next()?.split('%').next());
    words.filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_from_resolv_conf() {
        let text = "# a comment\nsearch example.org\nnameserver 192.0.2.53\n  nameserver\t2001:db8::53 # ours\n\
                    nameserver fe80::1%eth0\nnameservers 192.0.2.1\nnameserver\nnameserver nonsense";
        let expected: Vec<IpAddr> =
            ["192.0.2.53", "2001:db8::53", "fe80::1"].map(|text| text.parse().unwrap()).into();
        assert_eq!(nameservers(text), expected);
    }

    #[test]
    fn a_network_has_two_broadcast_addresses_unless_it_is_too_small() {
        let of = |prefix| broadcasts(Ipv4Addr::new(192, 0, 2, 9), prefix);
        let expected: [IpAddr; 2] = ["192.0.2.15", "192.0.2.8"].map(|text| text.parse().unwrap());
        assert_eq!(of(29), expected);
        assert!(of(31).is_empty() && of(32).is_empty());
    }

    #[tokio::test]
    async fn the_loopback_interface_and_its_address_are_found() {
        let (observer, _) = Observer::connect().unwrap();
        let host = observer.read().await.unwrap();
        assert!(host.interfaces.iter().any(|interface| interface.is_loopback && interface.name == "lo"));
    }
}
