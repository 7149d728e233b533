//! The network behind the gateway: a /22 with 200 services on 60 hosts. Other hosts live and refuse; most addresses are
//! dark.

use std::{collections::HashSet, net::Ipv4Addr, ops::Range};

use fastrand::Rng;
use portsentry_common::scan::Outcome;

/// Number of addresses.
pub const ADDRESSES: u32 = 1024;
/// Its addresses, as numbers.
pub const RANGE: Range<u32> = FIRST..FIRST + ADDRESSES;
const FIRST: u32 = Ipv4Addr::new(198, 18, 0, 0).to_bits();
const SERVERS: usize = 60;
const SERVICES: usize = 200;
/// Hosts without services, besides the servers.
const OTHERS: usize = 190;
/// Ports of services, the commonest first.
const COMMON: [u16; 12] = [443, 80, 22, 25, 993, 587, 53, 3306, 8080, 8443, 21, 5432];

/// An address, as its number, and a port.
pub type Pair = (u32, u16);

/// The network.
#[derive(Debug)]
pub struct Network {
    /// The served pairs, in random order.
    pub services: Vec<Pair>,
    /// All addresses: servers, then others that live, then dark ones.
    addresses: Vec<u32>,
    living: HashSet<u32>,
}

impl Network {
    /// Returns a network made from `rng`.
    pub fn new(rng: &mut Rng) -> Self {
        let mut addresses: Vec<u32> = RANGE.collect();
        rng.shuffle(&mut addresses);
        let mut services: Vec<Pair> = addresses[..SERVERS].iter().map(|host| (*host, 443)).collect();
        while services.len() < SERVICES {
            // The smaller of two is the commoner.
            let common = COMMON[rng.usize(..COMMON.len()).min(rng.usize(..COMMON.len()))];
            let service = (addresses[rng.usize(..SERVERS)], common);
            if !services.contains(&service) {
                services.push(service);
            }
        }
        rng.shuffle(&mut services);
        let living = addresses[..SERVERS + OTHERS].iter().copied().collect();
        Self { services, addresses, living }
    }

    /// Returns a random service.
    pub fn service(&self, rng: &mut Rng) -> Pair {
        self.services[rng.usize(..self.services.len())]
    }

    /// Returns the address of a random server.
    pub fn server(&self, rng: &mut Rng) -> u32 {
        self.addresses[rng.usize(..SERVERS)]
    }

    /// Returns a random address where nothing answers.
    pub fn dark(&self, rng: &mut Rng) -> u32 {
        self.addresses[rng.usize(SERVERS + OTHERS..self.addresses.len())]
    }

    /// Returns the outcome of a first contact with a pair.
    #[must_use]
    pub fn outcome(&self, pair: Pair) -> Outcome {
        if self.services.contains(&pair) {
            Outcome::Served
        } else if self.living.contains(&pair.0) {
            Outcome::Refused
        } else {
            Outcome::Silent
        }
    }
}
