//! The network behind the gateway: a /22 with 200 services on 60 hosts. Other hosts live and refuse; most addresses are
//! dark.

use fastrand::Rng;
use portsentry_common::scan::Outcome;

/// Number of addresses.
pub const ADDRESSES: u16 = 1024;
const SERVERS: u16 = 60;
const SERVICES: usize = 200;
/// Hosts without services, besides the servers.
const OTHERS: u16 = 190;
/// Ports of services, the commonest first.
const COMMON: [u16; 12] = [443, 80, 22, 25, 993, 587, 53, 3306, 8080, 8443, 21, 5432];

/// An address, as its number, and a port.
pub type Pair = (u16, u16);

/// The network.
#[derive(Debug)]
pub struct Network {
    /// The served pairs, in random order.
    pub services: Vec<Pair>,
    addresses: Vec<u16>,
}

impl Network {
    /// Returns a network made from `rng`.
    pub fn new(rng: &mut Rng) -> Self {
        let mut addresses: Vec<u16> = (0..ADDRESSES).collect();
        rng.shuffle(&mut addresses);
        let mut services: Vec<Pair> =
            addresses[..usize::from(SERVERS)].iter().map(|host| (*host, 443)).collect();
        while services.len() < SERVICES {
            // The smaller of two is the commoner.
            let common = COMMON[rng.usize(..COMMON.len()).min(rng.usize(..COMMON.len()))];
            let service = (addresses[usize::from(rng.u16(..SERVERS))], common);
            if !services.contains(&service) {
                services.push(service);
            }
        }
        rng.shuffle(&mut services);
        Self { services, addresses }
    }

    /// Returns a random service.
    pub fn service(&self, rng: &mut Rng) -> Pair {
        self.services[rng.usize(..self.services.len())]
    }

    /// Returns the address of a random server.
    pub fn server(&self, rng: &mut Rng) -> u16 {
        self.addresses[usize::from(rng.u16(..SERVERS))]
    }

    /// Returns a random address where nothing answers.
    pub fn dark(&self, rng: &mut Rng) -> u16 {
        self.addresses[usize::from(rng.u16(SERVERS + OTHERS..ADDRESSES))]
    }

    /// Returns the outcome of a first contact with a pair.
    pub fn outcome(&self, (host, port): Pair) -> Outcome {
        let lives = self
            .addresses
            .iter()
            .position(|it| *it == host)
            .is_some_and(|it| it < usize::from(SERVERS + OTHERS));
        if self.services.contains(&(host, port)) {
            Outcome::Served
        } else if lives {
            Outcome::Refused
        } else {
            Outcome::Silent
        }
    }
}
