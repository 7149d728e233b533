//! Failed first contacts with this host, according to `docs/detection.md`. Answers of other hosts are left out.

use std::{collections::BTreeSet, net::SocketAddr};

use etherparse::{NetSlice, TransportSlice};
use portsentry_common::{
    classify::Kind,
    decide::Verdict,
    environment::Locality,
    judge::Action,
    settings::{Response, ScanDetection},
};

use super::{
    finding::Finding,
    knowledge::Oracle,
    memory::Contacts,
    seen::Seen,
    sockets::is_one_host,
    table::{is_unbound, was_served},
};

impl Oracle {
    /// Counts the first contact of a SYN that passes, and judges its source.
    pub(super) fn contact(&mut self, frame: &[u8], seen: &Seen<'_>, mut finding: Finding) -> Finding {
        const REPORT: f64 = 9.2;
        const FENCE: f64 = 13.8;
        const FENCE_FAILURES: usize = 6;
        let at = seen.ends().ours;
        let is_counted = finding.action == Action::Pass
            && self.settings().scans != ScanDetection::Off as u8
            && seen.kind == Kind::Syn
            && is_one_host(seen.source)
            && self.locality(at.ip()) == Locality::Own
            && !self.serves(seen)
            && !self.is_ignored(seen.source);
        if !is_counted {
            return finding;
        }
        let settings = self.settings();
        let fences = settings.scans == ScanDetection::Fence as u8
            && settings.fence_ns > 0
            && settings.tcp_response == Response::Block as u8;
        let (source, _) = self.held(seen.source);
        let contacts = self.contacts.entry(source).or_default();
        if !contacts.failed.insert(at) {
            return finding;
        }
        let score = 1.5 + shape(frame);
        contacts.score += score;
        finding.counted.push("failed_contacts");
        let Contacts { failed, score, is_reported, are_enough: were_enough } = contacts.clone();
        let number = u32::try_from(failed.len()).expect("few");
        let are_enough = score > FENCE - 0.001 && failed.len() >= FENCE_FAILURES && !is_peer(&failed);
        let is_told = is_reported || score > REPORT - 0.001;
        if fences && are_enough {
            if !self.is_abandoned() {
                finding.told.extend(self.enter_fence(seen, number, &mut finding.counted));
                finding.counted.push("scan_fences");
                finding.action = Action::Drop;
            }
        } else if is_told && !is_reported || are_enough && !were_enough {
            finding.told.push(self.sighting(seen, Verdict::Report, number));
            finding.counted.extend(["scan_reports", "reported"]);
        }
        let contacts = self.contacts.get_mut(&source).expect("its contacts");
        (contacts.is_reported, contacts.are_enough) = (is_told, were_enough || are_enough);
        finding
    }

    fn serves(&self, seen: &Seen<'_>) -> bool {
        was_served(&self.scenario.table, seen)
            || !is_unbound(&self.scenario, seen)
                && seen.ends().have_a_tcp_service(&self.scenario.sockets, false)
    }
}

/// A source with only high ports, at several addresses and ports, is like a peer-to-peer program.
fn is_peer(failed: &BTreeSet<SocketAddr>) -> bool {
    const MANY: usize = 24;
    let addresses: BTreeSet<_> = failed.iter().map(SocketAddr::ip).collect();
    let ports: BTreeSet<_> = failed.iter().map(SocketAddr::port).collect();
    let are_high = failed.iter().all(|at| at.port() > 1023);
    are_high && addresses.len() > 1 && ports.len() > 1 && failed.len() < MANY
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
