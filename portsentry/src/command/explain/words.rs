//! The facts of a judgement in words, one line each.

use std::{path::Path, time::SystemTime};

use portsentry_common::{
    block::{Block, Proof},
    classify::Protocol,
    counter::Counter,
    environment::{Connection, Entry, Locality, RateLimit, Relation},
    settings::Settings,
};

use super::packet::Packet;
use crate::{
    command::{show, zone::Zone},
    config::ignore,
    kernel::{Fact, FoundSocket, wall_time},
    policy::{Ids, State, name_of, scope::Exempt},
};

/// The context of the facts.
pub(super) struct Context<'a> {
    pub packet: &'a Packet,
    pub settings: &'a Settings,
    pub ignore_file: &'a Path,
    pub ids: &'a Ids,
    pub zone: &'a Zone,
}

impl Context<'_> {
    /// Returns the facts in words.
    pub(super) fn lines(&self, facts: &[Fact]) -> Vec<String> {
        facts.iter().filter_map(|fact| self.line(fact)).collect()
    }

    fn line(&self, fact: &Fact) -> Option<String> {
        let Packet { from, to, protocol, .. } = self.packet;
        let port = format!("{}/{}", to.port(), protocol.name());
        Some(match fact {
            Fact::NotEnforced => {
                "no block is enforced: no daemon has run for the time in OPEN_AFTER".into()
            }
            Fact::Held(state, network, block) => {
                let id = self.ids.get(*network).map(|id| format!(", id {id}")).unwrap_or_default();
                let state = if *state == State::Blocked { "blocked" } else { "fenced" };
                format!("{} is {state} {}{id}{}", name_of(*network), self.span(block), proof(block))
            }
            Fact::Free => format!("{} is neither blocked nor fenced", from.ip()),
            Fact::Watched(None) => format!("{port} is not watched"),
            Fact::Watched(Some(is_listed)) => format!("{port} is watched ({})", setting(*protocol, *is_listed)),
            Fact::Locality(Locality::Own) => format!("{} is an address of this host", to.ip()),
            Fact::Locality(Locality::Protected) => {
                format!("{} counts like a host behind this one (PROTECTED_NETWORKS, --any-destination, or -S)", to.ip())
            }
            Fact::Locality(Locality::Foreign) => {
                format!("{} is no address of this host and not in PROTECTED_NETWORKS: packets to it never count", to.ip())
            }
            Fact::Relation(Relation::Exempt, found) => self.exempt(*found),
            Fact::Relation(Relation::Neighbour, _) => {
                format!("{} is in a network of this host's links, so it counts by its address alone", from.ip())
            }
            Fact::Open => format!("a socket accepts packets to {port} on every address, or did within SERVED_GRACE"),
            Fact::Unbound => format!("no socket is bound to {port}"),
            Fact::Socket(Some(found)) => format!("{} receives it", socket(*protocol, found)),
            Fact::Socket(None) => format!("no socket of this host receives packets to {} port {port}", to.ip()),
            Fact::Served => format!("a socket bound to this address or to a device serves {port}, or did within SERVED_GRACE"),
            Fact::Connection(Connection::None) => "it belongs to no connection of this host".into(),
            Fact::Connection(Connection::Established) => "it belongs to an established connection".into(),
            Fact::Connection(Connection::Beginning) => "it belongs to a connection whose handshake is incomplete".into(),
            Fact::Connection(Connection::Passing) => "it belongs to a connection that begins or closes".into(),
            Fact::Tally(hits) => {
                format!("it is distinct probe {hits} of {}; SCAN_TRIGGER is {}", from.ip(), self.settings.trigger)
            }
            Fact::Handshakes(count) => {
                let connected = if count.is_connected { "; as a client of a service, it needs four times as many" } else { "" };
                let needed = self.settings.proof_traps.max(1);
                format!("it is handshake with trap {} of {needed} (PROOF_TRAPS){connected}", count.traps)
            }
            Fact::LearnedServed => format!("{} has answered at {port} within a day (ANSWERS)", to.ip()),
            Fact::LearnedRefused => format!("{} refuses {port} (ANSWERS)", to.ip()),
            Fact::Failures(number) => {
                let most = self.settings.failed_connections();
                format!("{} has {number} failed connections; FAILED_CONNECTIONS is {most}", from.ip())
            }
            Fact::Entered(State::Blocked, network, block, Entry::Entered) => {
                format!("{} is blocked {}", name_of(*network), term(block))
            }
            Fact::Entered(State::Fenced, network, block, Entry::Entered) => {
                format!("{} is fenced {}: the address may be spoofed", name_of(*network), term(block))
            }
            Fact::Entered(_, network, _, Entry::Full) => {
                format!("{} is not blocked, because the map is full (MAX_BLOCKED)", name_of(*network))
            }
            Fact::Steered => format!("{port} is a trap that accepts connections and datagrams (-tcp, -udp, --connect)"),
            Fact::Accepted => "a connection to the service is opened".into(),
            Fact::Exhausted(limit) => match limit {
                // These change only what is logged or learned.
                RateLimit::Report | RateLimit::Learn | RateLimit::Fail | RateLimit::Contact => return None,
                RateLimit::Fence => "FENCE_RATE is used up".into(),
                RateLimit::Answer => "CHALLENGE_RATE is used up: no cookie is sent".into(),
                RateLimit::Check => "no more acknowledgements are checked for the moment (CHALLENGE_RATE, or too many wrong ones)".into(),
                RateLimit::Syn => "the rate for SYNs of all fenced sources is used up (FENCE_SYN_RATE)".into(),
            },
            Fact::Paced => format!("{} has used up its own rate as a fenced source", from.ip()),
            Fact::Counted(Counter::Implausible) => {
                format!("{} can't be the address of a single host, so it is never blocked", from.ip())
            }
            Fact::Relation(Relation::Stranger, _) | Fact::Entered(..) | Fact::Counted(_) | Fact::Reported(_) => {
                return None;
            }
        })
    }

    /// Returns the start and end of an existing entry.
    fn span(&self, block: &Block) -> String {
        let time = |time| self.zone.show(time);
        let until = i64::try_from(block.until_ns).map_or_else(|_| SystemTime::UNIX_EPOCH, wall_time);
        let until = if block.until_ns == 0 { "for good".into() } else { format!("until {}", time(until)) };
        format!("since {} ({}), {until}", time(wall_time(block.since_ns)), self.zone.name())
    }

    /// Names the reason for an exemption: for the ignore file its line.
    fn exempt(&self, found: Option<(ipnet::IpNet, u32)>) -> String {
        let source = self.packet.from.ip();
        let Some((network, reason)) = found else { return format!("{source} is exempt") };
        let why = match reason {
            reason if reason == Exempt::Own as u32 => "it is an address of this host".into(),
            reason if reason == Exempt::Gateway as u32 => "it is a gateway of this host".into(),
            reason if reason == Exempt::Resolver as u32 => "it is a name server of this host".into(),
            _ => {
                let file = self.ignore_file.display();
                ignore::place_of(self.ignore_file, network).map_or_else(
                    || format!("{file} ignored {} when the daemon read it", name_of(network)),
                    |(file, line)| format!("{}:{line} ignores {}", file.display(), name_of(network)),
                )
            }
        };
        format!("{source} is never blocked: {why}")
    }
}

/// Returns the duration of a new entry.
fn term(block: &Block) -> String {
    if block.until_ns == 0 {
        return "for good".into();
    }
    let length = block.until_ns.saturating_sub(block.since_ns.unsigned_abs());
    format!("for {} seconds", length / 1_000_000_000)
}

fn proof(block: &Block) -> String {
    match Proof::try_from(block.proof) {
        Ok(Proof::None) | Err(_) => String::new(),
        Ok(proof) => format!(" ({})", show::proof_shown(proof.name())),
    }
}

const fn setting(protocol: Protocol, is_listed: bool) -> &'static str {
    match (protocol, is_listed) {
        (Protocol::Tcp, true) => "TCP_PORTS",
        (Protocol::Udp, true) => "UDP_PORTS",
        (Protocol::Tcp, false) => "ADVANCED_PORTS_TCP",
        (Protocol::Udp, false) => "ADVANCED_PORTS_UDP",
    }
}

fn socket(protocol: Protocol, found: &FoundSocket) -> String {
    const LISTEN: u8 = 10;
    let inode = if found.inode == 0 { String::new() } else { format!(" (inode {})", found.inode) };
    match (protocol, found.state, found.peer_port) {
        (Protocol::Tcp, LISTEN, _) => format!("the listener on {}{inode}", found.local),
        (Protocol::Tcp, ..) => format!("the connection of {}{inode}", found.local),
        (Protocol::Udp, _, 0) => format!("the socket on {}{inode}", found.local),
        (Protocol::Udp, ..) => format!("the connected socket on {}{inode}", found.local),
    }
}
