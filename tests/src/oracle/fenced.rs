//! Judges packets of fenced sources.

use std::net::IpAddr;

use portsentry_common::{
    classify::{Kind, Protocol},
    environment::Locality,
    judge::Action,
    settings::{FencedDatagrams, FencedSyns},
};

use super::{
    dissect::{Ip, Packet, Part, Transport},
    finding::Finding,
    knowledge::{Oracle, is_left_alone, is_watched},
    seen::{Seen, segment},
    sent::{needs_syn, was_sent_to},
    table::{is_in_table, is_lease, is_unbound, may_be_hidden, was_served},
};

impl Oracle {
    /// Judges a packet of a fenced source. Packets that could open a connection are dropped.
    pub(super) fn fenced(&mut self, source: IpAddr, ip: &Ip, packet: &Packet) -> Finding {
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
    pub(super) fn is_in_session(&self, seen: &Seen<'_>) -> bool {
        self.settings().session_ns > 0 && was_sent_to(&self.scenario, seen)
    }

    fn fenced_syn(&self, seen: &Seen<'_>) -> Finding {
        let mut finding = Finding::of(Action::Drop, &["dropped_fenced"]);
        // If no SYN can be answered or steered, its port makes no difference.
        if !is_watched(seen) || self.settings().challenge_rate == 0 && !self.settings().is_trap(seen.protocol)
        {
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
}
