//! The maps of each address family.

use std::net::IpAddr;

use portsentry_common::{
    address::{Address, Ipv6},
    block::Block,
    bound::{EVERY_IPV4, EVERY_IPV6, Known, NEEDS_SYN, ServedKey, Slot, slot, stamp, trap},
    classify::{Kind, Probe, Protocol},
    environment::{
        Connection, DedupKey, Entry, FamilyMaps, FastMaps, HandshakeCount, Locality, RateLimit, Relation,
        Served,
    },
    flow::Flow,
    gate::Near,
    pace,
    state::{FlowKey, NetworkKey, SteerKey},
    tally::{Handshakes, Tally},
};

use super::{
    DryRun, Fact, HANDSHAKES, NEIGHBOUR, TALLIES, ip,
    pinned::Prefix,
    sockets::{FoundSocket, TIME_WAIT, find},
};
use crate::{
    kernel::{blocked_networks, bound, error::Error},
    policy::{State, network_of},
};

/// States of TCP sockets (`include/net/tcp_states.h` in the kernel).
const ESTABLISHED: u8 = 1;
const SYN_RECEIVED: u8 = 3;
const LISTEN: u8 = 10;
const NEW_SYN_RECEIVED: u8 = 12;

impl<A: Address> FastMaps<A> for DryRun {
    /// The gate saves time, and never changes a verdict.
    fn near(&self, _: u32) -> Near {
        Near::BOTH
    }

    /// The benign-flow cache saves time, and forgets within a second.
    fn is_known_benign(&self, _: A, _: u16, _: Protocol, _: u16) -> bool {
        false
    }
}

impl DryRun {
    fn own_trap<A: Address>(&self, protocol: Protocol) -> u32 {
        self.horizon.traps[trap(protocol, A::VERSION)]
    }

    /// Returns the socket that a packet of `flow` from `source_port` would reach.
    fn socket<A: Address>(&self, flow: &Flow<A>, source_port: u16) -> Option<FoundSocket> {
        let found = find(flow, source_port, self.interface);
        self.known(found.map_err(|source| Error::System { what: "looking up a socket", source }))
    }

    /// Like [`DryRun::socket`], but ignores the daemon's own trap, which is no service.
    fn tcp<A: Address>(&self, flow: &Flow<A>, source_port: u16) -> Option<FoundSocket> {
        let own = self.own_trap::<A>(Protocol::Tcp);
        let is_own = |found: &FoundSocket| {
            found.state == LISTEN
                && u32::from(found.local.port()) == own
                && found.local.port() != flow.probe.port
        };
        self.socket(flow, source_port).filter(|found| !is_own(found))
    }

    fn is_in_force(&self, block: &Block) -> bool {
        !block.is_over(self.now_ns)
    }

    fn served_after(&self, key: ServedKey, horizon: u32) -> bool {
        let octets: [u8; size_of::<ServedKey>()] = bytemuck::cast(key);
        let raw: Option<[u8; 4]> = self.known(self.maps.entry(bound::SERVED, octets));
        raw.map_or(0, u32::from_ne_bytes) > horizon
    }

    /// Returns the time when the host last sent to the source of `flow` from the port to which it goes.
    fn sent_ns<A: Address>(&self, flow: &Flow<A>) -> u64 {
        let Probe { source_port, port, protocol, .. } = flow.probe;
        let times = [source_port, 0].map(|remote_port| {
            let key = FlowKey::new(flow.source.to_mapped().halves(), remote_port, port, protocol as u8);
            let octets: [u8; size_of::<FlowKey>()] = bytemuck::cast(key);
            let raw: Option<[u8; 8]> = self.known(self.maps.entry("FLOWS", octets));
            raw.map_or(0, u64::from_ne_bytes)
        });
        times[0].max(times[1])
    }

    fn tally_of(&self, address: IpAddr) -> Tally {
        if let Some(tally) = self.changes.borrow().tallies.get(&address) {
            return *tally;
        }
        let raw: Option<[u8; size_of::<Tally>()]> = self.known(self.maps.entry(TALLIES, mapped(address)));
        raw.map_or(Tally::EMPTY, |raw| bytemuck::pod_read_unaligned(&raw))
    }

    fn handshakes_of(&self, address: IpAddr) -> Handshakes {
        if let Some(handshakes) = self.changes.borrow().handshakes.get(&address) {
            return *handshakes;
        }
        let raw: Option<[u8; size_of::<Handshakes>()]> =
            self.known(self.maps.entry(HANDSHAKES, mapped(address)));
        raw.map_or(Handshakes::NONE, |raw| bytemuck::pod_read_unaligned(&raw))
    }

    fn enter<A: Address>(&self, state: State, key: A, block: &Block, is_full: bool) -> Entry {
        let key = ip(key);
        let entry = match self.entry(state, key) {
            Some(old) if self.is_in_force(&old) && (old.prefix != 0 || block.prefix == 0) => Entry::Already,
            None if is_full => Entry::Full,
            _ => {
                self.set_entry(state, key, Some(*block));
                Entry::Entered
            }
        };
        self.note(Fact::Entered(state, network_of(key, block.prefix), *block, entry));
        entry
    }
}

impl<A: Address> FamilyMaps<A> for DryRun {
    /// Nothing is counted.
    type Fence = ();

    fn may_be_alone(&self) -> bool {
        true
    }

    fn is_blocked(&self, source: &A, _: &A, _: bool) -> bool {
        let held = self.held(State::Blocked, source).filter(|(_, block)| self.is_in_force(block));
        if let Some((network, block)) = held {
            self.note(Fact::Held(State::Blocked, network, block));
        }
        held.is_some()
    }

    fn is_in_blocked_network(&self, source: A) -> bool {
        const SIZE: usize = size_of::<NetworkKey>();
        let key = NetworkKey { version: A::VERSION.into(), address: source.to_mapped() };
        let found = self.maps.narrowest(blocked_networks::MAP, NetworkKey::BITS, key.octets());
        let raw: Option<[u8; size_of::<Block>()]> = self.known(found);
        let block = raw.map(|raw| bytemuck::pod_read_unaligned::<Block>(&raw));
        let Some(block) = block.filter(|block| self.is_in_force(block)) else { return false };
        if FamilyMaps::<A>::relation(self, source) == Relation::Exempt {
            return false;
        }
        let all: Vec<Prefix<SIZE, { size_of::<Block>() }>> =
            self.known(self.maps.prefixes(blocked_networks::MAP));
        let networks = all.into_iter().filter_map(|(length, octets, _)| blocked_networks::of(length, octets));
        let holding = networks.filter(|network| network.contains(&ip(source)));
        let network = holding.max_by_key(ipnet::IpNet::prefix_len).unwrap_or_else(|| ip(source).into());
        self.note(Fact::Held(State::Blocked, network, block));
        true
    }

    fn relation(&self, source: A) -> Relation {
        let relation = match self.ignored(ip(source)) {
            None => Relation::Stranger,
            Some(NEIGHBOUR) => Relation::Neighbour,
            Some(_) => Relation::Exempt,
        };
        if relation != Relation::Stranger {
            self.note(Fact::Relation(relation, self.ignoring(ip(source))));
        }
        relation
    }

    fn locality(&self, destination: A) -> Locality {
        let value = self.known(match ip(destination) {
            IpAddr::V4(address) => self.maps.narrowest("LOCAL_V4", 32, address.octets()),
            IpAddr::V6(address) => self.maps.narrowest("LOCAL_V6", 128, address.octets()),
        });
        let locality = Locality::from(value.map(u32::from_ne_bytes));
        self.note(Fact::Locality(locality));
        locality
    }

    fn remember(&self, _: A, _: Protocol, _: u16) {}

    fn slot(&self, protocol: Protocol, port: u16) -> Slot {
        let index = slot(protocol, A::VERSION, port);
        let raw: Option<[u8; size_of::<Slot>()]> =
            self.known(self.maps.element(bound::SLOTS, index).map(Some));
        let slot = raw.map_or(Slot::default(), |raw| bytemuck::pod_read_unaligned(&raw));
        let probe = Probe { protocol, kind: Kind::Syn, source_port: 0, port, flags: 0 };
        match self.horizon.known(slot, &probe, &self.settings, stamp(self.now_ns)) {
            Known::Served => self.note(Fact::Open),
            Known::Unbound => self.note(Fact::Unbound),
            Known::Unknown => {}
        }
        slot
    }

    fn is_in_served(&self, flow: &Flow<A>, which: Served, horizon: u32) -> bool {
        let Probe { protocol, port, .. } = flow.probe;
        let every = if A::VERSION == 4 { EVERY_IPV4 } else { EVERY_IPV6 };
        let here = flow.destination.to_mapped().halves();
        let key = |address, interface| ServedKey::new(address, interface, port, protocol as u8);
        let is_later = |key: ServedKey| self.served_after(key, horizon);
        let interface = self.interface;
        let is_served = match which {
            Served::BySyn => is_later(key(every, NEEDS_SYN)) || is_later(key(here, NEEDS_SYN)),
            Served::All => {
                is_later(key(every, interface)) || is_later(key(here, interface)) || is_later(key(here, 0))
            }
            Served::Connected => {
                is_later(key(every, interface).connected()) || is_later(key(here, interface).connected())
            }
        };
        if is_served {
            self.note(Fact::Served);
        }
        is_served
    }

    fn has_socket(&self, flow: &Flow<A>) -> bool {
        let Probe { protocol, source_port, port, kind, .. } = flow.probe;
        let found = match protocol {
            Protocol::Tcp => self.tcp(flow, source_port).and_then(|found| {
                let is_explained = found.state != TIME_WAIT || kind.is_connected();
                if is_explained { Some(found) } else { self.tcp(flow, 0) }
            }),
            Protocol::Udp => {
                let own = self.own_trap::<A>(Protocol::Udp);
                let is_service =
                    |found: &FoundSocket| found.local.port() == port || u32::from(found.local.port()) != own;
                self.socket(flow, source_port).filter(is_service)
            }
        };
        if found.is_none() {
            // It says the same, and this is more exact.
            self.facts.borrow_mut().retain(|fact| *fact != Fact::Unbound);
        }
        self.note(Fact::Socket(found));
        found.is_some()
    }

    fn tally(&self, source: A, pair: u32, now_ns: u64) -> u32 {
        let mut tally = self.tally_of(ip(source));
        let hits = tally.count(pair, now_ns, self.settings.tally_ns);
        self.changes.borrow_mut().tallies.insert(ip(source), tally);
        self.note(Fact::Tally(hits));
        hits
    }

    fn count_handshake(&self, source: A, pair: u32, now_ns: u64) -> HandshakeCount {
        let mut handshakes = self.handshakes_of(ip(source));
        let traps = handshakes.count(pair, now_ns, self.settings.tally_ns);
        let count = HandshakeCount { traps, is_connected: handshakes.is_connected(now_ns) };
        self.changes.borrow_mut().handshakes.insert(ip(source), handshakes);
        self.note(Fact::Handshakes(count));
        count
    }

    fn mark_connected(&self, source: A, now_ns: u64) {
        let handshakes = Handshakes { connected_ns: now_ns, ..self.handshakes_of(ip(source)) };
        self.changes.borrow_mut().handshakes.insert(ip(source), handshakes);
    }

    /// A repeat is not logged again, but has the same effect.
    fn is_repeat(&self, _: &DedupKey<A>, _: u64) -> bool {
        false
    }

    fn block(&self, key: A, block: &Block) -> Entry {
        const SIZE: usize = size_of::<Block>();
        let (entries, capacity) = self.known(match A::VERSION {
            4 => self.maps.fill::<4, SIZE>("BLOCKED_V4"),
            _ => self.maps.fill::<16, SIZE>("BLOCKED_V6"),
        });
        self.enter(State::Blocked, key, block, entries >= capacity)
    }

    fn fence_of(&self, source: &A, _: &A, _: bool) -> Option<()> {
        let held = self.held(State::Fenced, source).filter(|(_, block)| self.is_in_force(block));
        self.note(held.map_or(Fact::Free, |(network, block)| Fact::Held(State::Fenced, network, block)));
        held.map(|_| ())
    }

    fn count_dropped(&self, (): ()) {}

    fn count_fenced(&self, _: &A) {}

    fn pace(&self, source: &A, _: Option<()>, now_ns: u64) -> bool {
        let is_within = self.change_fence(source, |fence| {
            pace::take(fence.paced, now_ns, &self.settings).map(|next| fence.paced = next).is_some()
        });
        // A fence that has just ended has no effect.
        let is_within = is_within.unwrap_or(true);
        if !is_within {
            self.note(Fact::Paced);
        }
        is_within
    }

    fn may_guess(&self, source: &A, now_ns: u64) -> bool {
        let fence = self.held(State::Fenced, source);
        let is_within = fence.is_none_or(|(_, fence)| pace::may_guess(fence.guessed, now_ns, &self.settings));
        if !is_within {
            self.note(Fact::Exhausted(RateLimit::Check));
        }
        is_within
    }

    fn count_guess(&self, source: &A, now_ns: u64) {
        self.change_fence(source, |fence| {
            fence.guessed = pace::guess(fence.guessed, now_ns).unwrap_or(fence.guessed);
        });
    }

    fn last_sent_ns(&self, flow: &Flow<A>) -> u64 {
        self.sent_ns(flow)
    }

    /// Only the kernel can check its own cookies. A packet made for a dry run acknowledges none.
    fn is_cookie_of_kernel(&self, _: &Flow<A>, _: usize) -> bool {
        false
    }

    fn accept(&self, _: &Flow<A>) {
        self.note(Fact::Accepted);
    }

    fn mark_opened(&self, _: &Flow<A>) {}

    fn was_opened(&self, flow: &Flow<A>) -> bool {
        let Probe { source_port, port, protocol, .. } = flow.probe;
        let key = SteerKey::new(flow.source.to_mapped(), source_port, port, protocol as u8);
        let octets: [u8; size_of::<SteerKey>()] = bytemuck::cast(key);
        let raw: Option<[u8; 4]> = self.known(self.maps.entry("OPENED", octets));
        raw.is_some()
    }

    fn fence(&self, key: A, block: &Block) -> Entry {
        self.enter(State::Fenced, key, block, false)
    }

    fn unfence(&self, key: A) {
        self.set_entry(State::Fenced, ip(key), None);
    }

    fn steer(&self, _: &Flow<A>) {
        self.note(Fact::Steered);
    }

    fn connection(&self, flow: &Flow<A>) -> Connection {
        let connection = match self.socket(flow, flow.probe.source_port).map(|found| found.state) {
            None | Some(LISTEN) => Connection::None,
            Some(ESTABLISHED) => Connection::Established,
            Some(SYN_RECEIVED | NEW_SYN_RECEIVED) => Connection::Beginning,
            Some(_) => Connection::Passing,
        };
        self.note(Fact::Connection(connection));
        connection
    }

    fn is_expected(&self, flow: &Flow<A>) -> bool {
        let own = self.own_trap::<A>(Protocol::Udp);
        let found = self.socket(flow, flow.probe.source_port).filter(|found| {
            let port = u32::from(found.local.port());
            let is_ephemeral = port >= self.settings.first_ephemeral
                && (found.local.port() == flow.probe.port || port != own);
            found.peer_port != 0 || is_ephemeral
        });
        if found.is_some() {
            self.note(Fact::Socket(found));
        }
        found.is_some()
    }
}

fn mapped(address: IpAddr) -> [u8; 16] {
    Ipv6::from(address).octets
}
