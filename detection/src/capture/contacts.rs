//! The outcomes of the SYNs in a capture.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

use ipnet::IpNet;
use portsentry_common::{
    address::Ipv6,
    scan::{Outcome, Shape, hearing},
};

use super::packet::{Ends, Packet};
use crate::event::Event;

/// Time in seconds after which a SYN without an answer met silence.
const PATIENCE: f64 = 3.0;

/// SYNs, and those whose answers may still come.
#[derive(Debug)]
pub struct Contacts {
    network: Option<IpNet>,
    /// Time of the first packet.
    begin: Option<f64>,
    open: HashMap<Ends, Open>,
    order: VecDeque<(f64, Ends)>,
    events: Vec<Event>,
    sources: HashMap<u64, String>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    since: f64,
    shape: Shape,
}

impl Contacts {
    /// Returns no contacts. Later ones count if they go to `network`, or to any address.
    pub fn new(network: Option<IpNet>) -> Self {
        Self {
            network,
            begin: None,
            open: HashMap::new(),
            order: VecDeque::new(),
            events: Vec::new(),
            sources: HashMap::new(),
        }
    }

    /// Reads a packet that was captured at this time in seconds.
    pub fn read(&mut self, now: f64, packet: &Packet) {
        self.begin.get_or_insert(now);
        self.expire(now - PATIENCE);
        match *packet {
            Packet::Syn(ends, shape) => {
                let is_ours = self.network.is_none_or(|network| network.contains(&ends.server.ip()));
                // A repetition waits for the same answer.
                if is_ours && !self.open.contains_key(&ends) {
                    self.open.insert(ends, Open { since: now, shape });
                    self.order.push_back((now, ends));
                }
            }
            Packet::Accepts(ends) => self.end(&ends, Outcome::Served),
            Packet::Refuses(ends) => self.end(&ends, Outcome::Refused),
        }
    }

    /// Returns the contacts in order, and the addresses of their sources. A contact without an answer counts as silent.
    pub fn finish(mut self) -> (Vec<Event>, HashMap<u64, String>) {
        self.expire(f64::INFINITY);
        self.events.sort_by_key(|event| event.at);
        (self.events, self.sources)
    }

    fn expire(&mut self, before: f64) {
        while let Some((since, ends)) = self.order.front().copied()
            && since < before
        {
            self.order.pop_front();
            if self.open.get(&ends).is_some_and(|open| open.since <= since) {
                self.end(&ends, Outcome::Silent);
            }
        }
    }

    fn end(&mut self, ends: &Ends, outcome: Outcome) {
        let Some(Open { since, shape }) = self.open.remove(ends) else { return };
        let (source, name) = source(ends.client.ip());
        self.sources.insert(source, name);
        let passed = since - self.begin.unwrap_or(since);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a capture")]
        // No time is 0, as none is in the kernel.
        let at = 1 + passed.max(0.0) as u32;
        let pair = (destination(ends.server.ip()), ends.server.port());
        self.events.push(Event { at, source, pair, outcome, shape });
    }
}

/// Returns the number and name of a source: an IPv4 address, or a /64.
fn source(address: IpAddr) -> (u64, String) {
    match address {
        IpAddr::V4(address) => (u64::from(address.to_bits()), address.to_string()),
        IpAddr::V6(address) => {
            let prefix = address.to_bits() >> 64 << 64;
            let number = (prefix >> 64) as u64;
            (number, format!("{}/64", std::net::Ipv6Addr::from_bits(prefix)))
        }
    }
}

/// Returns the number of a destination. IPv6 addresses get numbers that no IPv4 host has: those of 240.0.0.0/4.
fn destination(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            #[expect(clippy::cast_possible_truncation, reason = "a part of the hash")]
            let hash = hearing::destination(Ipv6::from(address), 0, 0) as u32;
            0xf << 28 | hash >> 4
        }
    }
}
