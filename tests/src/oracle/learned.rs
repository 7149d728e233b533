//! Other hosts' ports, according to the documents (`docs/gateway.md`, ARCHITECTURE).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{
    Icmpv4Slice, Icmpv6Slice, IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice, TcpHeaderSlice, UdpHeaderSlice,
};
use portsentry_common::{
    classify::{Kind, Protocol},
    environment::Locality,
    judge::Action,
    settings::{Answers, Response},
};

use super::{
    finding::Finding,
    knowledge::{Oracle, is_watched},
    memory::Port,
    seen::{Seen, counter},
    sockets::is_one_host,
};

/// An answer's meaning, the client, and the port that answers.
struct Answer {
    is_refusal: bool,
    is_datagram: bool,
    is_conversation: bool,
    client: SocketAddr,
    port: Port,
}

impl Oracle {
    /// Records a question to this host or one behind it. Returns the outcome if the port is on no list: it passes,
    /// unless its source has failed too often.
    pub(super) fn question(&mut self, seen: &Seen<'_>) -> Option<Finding> {
        let is_question = match seen.kind {
            Kind::Syn => true,
            Kind::Udp => !seen.may_answer_a_datagram(),
            _ => false,
        };
        let is_off = self.settings().answers == Answers::Off as u8;
        if is_off || !is_question || !is_one_host(seen.source) {
            return None;
        }
        if self.locality(seen.packet.destination) == Locality::Foreign {
            return None;
        }
        let port = (seen.protocol, seen.ends().ours);
        self.learned.asked.insert((seen.ends().theirs, port));
        if self.is_ignored(seen.source) || is_watched(seen) {
            return None;
        }
        let (source, _) = self.held(seen.source);
        if self.learned.refused.contains(&port) {
            let failed = self.learned.failures.entry(source).or_default();
            if !failed.refused.contains(&port.1) {
                failed.unanswered.insert(port.1);
            }
        }
        let failures = self.failures(source);
        if failures < usize::from(self.settings().failed_connections.max(1)) {
            return Some(Finding::passes());
        }
        if !self.decides() || !self.may_fence(seen.protocol) || self.is_abandoned() {
            return Some(Finding::of(Action::Pass, &["over_failures"]));
        }
        let mut counted = vec!["over_failures", "probes", counter(seen.kind)];
        if self.fences_left > 0 {
            self.learned.failures.remove(&source);
        }
        let told = self.enter_fence(seen, u32::try_from(failures).expect("few"), &mut counted);
        counted.push("dropped_probes");
        Some(Finding { action: Action::Drop, told, counted })
    }

    /// Whether a listed port is no trap, because it has answered.
    pub(super) fn has_answered(&self, seen: &Seen<'_>) -> bool {
        let is_question = seen.kind == Kind::Syn || seen.kind == Kind::Udp && !seen.may_answer_a_datagram();
        self.decides() && is_question && self.learned.served.contains(&(seen.protocol, seen.ends().ours))
    }

    /// Judges a frame that this host sends. Returns whether it leaves, and the names of the counters.
    pub fn leave(&mut self, frame: &[u8], is_forwarded: bool) -> (bool, Vec<&'static str>) {
        let is_off = self.settings().answers == Answers::Off as u8;
        match read(frame) {
            Some(answer) if is_forwarded && !is_off => self.answered(&answer),
            _ => (true, Vec::new()),
        }
    }

    fn answered(&mut self, answer: &Answer) -> (bool, Vec<&'static str>) {
        let Answer { is_refusal, is_datagram, is_conversation, client, port } = *answer;
        let locality = self.locality(port.1.ip());
        if locality == Locality::Foreign {
            return (true, Vec::new());
        }
        let mut counted = Vec::new();
        let (source, _) = self.held(client.ip());
        let is_ignored = self.is_ignored(client.ip());
        if is_conversation {
            self.converse(source, port);
            return (true, counted);
        }
        if self.learned.asked.remove(&(client, port)) {
            if port.0 == Protocol::Tcp {
                self.settle(client, port.1, is_refusal);
            }
            if !is_refusal {
                self.learned.refused.remove(&port);
                counted.extend(self.learned.served.insert(port).then_some("learned_served"));
                self.succeed(source, port);
            } else if !self.learned.served.contains(&port) {
                counted.extend(self.learned.refused.insert(port).then_some("learned_refused"));
                if !is_ignored {
                    counted.push("failed_connections");
                    self.fail(source, port);
                }
            }
        }
        let has_failed = self.failures(source) >= usize::from(self.settings().failed_connections.max(1));
        let is_suspect = has_failed || self.is_fenced(client.ip());
        let is_held = is_suspect && self.decides() && self.may_fence(port.0) && !self.is_abandoned();
        let may_connect = locality == Locality::Own && self.opens();
        let leaves = !is_held || is_datagram || is_ignored || may_connect;
        counted.extend((!leaves).then_some("withheld"));
        (leaves, counted)
    }

    /// A failed connection leads to a fence, never to a block.
    fn decides(&self) -> bool {
        self.settings().answers == Answers::Enforce as u8 && self.settings().fence_ns > 0
    }

    /// `BLOCK_TCP`, `BLOCK_UDP`: sources are only reported, or held.
    fn may_fence(&self, protocol: Protocol) -> bool {
        let response = match protocol {
            Protocol::Tcp => self.settings().tcp_response,
            Protocol::Udp => self.settings().udp_response,
        };
        response == Response::Block as u8
    }

    /// Ports count once, whatever the protocol.
    fn fail(&mut self, source: IpAddr, port: Port) {
        let failed = self.learned.failures.entry(source).or_default();
        failed.unanswered.remove(&port.1);
        failed.refused.insert(port.1);
    }

    fn succeed(&mut self, source: IpAddr, port: Port) {
        let most = usize::from(self.settings().failed_connections.max(1)) - 1;
        let Some(failed) = self.learned.failures.get_mut(&source) else { return };
        let has_failed = failed.refused.remove(&port.1) | failed.unanswered.remove(&port.1);
        if !has_failed && failed.served.len() < most {
            failed.served.insert(port.1);
        }
    }

    /// A connection counts for more than half of one.
    fn converse(&mut self, source: IpAddr, port: Port) {
        let most = usize::from(self.settings().failed_connections.max(1)) - 1;
        let Some(failed) = self.learned.failures.get_mut(&source) else { return };
        let has_failed = failed.refused.contains(&port.1) || failed.unanswered.contains(&port.1);
        if !has_failed && failed.served.len() < failed.refused.len() + failed.unanswered.len() + most {
            failed.served.insert(port.1);
        }
    }

    /// A question that isn't answered counts half.
    fn failures(&self, source: IpAddr) -> usize {
        self.learned.failures.get(&source).map_or(0, |failed| {
            let halves = 2 * failed.refused.len() + failed.unanswered.len();
            halves.saturating_sub(2 * failed.served.len()) / 2
        })
    }
}

/// Returns the answer in a frame without tags.
fn read(frame: &[u8]) -> Option<Answer> {
    const ETHERNET: usize = 14;
    let (ends, protocol, rest) = ip(frame.get(ETHERNET..)?)?;
    match protocol {
        IpNumber::TCP => {
            let tcp = TcpHeaderSlice::from_slice(rest).ok()?;
            let is_acceptance = tcp.syn() && tcp.ack() && !tcp.rst() && !tcp.fin();
            let is_reset = tcp.rst() && tcp.ack() && !tcp.syn() && !tcp.fin() && tcp.sequence_number() == 0;
            let port = (Protocol::Tcp, SocketAddr::new(ends[0], tcp.source_port()));
            let client = SocketAddr::new(ends[1], tcp.destination_port());
            let is_conversation = tcp.ack() && !tcp.syn() && !tcp.rst();
            (is_acceptance || is_reset || is_conversation).then_some(Answer {
                is_refusal: is_reset,
                is_datagram: false,
                is_conversation,
                client,
                port,
            })
        }
        IpNumber::UDP => {
            let udp = UdpHeaderSlice::from_slice(rest).ok()?;
            let port = (Protocol::Udp, SocketAddr::new(ends[0], udp.source_port()));
            let client = SocketAddr::new(ends[1], udp.destination_port());
            Some(Answer { is_refusal: false, is_datagram: true, is_conversation: false, client, port })
        }
        IpNumber::ICMP => {
            let icmp = Icmpv4Slice::from_slice(rest).ok()?;
            let refuses = icmp.type_u8() == 3 && [3, 9, 10, 13].contains(&icmp.code_u8());
            refuses.then(|| quoted(icmp.payload(), ends[1])).flatten()
        }
        IpNumber::IPV6_ICMP => {
            let icmp = Icmpv6Slice::from_slice(rest).ok()?;
            let refuses = icmp.type_u8() == 1 && [1, 4].contains(&icmp.code_u8());
            refuses.then(|| quoted(icmp.payload(), ends[1])).flatten()
        }
        _ => None,
    }
}

/// Returns the refusal of the question that an ICMP error to `to` quotes.
fn quoted(packet: &[u8], to: IpAddr) -> Option<Answer> {
    let (ends, protocol, rest) = ip(packet)?;
    let [from, at] = [0, 2].map(|at| rest.get(at..at + 2).map(|port| u16::from_be_bytes([port[0], port[1]])));
    let protocol = match protocol {
        IpNumber::TCP => Protocol::Tcp,
        IpNumber::UDP => Protocol::Udp,
        _ => return None,
    };
    let client = SocketAddr::new(ends[0], from?);
    let port = (protocol, SocketAddr::new(ends[1], at?));
    (client.ip() == to).then_some(Answer {
        is_refusal: true,
        is_datagram: false,
        is_conversation: false,
        client,
        port,
    })
}

fn ip(packet: &[u8]) -> Option<([IpAddr; 2], IpNumber, &[u8])> {
    match packet.first()? >> 4 {
        4 => {
            let header = Ipv4HeaderSlice::from_slice(packet).ok()?;
            // Neither options nor later fragments are read.
            if !header.options().is_empty() || header.fragments_offset().value() != 0 {
                return None;
            }
            let ends = [header.source_addr(), header.destination_addr()].map(|end: Ipv4Addr| end.into());
            Some((ends, header.protocol(), &packet[header.slice().len()..]))
        }
        6 => {
            let header = Ipv6HeaderSlice::from_slice(packet).ok()?;
            let ends = [header.source_addr(), header.destination_addr()].map(|end: Ipv6Addr| end.into());
            Some((ends, header.next_header(), &packet[header.slice().len()..]))
        }
        _ => None,
    }
}
