//! Reads the host from the kernel.

use std::{collections::BTreeMap, io};

use nix::libc;

use super::{
    Host, Link,
    netlink::Socket,
    resolvers::resolvers,
    route::{Assigned, Routes},
};
use crate::{
    netlink::{Message, written},
    pppoe,
};

/// The request for nexthop objects (`include/uapi/linux/rtnetlink.h`).
const RTM_GETNEXTHOP: u16 = 106;

/// Reads the host.
#[derive(Debug)]
pub struct Observer(Socket);

impl Observer {
    /// Connects to the kernel's routing tables, in this thread's network namespace.
    pub fn connect() -> io::Result<Self> {
        Socket::open(0).map(Self)
    }

    /// Reads the host.
    pub fn read(&mut self) -> io::Result<Host> {
        let mut host = Host { resolvers: resolvers(), ..Host::default() };
        let routes = self.routes()?;
        self.links(&mut host)?;
        host.take_routes(routes);
        Ok(host)
    }

    /// Reads the interfaces.
    pub fn interfaces(&mut self) -> io::Result<BTreeMap<u32, Link>> {
        let mut host = Host::default();
        self.links(&mut host)?;
        Ok(host.links)
    }

    /// Sets the host's interfaces, addresses and broadcast addresses.
    pub(super) fn links(&mut self, host: &mut Host) -> io::Result<()> {
        let mut request = vec![0; 16];
        // Excludes statistics and virtual functions, which are not used and take many times the room of the rest.
        request.extend(written(libc::IFLA_EXT_MASK, &libc::RTEXT_FILTER_SKIP_STATS.to_ne_bytes()));
        let mut links =
            self.0.dump((libc::RTM_GETLINK, &request), &mut |links: &mut BTreeMap<u32, Link>, it| {
                let read = Link::read(it).filter(|_| it.kind == libc::RTM_NEWLINK);
                links.extend(read.map(|link| (link.index, link)));
            })?;
        let assigned =
            self.0.dump((libc::RTM_GETADDR, &[0; 8]), &mut |addresses: &mut Vec<Assigned>, it| {
                addresses.extend(Assigned::read(it).filter(|_| it.kind == libc::RTM_NEWADDR));
            })?;
        for link in links.values_mut() {
            link.is_addressed = false;
        }
        for address in assigned.iter().filter(|address| address.is_beyond_link()) {
            if let Some(link) = links.get_mut(&address.index) {
                link.is_addressed = true;
            }
        }
        set_carriers(&mut links, &pppoe::carriers());
        host.links = links;
        host.addresses = assigned.iter().map(|assigned| assigned.address).collect();
        host.broadcasts = assigned.iter().flat_map(Assigned::broadcasts).collect();
        Ok(())
    }

    /// Reads all routes and nexthop objects.
    pub(super) fn routes(&mut self) -> io::Result<Routes> {
        let add = &mut |routes: &mut Routes, message: Message<'_>| routes.add(message);
        let mut routes = Routes::default();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let mut request = [0; 12];
            request[0] = u8::try_from(family).unwrap_or_default();
            match self.0.dump((libc::RTM_GETROUTE, &request), add) {
                Ok(read) => routes.join(read),
                // A kernel without IPv6 has none.
                Err(error) if is_unknown(&error) => {}
                Err(error) => return Err(error),
            }
        }
        match self.0.dump((RTM_GETNEXTHOP, &[0; 8]), add) {
            Ok(read) => routes.join(read),
            // Linux before 5.3.
            Err(error) if is_unknown(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(routes)
    }
}

impl Host {
    /// Sets the fields that come from routes.
    pub(super) fn take_routes(&mut self, routes: Routes) {
        let Routes { gateways, local, broadcasts, direct } = routes;
        self.gateways = gateways;
        self.local_routes = local;
        self.neighbours = direct;
        self.broadcasts.extend(broadcasts);
    }
}

/// Sets the carriers of PPP interfaces, given the names of the interfaces with `PPPoE` sessions. If there are fewer
/// sessions than PPP interfaces, some of these are of another kind, and the kernel doesn't report which.
fn set_carriers(links: &mut BTreeMap<u32, Link>, sessions: &[Vec<u8>]) {
    let is_on = |link: &&Link| sessions.iter().any(|name| link.name.bytes() == name);
    let carriers: Vec<u32> = links.values().filter(is_on).map(|link| link.index).collect();
    let mut interfaces: Vec<&mut Link> = links.values_mut().filter(|link| link.is("ppp")).collect();
    if interfaces.len() <= sessions.len() {
        interfaces.iter_mut().for_each(|link| link.carriers.clone_from(&carriers));
    }
}

fn is_unknown(error: &io::Error) -> bool {
    let unknown = [libc::EOPNOTSUPP, libc::EAFNOSUPPORT, libc::EINVAL, libc::ENOENT];
    error.raw_os_error().is_some_and(|number| unknown.contains(&number))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_ppp_interface_is_carried_by_what_sessions_are_on_unless_it_may_be_of_another_kind() {
        let link = |index, name: &str, kind: Option<&str>| {
            (index, Link { index, name: name.into(), kind: kind.map(Into::into), ..Link::default() })
        };
        let machine = [
            link(2, "eth0", None),
            link(3, "eth1", None),
            link(4, "ppp0", Some("ppp")),
            link(5, "ppp1", Some("ppp")),
        ];
        for (sessions, expected) in [
            (&["eth0", "eth0"][..], &[2][..]),
            (&["eth0", "eth1", "eth0"], &[2, 3]),
            (&["eth0"], &[]),
            (&[], &[]),
            (&["gone", "gone"], &[]),
        ] {
            let mut links = BTreeMap::from(machine.clone());
            set_carriers(
                &mut links,
                &sessions.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>(),
            );
            assert_eq!(links[&4].carriers, expected, "{sessions:?}");
            assert_eq!(links[&4].carriers, links[&5].carriers);
            assert!(links[&2].carriers.is_empty());
        }
    }

    #[test]
    fn the_loopback_interface_and_its_network_are_found() {
        let host = Observer::connect().unwrap().read().unwrap();
        assert!(host.links.values().any(|link| link.is_loopback && link.is_called("lo")));
        if host.addresses.contains(&IpAddr::from([127, 0, 0, 1])) {
            assert!(host.local_routes.contains(&"127.0.0.0/8".parse().unwrap()), "{:?}", host.local_routes);
        }
    }
}
