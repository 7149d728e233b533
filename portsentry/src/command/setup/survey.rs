//! The survey that `portsentry setup` makes first: services, forwarded ports, logins and interfaces.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use anyhow::Context;
use portsentry_common::classify::Protocol;
use procfs::{
    net::TcpState,
    process::{FDTarget, all_processes},
};

use super::forwarded::{Port, forwarded};
use crate::{
    command::ssh,
    config::Interfaces,
    host::{Host, Observer},
    policy::interfaces::choose,
};

/// This host, as `setup` shows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    /// Ports on which a program accepts packets from outside, with its name if it is known.
    pub(super) services: BTreeMap<Port, Option<String>>,
    /// Ports that the packet filter forwards elsewhere.
    pub(super) forwarded: BTreeSet<Port>,
    /// Addresses of logged-in users.
    pub(super) logins: BTreeSet<IpAddr>,
    /// The watched interfaces, and the others with the reasons.
    pub(super) interfaces: Vec<(String, Result<(), String>)>,
    /// The host's addresses, gateways and name servers.
    pub(super) host: Host,
}

impl Survey {
    /// Surveys this host. `interfaces` are those to be watched.
    pub(super) fn take(interfaces: &Interfaces) -> anyhow::Result<Self> {
        let read = Observer::connect().and_then(|mut observer| observer.read());
        let host = read.context("reading this host's interfaces and addresses")?;
        let programs = programs();
        let tcp = [procfs::net::tcp(), procfs::net::tcp6()];
        let tcp: Vec<_> = tcp.into_iter().filter_map(Result::ok).flatten().collect();
        let udp = [procfs::net::udp(), procfs::net::udp6()].into_iter().filter_map(Result::ok).flatten();
        // A datagram socket without a peer accepts datagrams from any address.
        let udp = udp.filter(|socket| socket.remote_address.port() == 0);
        let listening = tcp.iter().filter(|socket| socket.state == TcpState::Listen);
        let sockets = listening
            .map(|socket| (socket.local_address, Protocol::Tcp, socket.inode))
            .chain(udp.map(|socket| (socket.local_address, Protocol::Udp, socket.inode)));
        let services = sockets
            .filter(|(address, ..)| !address.ip().to_canonical().is_loopback())
            .map(|(address, protocol, inode)| ((address.port(), protocol), programs.get(&inode).cloned()))
            .collect();
        let chosen = choose(interfaces, &host.links);
        let named = |(index, chosen): (&u32, &Result<(), _>)| {
            let link = host.links.get(index)?;
            Some((link.name.to_string(), chosen.as_ref().copied().map_err(ToString::to_string)))
        };
        let interfaces = chosen.iter().filter_map(named).collect();
        let logins = ssh::peers().into_keys().filter(|peer| !peer.is_loopback()).collect();
        Ok(Self { services, forwarded: forwarded(), logins, interfaces, host })
    }
}

/// Returns the name of the process that holds each socket, by the socket's inode.
fn programs() -> BTreeMap<u64, String> {
    let mut programs = BTreeMap::new();
    // Some processes end in the meantime, and then hold no sockets.
    for process in all_processes().into_iter().flatten().flatten() {
        let Ok(name) = process.stat().map(|stat| stat.comm) else { continue };
        for file in process.fd().into_iter().flatten().flatten() {
            if let FDTarget::Socket(inode) = file.target {
                programs.insert(inode, name.clone());
            }
        }
    }
    programs
}
