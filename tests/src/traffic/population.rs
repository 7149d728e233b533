//! Honest clients, generated from a seed. None of them is refused by more than three ports in a row.

use std::net::{Ipv4Addr, SocketAddrV4};

use fastrand::Rng;
use portsentry_common::classify::Protocol::{self, Tcp, Udp};

use super::network::{Change, Network, Port};

/// A client's reason to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Several connections to one site.
    Browser,
    /// Visits many sites, of which some have no TLS or no host any more.
    Crawler,
    /// Retries at dead hosts.
    Retrier,
    /// Asks for names.
    Resolver,
    /// Asks for the time.
    Clock,
    /// Tries QUIC before TCP.
    Quic,
    /// Passive FTP: each file from another port.
    Ftp,
    /// Peers of a swarm, some of which have left.
    Peer,
    /// Delivers and reads mail; one of its servers has moved.
    Mail,
    /// Checks all services, also while a host is switched off and while a service restarts.
    Monitor,
    /// Mistypes ports.
    Typist,
    /// The first client of services on ports that have refused others.
    FirstClient,
    /// Many users behind one address.
    Shared,
}

/// The expected outcome of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// An answer. The client repeats its question until it comes.
    Served,
    /// A refusal.
    Refused,
    /// Anything. The client doesn't wait.
    Anything,
}

/// A question to a port.
#[derive(Clone, Copy, Debug)]
pub struct Contact {
    /// The client.
    pub source: Ipv4Addr,
    /// The port.
    pub port: Port,
    /// The outcome.
    pub expected: Expected,
}

/// A part of a client's visit.
#[derive(Clone, Debug)]
pub enum Step {
    /// Contacts at the same time.
    Contacts(Vec<Contact>),
    /// A change of the network.
    Change(Change),
}

/// A client and its visit.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its reason.
    pub kind: Kind,
    /// The parts of its visit.
    pub steps: Vec<Step>,
}

/// Numbers of the hosts that the monitors switch off, and whose services they restart.
const UNRELIABLE: std::ops::Range<usize> = 56..60;
/// The share of each kind, in percent; one in a thousand is a monitor.
const SHARES: [(Kind, u32); 12] = [
    (Kind::Browser, 30),
    (Kind::Crawler, 5),
    (Kind::Retrier, 10),
    (Kind::Resolver, 10),
    (Kind::Clock, 10),
    (Kind::Quic, 10),
    (Kind::Ftp, 3),
    (Kind::Peer, 7),
    (Kind::Mail, 8),
    (Kind::Typist, 3),
    (Kind::FirstClient, 2),
    (Kind::Shared, 2),
];

/// Generates clients.
#[derive(Debug)]
pub struct Population<'a> {
    network: &'a Network,
    random: Rng,
    number: u32,
    seed: u64,
    sources: u32,
}

impl<'a> Population<'a> {
    /// Clients of `network` with so many sources. After the last source the first returns with the same visit:
    /// clients have habits.
    pub fn new(network: &'a Network, seed: u64, sources: u32) -> Self {
        Self { network, random: Rng::with_seed(seed), number: 0, seed, sources }
    }

    fn address(&self, network: u8) -> Ipv4Addr {
        let [_, a, b, c] = self.number.to_be_bytes();
        Ipv4Addr::new(100, network + a, b, c)
    }

    fn contact(&self, protocol: Protocol, host: Ipv4Addr, port: u16) -> Contact {
        let port = (protocol, SocketAddrV4::new(host, port));
        let hosts = &self.network.hosts;
        let expected = if hosts[UNRELIABLE].contains(&host) || !hosts.contains(&host) {
            Expected::Anything
        } else if self.network.services.contains(&port) {
            Expected::Served
        } else {
            Expected::Refused
        };
        Contact { source: self.address(64), port, expected }
    }

    fn any(&mut self, protocol: Protocol, port: u16) -> Ipv4Addr {
        self.random.choice(self.network.serving(protocol, port)).expect("a service")
    }

    fn dark(&mut self) -> Ipv4Addr {
        self.network.dark(1, &mut self.random)[0]
    }

    fn visit(&mut self, kind: Kind) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut ask = |contacts: Vec<Contact>| steps.push(Step::Contacts(contacts));
        match kind {
            Kind::Browser => {
                let site = self.any(Tcp, 80);
                ask(vec![self.contact(Tcp, site, 443)]);
                ask(vec![self.contact(Tcp, site, 80); 2]);
                if self.network.serving(Tcp, 443).contains(&site) {
                    ask(vec![self.contact(Tcp, site, 443); 6]);
                }
            }
            Kind::Crawler => {
                for _ in 0..self.random.usize(5..15) {
                    let sites: Vec<_> = (0..3).map(|_| self.any(Tcp, 80)).collect();
                    let mut contacts: Vec<_> =
                        sites.iter().map(|site| self.contact(Tcp, *site, 443)).collect();
                    if self.random.u8(..5) == 0 {
                        let dark = self.dark();
                        contacts.push(self.contact(Tcp, dark, 443));
                    }
                    ask(contacts);
                    ask(sites.iter().map(|site| self.contact(Tcp, *site, 80)).collect());
                }
            }
            Kind::Retrier => {
                let hosts: Vec<_> = (0..self.random.usize(1..4)).map(|_| self.dark()).collect();
                for _ in 0..5 {
                    ask(hosts.iter().map(|host| self.contact(Tcp, *host, 443)).collect());
                }
                ask((8000..8010).map(|port| self.contact(Tcp, hosts[0], port)).collect());
            }
            Kind::Resolver => {
                for _ in 0..4 {
                    let server = self.any(Udp, 53);
                    ask(vec![self.contact(Udp, server, 53)]);
                }
                let server = self.any(Tcp, 53);
                ask(vec![self.contact(Tcp, server, 53)]);
            }
            Kind::Clock => {
                let servers: Vec<_> = (0..3).map(|_| self.any(Udp, 123)).collect();
                ask(servers.iter().map(|server| self.contact(Udp, *server, 123)).collect());
            }
            Kind::Quic => {
                let sites: Vec<_> = (0..3).map(|_| self.any(Tcp, 443)).collect();
                for site in sites {
                    ask(vec![self.contact(Udp, site, 443)]);
                    ask(vec![self.contact(Tcp, site, 443); 2]);
                }
            }
            Kind::Ftp => return self.files(),
            Kind::Peer => {
                let peers: Vec<_> = (0..3).map(|_| self.any(Tcp, 6881)).collect();
                let gone = [self.dark(), self.dark(), self.any(Tcp, 80)];
                let all = peers.iter().chain(&gone);
                ask(all.clone().map(|peer| self.contact(Tcp, *peer, 6881)).collect());
                ask(all
                    .map(|peer| Contact { expected: Expected::Anything, ..self.contact(Udp, *peer, 6881) })
                    .collect());
            }
            Kind::Mail => {
                let server = self.any(Tcp, 25);
                let moved = self.any(Tcp, 80);
                ask(vec![self.contact(Tcp, moved, 25)]);
                ask([25, 587, 993].map(|port| self.contact(Tcp, server, port)).into());
            }
            Kind::Monitor => return self.rounds(),
            Kind::Typist => {
                let host = self.any(Tcp, 22);
                ask([2222, 222, 23].map(|port| self.contact(Tcp, host, port)).into());
                ask(vec![self.contact(Tcp, host, 22)]);
            }
            Kind::FirstClient => return self.new_services(),
            Kind::Shared => {
                for _ in 0..60 {
                    let site = self.any(Tcp, 80);
                    let port = *self.random.choice(&[80, 80, 80, 80, 443]).expect("a port");
                    ask(vec![self.contact(Tcp, site, port)]);
                }
            }
        }
        steps
    }

    fn files(&mut self) -> Vec<Step> {
        let server = self.any(Tcp, 21);
        let mut steps = vec![Step::Contacts(vec![self.contact(Tcp, server, 21)])];
        for _ in 0..4 {
            let first = self.random.u16(50_000..60_000);
            let ports = (first..first + 3).map(|port| (Tcp, SocketAddrV4::new(server, port)));
            steps.extend(ports.clone().map(|port| Step::Change(Change::Start(port))));
            steps.push(self.connects(ports.clone()));
            steps.extend(ports.map(|port| Step::Change(Change::Stop(port))));
        }
        steps
    }

    fn connects(&self, ports: impl Iterator<Item = Port>) -> Step {
        let contact = |port| Contact { source: self.address(64), port, expected: Expected::Served };
        Step::Contacts(ports.map(contact).collect())
    }

    /// Checks all services five times. In the second round a host is switched off, in the fourth a service restarts.
    fn rounds(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        let host = self.network.hosts[self.random.usize(UNRELIABLE)];
        let service = (Tcp, SocketAddrV4::new(host, 22));
        let check = |contacts: &[Port]| {
            let contacts = contacts.iter().map(|(protocol, at)| self.contact(*protocol, *at.ip(), at.port()));
            Step::Contacts(contacts.collect())
        };
        let all = |steps: &mut Vec<Step>| steps.extend(self.network.services.chunks(10).map(check));
        all(&mut steps);
        for (begin, end) in
            [(Change::Off(host), Change::On(host)), (Change::Stop(service), Change::Start(service))]
        {
            steps.push(Step::Change(begin));
            all(&mut steps);
            steps.push(Step::Change(end));
            all(&mut steps);
        }
        steps
    }

    /// A host gets services on ports that have refused others. A client connects to all at once.
    fn new_services(&mut self) -> Vec<Step> {
        let host = self.any(Tcp, 5432);
        let first = self.random.u16(10_000..20_000);
        let ports: Vec<Port> =
            (first..first + self.random.u16(1..7)).map(|port| (Tcp, SocketAddrV4::new(host, port))).collect();
        let others = ports.iter().zip(80..).map(|(port, other)| Contact {
            source: self.address(other),
            port: *port,
            expected: Expected::Refused,
        });
        let mut steps = vec![Step::Contacts(others.collect())];
        steps.extend(ports.iter().map(|port| Step::Change(Change::Start(*port))));
        steps.push(self.connects(ports.iter().copied()));
        steps.extend(ports.iter().map(|port| Step::Change(Change::Stop(*port))));
        steps
    }
}

impl Iterator for Population<'_> {
    type Item = Client;

    fn next(&mut self) -> Option<Client> {
        self.number = self.number % self.sources + 1;
        self.random = Rng::with_seed(self.seed << 32 | u64::from(self.number));
        let mut share = self.random.u32(..100);
        let drawn = SHARES.iter().find(|(_, of)| {
            let is_it = share < *of;
            share = share.wrapping_sub(*of);
            is_it
        });
        let kind = match drawn {
            _ if self.number % 1000 == 5 => Kind::Monitor,
            Some((kind, _)) => *kind,
            None => Kind::Browser,
        };
        Some(Client { kind, steps: self.visit(kind) })
    }
}
