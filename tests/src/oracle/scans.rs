//! Failed first contacts, according to `docs/detection.md`.

use std::net::{IpAddr, SocketAddr};

use etherparse::{NetSlice, TransportSlice};
use ipnet::IpNet;
use portsentry_common::{
    classify::{Kind, Protocol},
    decide::Verdict,
    environment::Locality,
    judge::Action,
    settings::{Answers, Response, ScanDetection},
};

use super::{
    finding::Finding,
    knowledge::Oracle,
    memory::Address,
    seen::Seen,
    sockets::is_one_host,
    table::{is_unbound, was_served},
};

/// The outcome of a first contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contact {
    /// The port is served, or has answered.
    Served,
    /// It failed, but its answer may come, unless the address is known to be silent.
    Failed { is_silent: bool, is_open: bool },
    /// A failure wouldn't show.
    Unknown,
}

impl Oracle {
    /// Counts the first contact of a SYN that passes, and judges its source.
    pub(super) fn contact(&mut self, frame: &[u8], seen: &Seen<'_>, mut finding: Finding) -> Finding {
        let at = seen.ends().ours;
        let is_counted = finding.action == Action::Pass
            && self.settings().scans != ScanDetection::Off as u8
            && seen.kind == Kind::Syn
            && is_one_host(seen.source)
            && !self.is_ignored(seen.source);
        let contact = if is_counted { self.outcome(seen) } else { Contact::Unknown };
        let (source, _) = self.held(seen.source);
        let now = self.now_ns / 1_000_000_000;
        let contacts = self.contacts.entry(source).or_default();
        let is_new = match contact {
            Contact::Unknown => return finding,
            Contact::Served => {
                contacts.succeed(at);
                return finding;
            }
            Contact::Failed { is_silent, is_open } => {
                let score = if is_silent { 2.2 } else { 1.5 } + shape(frame);
                contacts.fail(at, (score, is_silent), is_open, now)
            }
        };
        if is_new {
            finding.counted.push("failed_contacts");
            self.heard.marked.insert((seen.ends().theirs, at));
        }
        let settings = self.scenario.settings;
        let fences = settings.scans == ScanDetection::Fence as u8
            && settings.fence_ns > 0
            && settings.tcp_response == Response::Block as u8;
        let contacts = self.contacts.get_mut(&source).expect("its contacts");
        let number = u32::try_from(contacts.failures()).expect("few");
        match contacts.judge(fences, now) {
            Some(Verdict::Fence) if fences && self.is_abandoned() => {}
            Some(Verdict::Fence) if fences => {
                finding.told.extend(self.enter_fence(seen, number, &mut finding.counted));
                finding.counted.push("scan_fences");
                finding.action = Action::Drop;
            }
            Some(Verdict::Fence | Verdict::Report) => {
                finding.told.push(self.sighting(seen, Verdict::Report, number));
                finding.counted.extend(["scan_reports", "reported"]);
            }
            // The daemon judges it once no answer can come.
            Some(verdict) => {
                finding.told.push(self.sighting(seen, verdict, number));
                finding.counted.push("reported");
            }
            None => {}
        }
        finding
    }

    fn outcome(&mut self, seen: &Seen<'_>) -> Contact {
        let at = seen.ends().ours;
        let is_own = match self.locality(at.ip()) {
            Locality::Own => true,
            Locality::Protected if self.learns() => false,
            _ => return Contact::Unknown,
        };
        if is_own && self.serves(seen) || self.learns() && self.learned.served.contains(&(Protocol::Tcp, at))
        {
            return Contact::Served;
        }
        if !self.learns() {
            return Contact::Failed { is_silent: false, is_open: false };
        }
        if !is_own && !self.heard.networks.contains(&network(at.ip())) {
            return Contact::Unknown;
        }
        let now = self.now_ns / 1_000_000_000;
        let place = place(at, is_own);
        let is_alive = self.heard.alive.contains(&place);
        let asked = *self.heard.asked.entry(place).or_insert(now);
        let is_known_silent = !is_alive && now >= asked + 60;
        Contact::Failed { is_silent: !is_own && !is_alive, is_open: !is_known_silent }
    }

    /// Settles the contact of `client` with the port `at`, which has answered.
    pub(super) fn settle(&mut self, client: SocketAddr, at: SocketAddr, is_refusal: bool) {
        if self.settings().scans == ScanDetection::Off as u8 || self.is_ignored(client.ip()) {
            return;
        }
        let is_own = self.locality(at.ip()) == Locality::Own;
        self.heard.alive.insert(place(at, is_own));
        if !is_own {
            self.heard.networks.insert(network(at.ip()));
        }
        let is_its = self.heard.marked.remove(&(client, at));
        let (source, _) = self.held(client.ip());
        let Some(contacts) = self.contacts.get_mut(&source) else { return };
        if is_refusal {
            contacts.refuse(at, is_its);
        } else {
            contacts.accept(at, is_its);
        }
    }

    fn learns(&self) -> bool {
        self.settings().answers != Answers::Off as u8
    }

    fn serves(&self, seen: &Seen<'_>) -> bool {
        was_served(&self.scenario.table, seen)
            || !is_unbound(&self.scenario, seen)
                && seen.ends().have_a_tcp_service(&self.scenario.sockets, false)
    }
}

/// Own ports may be translated to different hosts. All ports of another address are one host's.
fn place(at: SocketAddr, is_own: bool) -> Address {
    if is_own { (at.ip(), at.port()) } else { (at.ip(), 0) }
}

/// Returns the network whose answers take the same way: an IPv4 /16, or an IPv6 /48.
fn network(address: IpAddr) -> IpNet {
    IpNet::new(address, if address.is_ipv4() { 16 } else { 48 }).expect("a length").trunc()
}

/// Returns the additional score of a SYN's header: one nat without options, two with a scanner's fields. None with
/// options of the IP header, or extensions.
fn shape(frame: &[u8]) -> f64 {
    let Ok(packet) = etherparse::SlicedPacket::from_ethernet(frame) else { return 0.0 };
    let is_ordinary = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => ip.header().options().is_empty(),
        Some(NetSlice::Ipv6(ip)) => ip.extensions().is_empty(),
        _ => false,
    };
    let Some(TransportSlice::Tcp(tcp)) = packet.transport.filter(|_| is_ordinary) else { return 0.0 };
    let has_few_options = tcp.options().len() <= 4;
    if has_few_options && tcp.window_size() == 1024 {
        2.0
    } else if tcp.options().is_empty() {
        1.0
    } else {
        0.0
    }
}
