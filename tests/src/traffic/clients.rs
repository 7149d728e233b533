//! Runs clients: sends their questions, and completes the connections that are accepted.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddrV4},
    time::{Duration, Instant},
};

use portsentry_common::classify::Protocol;

use super::{
    frame::{Heard, Link, What, datagram, read, segment},
    network::Network,
    population::{Client, Contact, Expected, Kind, Step},
};
use crate::{
    frames::{ACK, RST, SYN},
    lab::Wire,
};

/// Number of clients at the same time.
const AT_ONCE: usize = 64;
/// Time after which an unanswered question is repeated, and number of repetitions until it failed.
const AGAIN: Duration = Duration::from_millis(250);
const TRIES: u8 = 20;
/// The first source port of a client.
const FIRST_PORT: u16 = 20_000;

/// The clients' results.
#[derive(Debug, Default)]
pub struct Report {
    /// Number of clients.
    pub clients: usize,
    /// Number of questions, without repetitions.
    pub contacts: usize,
    /// Number of repetitions.
    pub repeated: usize,
    /// Questions to services that weren't answered.
    pub unserved: Vec<(Kind, Contact)>,
}

/// A client's end of a question.
type End = (Protocol, SocketAddrV4);

/// A question without an answer yet.
struct Open {
    of: usize,
    contact: Contact,
    since: Instant,
    tries: u8,
}

struct Visit {
    kind: Kind,
    steps: std::vec::IntoIter<Step>,
    open: usize,
    next_port: u16,
}

struct Clients<'a> {
    wire: &'a Wire,
    link: Link,
    visits: Vec<Option<Visit>>,
    open: HashMap<End, Open>,
    report: Report,
}

/// Runs `clients` until the last visit is over. `link` has the Ethernet addresses of the gateway and of the clients.
pub fn run(wire: &Wire, link: Link, network: &Network, mut clients: impl Iterator<Item = Client>) -> Report {
    let visits = (0..AT_ONCE).map(|_| None).collect();
    let mut all = Clients { wire, link, visits, open: HashMap::new(), report: Report::default() };
    let mut looked = Instant::now();
    loop {
        let mut is_over = true;
        for of in 0..AT_ONCE {
            if all.visits[of].is_none() {
                all.visits[of] = clients.next().map(|Client { kind, steps }| {
                    all.report.clients += 1;
                    Visit { kind, steps: steps.into_iter(), open: 0, next_port: FIRST_PORT }
                });
            }
            is_over &= all.visits[of].is_none();
            all.advance(of, network);
        }
        if is_over {
            return all.report;
        }
        // Nothing else to do until an answer comes.
        let mut patience = Duration::from_millis(1);
        while let Some(frame) = wire.receive(patience) {
            read(&frame).iter().for_each(|heard| all.hear(heard));
            patience = Duration::ZERO;
        }
        if looked.elapsed() > AGAIN / 4 {
            all.repeat();
            looked = Instant::now();
        }
    }
}

impl Clients<'_> {
    /// Takes the next steps of a visit that waits for nothing.
    fn advance(&mut self, of: usize, network: &Network) {
        while let Some(visit) = self.visits[of].as_mut().filter(|visit| visit.open == 0) {
            match visit.steps.next() {
                Some(Step::Change(change)) => network.change(change),
                Some(Step::Contacts(contacts)) => {
                    contacts.into_iter().for_each(|contact| self.ask(of, contact));
                }
                None => self.visits[of] = None,
            }
        }
    }

    fn ask(&mut self, of: usize, contact: Contact) {
        let Some(visit) = &mut self.visits[of] else { return };
        let end = (contact.port.0, SocketAddrV4::new(contact.source, visit.next_port));
        visit.next_port += 1;
        visit.open += usize::from(contact.expected != Expected::Anything);
        self.report.contacts += 1;
        self.send(end, &contact);
        if contact.expected != Expected::Anything {
            self.open.insert(end, Open { of, contact, since: Instant::now(), tries: 0 });
        }
    }

    fn send(&self, (protocol, from): End, contact: &Contact) {
        let ends = [from, contact.port.1];
        self.wire.send_frame(&match protocol {
            Protocol::Tcp => segment(self.link, ends, SYN, 1000, 0),
            Protocol::Udp => datagram(self.link, ends),
        });
    }

    fn hear(&mut self, heard: &Heard) {
        if !is_client(*heard.to.ip()) {
            return;
        }
        if heard.what == What::Accepts {
            let ends = [heard.to, heard.from];
            self.wire.send_frame(&segment(self.link, ends, ACK, 1001, heard.sequence.wrapping_add(1)));
            self.wire.send_frame(&segment(self.link, ends, RST, 1001, 0));
        }
        let end = (heard.protocol, heard.to);
        let is_answer = |open: &Open| {
            open.contact.port == (heard.protocol, heard.from)
                && match open.contact.expected {
                    Expected::Served => matches!(heard.what, What::Accepts | What::Datagram),
                    _ => matches!(heard.what, What::Accepts | What::Datagram | What::Refuses),
                }
        };
        if self.open.get(&end).is_some_and(is_answer) {
            self.close(end);
        }
    }

    fn close(&mut self, end: End) {
        let of = self.open.remove(&end).map(|open| open.of);
        if let Some(visit) = of.and_then(|of| self.visits[of].as_mut()) {
            visit.open -= 1;
        }
    }

    fn repeat(&mut self) {
        let late: Vec<End> =
            self.open.iter().filter(|(_, open)| open.since.elapsed() > AGAIN).map(|(end, _)| *end).collect();
        for end in late {
            let Some(open) = self.open.get_mut(&end) else { continue };
            (open.since, open.tries) = (Instant::now(), open.tries + 1);
            let (contact, tries, of) = (open.contact, open.tries, open.of);
            if tries < TRIES {
                self.report.repeated += 1;
                self.send(end, &contact);
                continue;
            }
            if let Some(visit) = &self.visits[of] {
                self.report.unserved.push((visit.kind, contact));
            }
            self.close(end);
        }
    }
}

/// Whether the address is in the clients' network, 100.64.0.0/10.
fn is_client(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xc0 == 64
}
