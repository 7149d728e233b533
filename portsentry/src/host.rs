//! This host's state according to its kernel: interfaces, addresses, gateways, name servers.

mod changes;
mod link;
mod netlink;
mod observer;
mod path;
mod resolvers;
mod route;
mod ssh;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
};

use ipnet::IpNet;

pub use changes::{Changes, Followed};
pub use link::{Link, LinkState, Name, Running};
pub use observer::Observer;
pub use path::{Path, path};
pub use resolvers::RESOLVERS;
pub use ssh::ssh_ports;

/// A snapshot of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Its interfaces, by index.
    pub links: BTreeMap<u32, Link>,
    /// Its addresses on all interfaces.
    pub addresses: BTreeSet<IpAddr>,
    /// Networks that a route makes local (`ip route add local`), with or without an address on an interface.
    pub local_routes: BTreeSet<IpNet>,
    /// Broadcast addresses of the host's networks.
    pub broadcasts: BTreeSet<IpAddr>,
    /// The next hops of its routes.
    pub gateways: BTreeSet<IpAddr>,
    /// Its name servers.
    pub resolvers: BTreeSet<IpAddr>,
    /// IPv6 networks of the host's links.
    pub neighbours: BTreeSet<IpNet>,
}

/// Returns the host's name, if it has one.
#[must_use]
pub fn name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
