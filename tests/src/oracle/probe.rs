//! Judges packets of sources that are neither blocked nor fenced.

use bytemuck::Zeroable;
use portsentry::policy::Sighting;
use portsentry_common::{
    block::{Block, Origin},
    classify::{Kind, Protocol},
    decide::Verdict,
    environment::Locality,
    judge::Action,
    settings::{AckProbes, Response},
};

use super::{
    dissect::Part,
    finding::Finding,
    knowledge::{Oracle, is_watched},
    seen::{Seen, counter, sighting},
    sent::was_sent_to,
    sockets::is_one_host,
    table::{is_lease, is_unbound, may_be_late, was_served},
};

/// Number of remembered addresses and ports per source. Repeating one is no new probe.
const REMEMBERED: usize = 16;

impl Oracle {
    /// Judges a packet from a source that is neither blocked nor fenced.
    pub(super) fn free(&mut self, seen: Seen<'_>) -> Finding {
        if seen.kind == Kind::Chain {
            let is_for_us = self.locality(seen.packet.destination) != Locality::Foreign;
            return if is_for_us && is_one_host(seen.source) {
                self.probe(seen)
            } else {
                Finding::of(Action::Pass, &["malformed_extensions"])
            };
        }
        if let Some(finding) = self.question(&seen) {
            return finding;
        }
        if !is_watched(&seen) {
            return Finding::passes();
        }
        let is_trap = self.is_trap(&seen);
        if is_trap && [Kind::Ack, Kind::Maimon].contains(&seen.kind) {
            return Finding::passes();
        }
        match self.explanation(&seen) {
            Some(counted) => Finding::of(Action::Pass, counted),
            None if is_trap => Finding::of(Action::Pass, &["steered"]),
            None => self.probe(seen),
        }
    }

    /// Returns the names of the counters for the reason why a packet to a watched port is no probe.
    pub(super) fn explanation(&self, seen: &Seen<'_>) -> Option<&'static [&'static str]> {
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
        let is_own = self.locality(seen.packet.destination) == Locality::Own;
        if is_innocent || is_own && self.is_an_answer(seen) || self.has_answered(seen) {
            Some(&["served"])
        } else if is_one_host(seen.source) {
            None
        } else {
            Some(&["implausible"])
        }
    }

    /// ARCHITECTURE: datagrams of a session, and ACKs and FIN+ACKs of a translated connection, answer the host.
    fn is_an_answer(&self, seen: &Seen<'_>) -> bool {
        match seen.protocol {
            Protocol::Udp => self.is_in_session(seen),
            Protocol::Tcp => seen.is_of_a_connection() && was_sent_to(&self.scenario, seen),
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
        let told = self.enter_fence(seen, hits, &mut counted);
        let is_answered = self.answers(seen);
        counted.push(if is_answered { "answered" } else { "dropped_probes" });
        Finding { action: if is_answered { Action::Answer } else { Action::Drop }, told, counted }
    }

    /// Fences the source, unless the rate is exceeded. Returns the report.
    pub(super) fn enter_fence(
        &mut self,
        seen: &Seen<'_>,
        hits: u32,
        counted: &mut Vec<&'static str>,
    ) -> Vec<Sighting> {
        if self.fences_left == 0 {
            counted.push("over_fences");
            return Vec::new();
        }
        self.fences_left -= 1;
        let until_ns = self.now_ns.saturating_add(self.settings().fence_ns);
        self.fenced.insert(self.held(seen.source).0, until_ns);
        counted.extend(["fenced", "reported"]);
        vec![self.sighting(seen, Verdict::Fence, hits)]
    }

    pub(super) fn sighting(&self, seen: &Seen<'_>, verdict: Verdict, hits: u32) -> Sighting {
        Sighting { prefix: self.held(seen.source).1, ..sighting(seen, verdict, hits) }
    }

    /// Whether a SYN to a trap is answered with a cookie: it is complete, has no options, and travels between two
    /// hosts.
    pub(super) fn answers(&self, seen: &Seen<'_>) -> bool {
        self.settings().challenge_rate > 0
            && seen.kind == Kind::Syn
            && seen.packet.part == Part::Whole
            && seen.packet.is_bare
            && seen.ip.is_between_hosts
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
