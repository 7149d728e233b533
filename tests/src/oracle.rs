//! A third judge, independent of the rules. etherparse parses the frame, and the expected outcome follows the
//! documents (README, ARCHITECTURE, `docs/proof.md`, the doc comments).
//!
//! Its clock stands still, and its tables never fill up.

mod dissect;
mod seen;
mod sent;
mod sockets;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
};

use bytemuck::Zeroable;
use ipnet::IpNet;
use portsentry::{kernel::monotonic_ns, policy::Sighting};
use portsentry_common::{
    block::{Block, Origin},
    classify::{Kind, Protocol},
    decide::Verdict,
    environment::Locality,
    judge::Action,
    settings::{AckProbes, FencedDatagrams, FencedSyns, Response, Settings},
};

use self::{
    dissect::{Ip, Packet, Part, Reading, Transport, dissect},
    seen::{Seen, counter, seen, segment, sighting},
    sent::{needs_syn, was_sent_to},
    sockets::is_one_host,
    table::{is_in_table, is_lease, is_unbound, may_be_hidden, may_be_late, was_served},
};
use crate::{
    outcome::{Judge, Outcome, timeless_block},
    scenario::Scenario,
    test_host,
};

/// Number of remembered addresses and ports per source. Repeating one is no new probe.
const REMEMBERED: usize = 16;

/// The oracle's knowledge of the host and of sources.
#[derive(Clone, Debug)]
pub struct Oracle {
    scenario: Scenario,
    local: BTreeMap<IpNet, Locality>,
    ignored: Vec<IpNet>,
    /// Includes expired blocks, as the map does.
    blocked: BTreeMap<IpAddr, Block>,
    now_ns: u64,
    fenced: BTreeSet<IpAddr>,
    fences_left: u32,
    /// For each source, the number of addresses and ports that it has probed, and the last of them.
    probed: BTreeMap<IpAddr, (u32, VecDeque<(IpAddr, u16)>)>,
    told: BTreeSet<(IpAddr, u16, u8)>,
}

/// The outcome of one frame, under construction.
#[derive(Debug)]
struct Finding {
    action: Action,
    told: Vec<Sighting>,
    counted: Vec<&'static str>,
}

impl Finding {
    fn of(action: Action, counted: &[&'static str]) -> Self {
        Self { action, told: Vec::new(), counted: counted.to_vec() }
    }

    fn passes() -> Self {
        Self::of(Action::Pass, &[])
    }
}

impl Judge for Oracle {
    fn judge(&mut self, frame: &[u8]) -> Outcome {
        let Finding { action, told, counted } = self.find(frame);
        Outcome { action, told, counted: counted.into_iter().map(|name| (name, 1)).collect() }
    }

    fn blocked(&self) -> BTreeMap<IpAddr, Block> {
        self.blocked.iter().map(|(source, block)| (*source, timeless_block(*block))).collect()
    }
}

impl Oracle {
    /// Returns the state before the first frame.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            local: test_host::local(),
            ignored: test_host::ignored().into_keys().collect(),
            blocked: scenario.blocked.iter().copied().collect(),
            now_ns: monotonic_ns().unsigned_abs(),
            fenced: BTreeSet::new(),
            fences_left: scenario.settings.fence_rate,
            probed: BTreeMap::new(),
            told: BTreeSet::new(),
            scenario: scenario.clone(),
        }
    }

    fn settings(&self) -> &Settings {
        &self.scenario.settings
    }

    fn find(&mut self, frame: &[u8]) -> Finding {
        let ip = match dissect(frame) {
            Reading::NotIp => return Finding::passes(),
            Reading::Buried => return Finding::of(Action::Drop, &["malformed_link"]),
            Reading::Unreadable(counter) => return Finding::of(Action::Pass, &[counter]),
            Reading::Ip(ip) => ip,
        };
        if ip.source.is_some_and(|source| !self.is_abandoned() && self.is_blocked(source)) {
            return Finding::of(Action::Drop, &["dropped"]);
        }
        let is_fenced = |source: &IpAddr| self.is_fenced(*source) && !self.is_abandoned();
        let (source, packet) = match (ip.source, &ip.rest) {
            (Some(source), Ok(packet)) => (source, packet),
            (Some(source), Err(counter)) if is_fenced(&source) => {
                return Finding::of(Action::Drop, &[counter, "dropped_fenced"]);
            }
            (_, Err(counter)) => return Finding::of(Action::Pass, &[counter]),
            (None, Ok(_)) => unreachable!("a packet that could be read has a source"),
        };
        if is_fenced(&source) {
            return self.fenced(source, &ip, packet);
        }
        match seen(source, &ip, packet) {
            Some(seen) => self.free(seen),
            None => Finding::passes(),
        }
    }

    /// Whether to fail open: `OPEN_AFTER` is set, and the daemon never wrote a heartbeat.
    fn is_abandoned(&self) -> bool {
        self.settings().open_after_ns > 0
    }

    /// Whether the source's own block, which counts dropped packets, or the narrowest network around it is in
    /// force. An ignored source is blocked only by its own block.
    fn is_blocked(&mut self, source: IpAddr) -> bool {
        let is_over = |block: &Block| block.until_ns != 0 && block.until_ns <= self.now_ns;
        let keys = [self.held(source).0, source];
        for key in keys {
            if let Some(block) = self.blocked.get_mut(&key).filter(|block| !is_over(block)) {
                // The block of a single address covers no other.
                if key == source || block.prefix > 0 {
                    block.dropped += 1;
                    return true;
                }
            }
        }
        // An IPv4-mapped address is in no IPv4 network: an IPv6 packet can't speak for an IPv4 host.
        let holding = self.scenario.networks.iter().filter(|(network, _)| network.contains(&source));
        let narrowest = holding.max_by_key(|(network, _)| network.prefix_len());
        narrowest.is_some_and(|(_, block)| !is_over(block)) && !self.is_ignored(source)
    }

    /// Returns the source's key for counts, reports and blocks, and its prefix length. An IPv6 address is keyed by
    /// its network of the configured length, unless the host is in that network, or unrelated hosts share it. The
    /// length is 0 for the address alone.
    fn held(&self, source: IpAddr) -> (IpAddr, u8) {
        const STRANGERS: [&str; 3] = ["fe80::/10", "64:ff9b::/32", "2001::/32"];
        let length = u8::try_from(self.settings().prefix).expect("a length");
        let strangers = STRANGERS.map(|network| network.parse::<IpNet>().expect("a network"));
        let alone = test_host::neighbours().into_iter().chain(strangers);
        let is_alone = alone.into_iter().any(|network| network.contains(&source)) || self.is_ignored(source);
        if source.is_ipv4() || length == 0 || is_alone {
            return (source, 0);
        }
        (IpNet::new(source, length).expect("a network").network(), length)
    }

    fn is_fenced(&self, source: IpAddr) -> bool {
        self.fenced.contains(&self.held(source).0)
    }

    fn is_ignored(&self, source: IpAddr) -> bool {
        self.ignored.iter().any(|network| network.contains(&source))
    }

    /// Judges a packet from a source that is neither blocked nor fenced.
    fn free(&mut self, seen: Seen<'_>) -> Finding {
        if seen.kind == Kind::Chain {
            let is_for_us = self.locality(seen.packet.destination) != Locality::Foreign;
            return if is_for_us && is_one_host(seen.source) {
                self.probe(seen)
            } else {
                Finding::of(Action::Pass, &["malformed_extensions"])
            };
        }
        if !is_watched(&seen) {
            return Finding::passes();
        }
        let is_trap = self.is_trap(&seen);
        if is_trap && ![Kind::Syn, Kind::Udp].contains(&seen.kind) {
            return Finding::passes();
        }
        match self.explanation(&seen) {
            Some(counted) => Finding::of(Action::Pass, counted),
            None if is_trap => Finding::of(Action::Pass, &["steered"]),
            None => self.probe(seen),
        }
    }

    /// Returns the names of the counters for the reason why a packet to a watched port is no probe.
    fn explanation(&self, seen: &Seen<'_>) -> Option<&'static [&'static str]> {
        if seen.is_of_a_connection() && self.settings().ack_probes == AckProbes::Off as u8 {
            return Some(&[]);
        }
        let sockets = &self.scenario.sockets;
        let is_innocent = match (self.locality(seen.packet.destination), seen.protocol) {
            (Locality::Foreign, _) => return Some(&[]),
            (Locality::Own, _) if may_be_late(&self.scenario, seen) || is_lease(seen) => return Some(&[]),
            (Locality::Own, _) if was_served(&self.scenario.table, seen) => true,
            (Locality::Own, _) if is_unbound(&self.scenario, seen) => false,
            (Locality::Own, Protocol::Tcp) => {
                seen.ends().have_a_tcp_service(sockets, seen.is_of_a_connection())
            }
            (Locality::Own, Protocol::Udp) => seen.ends().have_a_udp_service(sockets),
            (Locality::Protected, Protocol::Tcp) if seen.is_of_a_connection() => return Some(&[]),
            (Locality::Protected, Protocol::Udp) if seen.may_answer_a_datagram() => return Some(&[]),
            (Locality::Protected, _) => false,
        };
        if is_innocent {
            Some(&["served"])
        } else if is_one_host(seen.source) {
            None
        } else {
            Some(&["implausible"])
        }
    }

    /// Judges a packet that no socket or rule explains.
    fn probe(&mut self, seen: Seen<'_>) -> Finding {
        let mut counted = vec!["probes", counter(seen.kind)];
        let is_ignored = self.is_ignored(seen.source);
        let counts = !seen.is_of_a_connection() || self.settings().ack_probes == AckProbes::Count as u8;
        if is_ignored || !counts {
            counted.extend(is_ignored.then_some("ignored"));
            let verdict = if is_ignored { Verdict::Ignored } else { Verdict::Noticed };
            return self.told(&seen, verdict, 0, counted);
        }
        let (key, prefix) = self.held(seen.source);
        let (hits, recent) = self.probed.entry(key).or_default();
        let pair = (seen.packet.destination, seen.ports[1]);
        if !recent.contains(&pair) {
            *hits += 1;
            recent.push_back(pair);
            if recent.len() > REMEMBERED {
                recent.pop_front();
            }
        }
        let hits = if self.scenario.settings.trigger > 1 { *hits } else { 1 };
        if hits < self.settings().trigger {
            return self.told(&seen, Verdict::Counted, hits, counted);
        }
        let response = match seen.protocol {
            Protocol::Tcp => self.settings().tcp_response,
            Protocol::Udp => self.settings().udp_response,
        };
        if response == Response::Report as u8 || self.is_abandoned() {
            return self.told(&seen, Verdict::Report, hits, counted);
        }
        if self.settings().fence_ns > 0 {
            return self.fence(&seen, hits, counted);
        }
        self.blocked.insert(key, Block { prefix, ..self.block(&seen, hits) });
        counted.extend(["dropped_probes", "blocked", "reported"]);
        Finding { action: Action::Drop, told: vec![self.sighting(&seen, Verdict::Block, hits)], counted }
    }

    /// Judges a probe that passes. It is reported unless it is a repeat.
    fn told(
        &mut self,
        seen: &Seen<'_>,
        verdict: Verdict,
        hits: u32,
        mut counted: Vec<&'static str>,
    ) -> Finding {
        let is_new = self.told.insert((self.held(seen.source).0, seen.port(), seen.kind as u8));
        let is_told = is_new || self.settings().repeat_ns == 0;
        counted.push(if is_told { "reported" } else { "repeated" });
        let told = is_told.then(|| self.sighting(seen, verdict, hits));
        Finding { action: Action::Pass, told: told.into_iter().collect(), counted }
    }

    fn fence(&mut self, seen: &Seen<'_>, hits: u32, mut counted: Vec<&'static str>) -> Finding {
        let mut told = Vec::new();
        if self.fences_left > 0 {
            self.fences_left -= 1;
            self.fenced.insert(self.held(seen.source).0);
            counted.extend(["fenced", "reported"]);
            told.push(self.sighting(seen, Verdict::Fence, hits));
        } else {
            counted.push("over_fences");
        }
        let is_answered = self.answers(seen);
        counted.push(if is_answered { "answered" } else { "dropped_probes" });
        Finding { action: if is_answered { Action::Answer } else { Action::Drop }, told, counted }
    }

    fn sighting(&self, seen: &Seen<'_>, verdict: Verdict, hits: u32) -> Sighting {
        Sighting { prefix: self.held(seen.source).1, ..sighting(seen, verdict, hits) }
    }

    /// Whether a SYN to a trap is answered with a cookie: it is complete, has no options, and travels between two
    /// hosts.
    fn answers(&self, seen: &Seen<'_>) -> bool {
        self.settings().challenge_rate > 0
            && seen.kind == Kind::Syn
            && seen.packet.part == Part::Whole
            && seen.packet.is_bare
            && seen.ip.is_between_hosts
    }

    /// Judges a packet of a fenced source. Packets that could open a connection are dropped.
    fn fenced(&mut self, source: IpAddr, ip: &Ip, packet: &Packet) -> Finding {
        /// SCTP, DCCP and UDP-Lite open associations, too.
        const OPENING: [u8; 3] = [132, 33, 136];
        let passes = || Finding::of(Action::Pass, &["passed_fenced"]);
        let dropped = || Finding::of(Action::Drop, &["dropped_fenced"]);
        if packet.transport == Transport::Hidden {
            return dropped();
        }
        let Some(seen) = segment(source, ip, packet) else {
            let opens = packet.part != Part::Later && OPENING.contains(&packet.protocol);
            return if opens { dropped() } else { passes() };
        };
        let locality = self.locality(packet.destination);
        let sockets = &self.scenario.sockets;
        let belongs = match (seen.protocol, seen.kind) {
            (Protocol::Udp, _) if locality == Locality::Own => {
                is_lease(&seen)
                    || seen.ends().await_a_datagram(sockets, self.settings().first_ephemeral)
                    || may_be_hidden(&self.scenario, &seen)
                    || self.is_in_session(&seen)
                    || self.settings().fenced_datagrams == FencedDatagrams::Pass as u8
                        && self.is_served(&seen)
            }
            (Protocol::Udp, _) => seen.may_answer_a_datagram(),
            (_, Kind::Syn) if locality == Locality::Own && self.opens() => return self.open(&seen),
            (_, Kind::Syn) => return self.fenced_syn(&seen),
            (_, Kind::Ack | Kind::Maimon) if seen.flags & 4 != 0 => true,
            (_, Kind::Ack | Kind::Maimon) if locality == Locality::Own => {
                seen.ends().are_connected(sockets)
                    || may_be_hidden(&self.scenario, &seen)
                    || was_sent_to(&self.scenario, &seen)
            }
            (_, Kind::Ack | Kind::Maimon) => true,
            _ => false,
        };
        if belongs {
            return passes();
        }
        let mut finding = dropped();
        // ACK without SYN or RST, whatever the other bits.
        let may_complete = seen.protocol == Protocol::Tcp && seen.flags & 0b1_0110 == 0b1_0000;
        let is_asked = is_watched(&seen) || self.opens() && !is_left_alone(&seen);
        if may_complete && self.settings().challenge_rate > 0 && is_asked {
            // Cookies can't be guessed.
            finding.counted.push("unproven");
        }
        finding
    }

    /// Whether the fence is open (`FENCE="open"`).
    fn opens(&self) -> bool {
        self.settings().fenced_syns != FencedSyns::Drop as u8
    }

    /// README: every port looks open to a fenced source, except the excluded ones. A SYN that no stack sends is not
    /// answered, nor one with wrong checksums.
    fn open(&self, seen: &Seen<'_>) -> Finding {
        let dropped = Finding::of(Action::Drop, &["dropped_fenced"]);
        let passes = Finding::of(Action::Pass, &["passed_fenced"]);
        let answers_itself = self.settings().fenced_syns == FencedSyns::Accept as u8;
        let segment = seen.packet.answerable;
        // "A SYN without TCP options", where services answer.
        let has_its_make = segment.is_header && (answers_itself || segment.has_options);
        if seen.packet.part != Part::Whole || !seen.packet.is_bare || !seen.ip.is_near || !has_its_make {
            return dropped;
        }
        let has_service = if answers_itself { self.has_hidden_service(seen) } else { self.is_served(seen) };
        if is_left_alone(seen) || has_service || needs_syn(&self.scenario, seen) {
            return passes;
        }
        // Peers of virtual interfaces leave the checksum incomplete.
        let is_right = segment.has_right_checksum || segment.has_partial_checksum;
        if is_right && segment.has_right_header && seen.ip.is_between_hosts {
            Finding::of(Action::Answer, &["answered"])
        } else {
            dropped
        }
    }

    /// Whether a service is bound to a device above the interface, so that only the table shows it.
    fn has_hidden_service(&self, seen: &Seen<'_>) -> bool {
        let table = &self.scenario.table;
        let is_found = seen.ends().have_a_tcp_service(&self.scenario.sockets, false);
        table.has_devices_above && !is_found && is_in_table(table, seen)
    }

    /// Whether a socket accepts it, or did a moment ago.
    fn is_served(&self, seen: &Seen<'_>) -> bool {
        let sockets = &self.scenario.sockets;
        was_served(&self.scenario.table, seen)
            || !is_unbound(&self.scenario, seen)
                && match seen.protocol {
                    Protocol::Tcp => seen.ends().have_a_tcp_service(sockets, seen.is_of_a_connection()),
                    Protocol::Udp => seen.ends().have_a_udp_service(sockets),
                }
    }

    /// `UDP_SESSION`: a datagram passes if this host recently sent one to the same address and port, from the port
    /// to which it goes.
    fn is_in_session(&self, seen: &Seen<'_>) -> bool {
        self.settings().session_ns > 0 && was_sent_to(&self.scenario, seen)
    }

    fn fenced_syn(&self, seen: &Seen<'_>) -> Finding {
        let mut finding = Finding::of(Action::Drop, &["dropped_fenced"]);
        if !is_watched(seen) {
            return finding;
        }
        match self.explanation(seen) {
            Some(counted) => finding.counted.extend(counted),
            None if self.answers(seen) => finding = Finding::of(Action::Answer, &["answered"]),
            // Without a challenge, only a completed connection can prove the source.
            None if self.is_trap(seen) && self.settings().challenge_rate == 0 => {
                finding = Finding::of(Action::Pass, &["steered", "passed_fenced"]);
            }
            None => {}
        }
        finding
    }

    /// Returns the owner of an address. The smaller of two networks around it decides.
    fn locality(&self, destination: IpAddr) -> Locality {
        let holding = self.local.iter().filter(|(network, _)| network.contains(&destination));
        holding.max_by_key(|(network, _)| network.prefix_len()).map_or(Locality::Foreign, |(_, whose)| *whose)
    }

    fn is_trap(&self, seen: &Seen<'_>) -> bool {
        let bit = match seen.protocol {
            Protocol::Tcp => Settings::TCP_TRAPS,
            Protocol::Udp => Settings::UDP_TRAPS,
        };
        self.settings().traps & bit != 0 && test_host::is_listed(seen.protocol, seen.port())
    }

    fn block(&self, seen: &Seen<'_>, hits: u32) -> Block {
        Block {
            until_ns: u64::from(self.settings().block_ns > 0),
            hits,
            interface: 1,
            port: seen.port(),
            protocol: seen.protocol as u8,
            kind: seen.kind as u8,
            flags: seen.flags,
            origin: Origin::Trigger as u8,
            ..Block::zeroed()
        }
    }
}

/// Whether `ADVANCED_EXCLUDE_TCP` exempts the port, and no list watches it.
fn is_left_alone(seen: &Seen<'_>) -> bool {
    test_host::is_excluded(seen.protocol, seen.port()) && !is_watched(seen)
}

fn is_watched(seen: &Seen<'_>) -> bool {
    test_host::is_listed(seen.protocol, seen.port()) || test_host::is_advanced(seen.protocol, seen.port())
}
