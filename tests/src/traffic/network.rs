//! The network behind the gateway: a /22 with 200 services on 60 hosts, and dark addresses.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::{Ipv4Addr, SocketAddrV4},
    sync::{PoisonError, RwLock},
};

use fastrand::Rng;
use portsentry_common::classify::Protocol::{self, Tcp, Udp};

/// The network, which a router behind the gateway leads to (RFC 2544).
pub const NETWORK: &str = "198.18.4.0/22";
/// The network on the link to that router, where the gateway itself looks for neighbours.
pub const ON_LINK: &str = "203.0.113.0/24";
const FIRST: u32 = Ipv4Addr::new(198, 18, 4, 0).to_bits();
const SIZE: u32 = 1 << 10;
const HOSTS: usize = 60;
const SERVICES: usize = 200;

/// A port of a host.
pub type Port = (Protocol, SocketAddrV4);

/// A change of a port or a host.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// A service starts.
    Start(Port),
    /// A service ends.
    Stop(Port),
    /// A host is switched on.
    On(Ipv4Addr),
    /// A host is switched off.
    Off(Ipv4Addr),
}

/// The reaction of a host, or of its absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It answers.
    Answer,
    /// It refuses.
    Refuse,
    /// The router in front of it says that there is no such host.
    NoHost,
    /// None.
    Silence,
}

/// The hosts and their services. `hosts` and `services` are those of the beginning, in a stable order.
#[derive(Debug)]
pub struct Network {
    /// The hosts.
    pub hosts: Vec<Ipv4Addr>,
    /// Their services.
    pub services: Vec<Port>,
    now: RwLock<Now>,
}

#[derive(Debug)]
struct Now {
    live: BTreeSet<Ipv4Addr>,
    /// Number of services on each port. Two clients' data connections to a server may get the same port.
    served: BTreeMap<Port, usize>,
}

impl Network {
    /// Distributes the services over the hosts. Web servers are the most numerous: three quarters of them speak TLS,
    /// and two thirds of these QUIC.
    pub fn new(seed: u64) -> Self {
        let random = &mut Rng::with_seed(seed);
        // Neither the network's own address nor its broadcast address.
        let all: Vec<u32> = (1..SIZE - 1).collect();
        let hosts: Vec<_> = random
            .choose_multiple(all, HOSTS)
            .into_iter()
            .map(|at| Ipv4Addr::from_bits(FIRST + at))
            .collect();
        let mut services = Vec::new();
        for (number, host) in hosts.iter().enumerate() {
            let ports: &[(Protocol, u16)] = match number {
                0..20 => &[(Tcp, 80), (Tcp, 443), (Udp, 443)],
                20..30 => &[(Tcp, 80), (Tcp, 443)],
                30..40 => &[(Tcp, 80)],
                40..44 => &[(Tcp, 25), (Tcp, 143), (Tcp, 587), (Tcp, 993)],
                44..47 => &[(Tcp, 53), (Udp, 53)],
                47..50 => &[(Udp, 123)],
                50..52 => &[(Tcp, 21)],
                52..56 => &[(Tcp, 6881), (Tcp, 51_413)],
                _ => &[(Tcp, 22), (Tcp, 3000), (Tcp, 5432), (Tcp, 9100)],
            };
            services
                .extend(ports.iter().map(|(protocol, port)| (*protocol, SocketAddrV4::new(*host, *port))));
        }
        for (number, host) in hosts.iter().cycle().enumerate() {
            if services.len() == SERVICES {
                break;
            }
            let port = if number < HOSTS { 22 } else { 8000 };
            let port = (Tcp, SocketAddrV4::new(*host, port));
            if !services.contains(&port) {
                services.push(port);
            }
        }
        let now = Now {
            live: hosts.iter().copied().collect(),
            served: services.iter().map(|port| (*port, 1)).collect(),
        };
        Self { hosts, services, now: RwLock::new(now) }
    }

    /// Returns the hosts that serve a port.
    pub fn serving(&self, protocol: Protocol, port: u16) -> Vec<Ipv4Addr> {
        let found = self.services.iter().filter(|(of, at)| *of == protocol && at.port() == port);
        found.map(|(_, at)| *at.ip()).collect()
    }

    /// Returns `count` addresses without a host.
    pub fn dark(&self, count: usize, random: &mut Rng) -> Vec<Ipv4Addr> {
        let all = (1..SIZE - 1).map(|at| Ipv4Addr::from_bits(FIRST + at));
        random.choose_multiple(all.filter(|at| !self.hosts.contains(at)), count)
    }

    /// Makes a change.
    pub fn change(&self, change: Change) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Start(port) => *now.served.entry(port).or_default() += 1,
            Change::Stop(port) => {
                if let Entry::Occupied(mut services) = now.served.entry(port) {
                    *services.get_mut() -= 1;
                    if *services.get() == 0 {
                        services.remove();
                    }
                }
            }
            Change::On(host) => {
                now.live.insert(host);
            }
            Change::Off(host) => {
                now.live.remove(&host);
            }
        }
    }

    /// Returns the reaction to a packet for `port`. The router says of every other absent host that it is absent.
    pub fn reaction(&self, port: Port) -> Reaction {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        if now.live.contains(port.1.ip()) {
            if now.served.contains_key(&port) { Reaction::Answer } else { Reaction::Refuse }
        } else if port.1.ip().octets()[3].is_multiple_of(2) {
            Reaction::NoHost
        } else {
            Reaction::Silence
        }
    }
}
