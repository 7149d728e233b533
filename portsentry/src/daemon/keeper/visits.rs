//! Visits to the daemon's traps, judged by the kernel program's rules and counted in its maps.

use ipnet::IpNet;
use portsentry_common::{
    block::Proof,
    classify::{Kind, Probe},
    decide::Verdict,
    environment::HandshakeCount,
};

use super::{super::message::Visit, Keeper};
use crate::{
    kernel,
    policy::{
        Sighting,
        register::Admission,
        trap::{self, LeftOut},
    },
};

impl Keeper {
    /// Judges a visit to a trap. Enters its source in the kernel's maps if needed, and reports the visit unless it
    /// is a repeat or exceeds the rate limit.
    pub(super) fn on_visit(&mut self, visit: &Visit) {
        let now_ns = kernel::monotonic_ns().unsigned_abs();
        let mut sighting = self.judge(visit);
        let entered = match sighting.verdict {
            Verdict::Block | Verdict::Fence => match self.take_in(&mut sighting, now_ns) {
                Some(entered) => entered,
                None => return,
            },
            _ => false,
        };
        let Sighting { port, protocol, .. } = sighting;
        if self.traps.visits.may_tell((sighting.network(), port, protocol), entered, now_ns) {
            self.see(Admission::Trap, &sighting);
        } else if entered {
            // It will be found in the map, like sources that the kernel could not report.
            self.totals.untold += 1;
        }
    }

    fn judge(&mut self, visit: &Visit) -> Sighting {
        let Visit { time, source: from, destination, protocol, is_proof } = *visit;
        let source = from.ip().to_canonical();
        let proof = if is_proof { Proof::Connection } else { Proof::None };
        // Both PortSentrys also log datagrams as `Connect`.
        let kind = Kind::Connect;
        let (source_port, port) = (from.port(), destination.port());
        let (verdict, hits, proof) = if self.is_exempt(source) {
            (Verdict::Ignored, 0, proof)
        } else {
            let network = self.scope.network_of(source);
            let pair = trap::pair(destination);
            let hits = self.count(network, pair);
            let rehearses = self.traps.only_logs && self.traps.visits.would_ask_for_proof(protocol);
            let shaken = if is_proof && self.traps.visits.asks_for_proof(protocol) {
                self.shake(network, pair)
            } else if is_proof && rehearses {
                self.rehearse(network, pair)
            } else {
                HandshakeCount { traps: 0, is_connected: false }
            };
            let probe = Probe { protocol, kind, source_port, port, flags: 0 };
            let would_fence = rehearses && !self.traps.visits.would_block(shaken);
            let verdict = self.traps.visits.judge(&probe, hits, proof, shaken);
            (verdict, hits, if would_fence { Proof::None } else { proof })
        };
        // A fenced source has not yet proven enough.
        let proof = if verdict == Verdict::Fence { Proof::None } else { proof };
        Sighting {
            time,
            source,
            destination: destination.ip().to_canonical(),
            source_port,
            port,
            protocol,
            kind,
            flags: 0,
            options: None,
            interface: 0,
            vlan: 0,
            length: 0,
            ttl: 0,
            hits,
            verdict,
            proof,
            prefix: self.scope.prefix_of(source),
            scan: None,
        }
    }

    /// Counts a probe of `source`, in addition to those that the kernel program counts.
    fn count(&mut self, source: IpNet, pair: u32) -> u32 {
        if !self.traps.visits.counts() {
            return 1;
        }
        // If the map is full, probes don't add up.
        self.kernel.tallies.count(source.addr(), pair, self.traps.window).unwrap_or_else(|error| {
            self.journal.error(&error);
            1
        })
    }

    /// Counts a completed handshake, in addition to those that the kernel program counts.
    fn shake(&mut self, source: IpNet, pair: u32) -> HandshakeCount {
        let shaken =
            self.kernel.handshakes.shake(source.addr(), pair, self.traps.window).unwrap_or_else(|error| {
                self.journal.error(&error);
                HandshakeCount { traps: 1, is_connected: false }
            });
        let is_connected =
            shaken.is_connected || self.traps.visits.would_spare(shaken) && self.is_connected(source);
        HandshakeCount { is_connected, ..shaken }
    }

    /// Counts a completed handshake while nothing is blocked.
    fn rehearse(&mut self, source: IpNet, pair: u32) -> HandshakeCount {
        let now_ns = kernel::monotonic_ns().unsigned_abs();
        let shaken = self.traps.visits.rehearse(source, pair, now_ns);
        let is_connected = self.traps.visits.would_spare(shaken) && self.is_connected(source);
        HandshakeCount { is_connected, ..shaken }
    }

    /// Enters the source of a visit in the kernel's maps. Returns whether it was free before, or `None` if there is
    /// nothing to report because it is already fenced, or because the rate limit is exceeded.
    fn take_in(&mut self, sighting: &mut Sighting, now_ns: u64) -> Option<bool> {
        let is_fence = sighting.verdict == Verdict::Fence;
        match self.standing(sighting.network()) {
            // Connections of a fenced source are reported, like its handshakes with the kernel program.
            Ok(Some(standing)) if is_fence || !standing.hold.is_fence => {
                let is_told = !is_fence || sighting.protocol == portsentry_common::classify::Protocol::Tcp;
                return is_told.then_some(false);
            }
            Ok(_) => {}
            Err(error) => self.journal.error(&error),
        }
        if is_fence && !self.traps.visits.may_fence(now_ns) {
            return None;
        }
        match self.enter_judged(sighting) {
            Ok(()) => return Some(true),
            Err(kernel::Error::Full { .. }) => {
                sighting.verdict = Verdict::Full;
                self.totals.no_room += 1;
                if self.traps.visits.fences() {
                    self.fence_instead(sighting);
                }
            }
            Err(error) => self.journal.error(&error),
        }
        Some(false)
    }

    /// Fences a source for which the blocked map has no room, so that a full map frees no source.
    fn fence_instead(&mut self, sighting: &Sighting) {
        let fence = Sighting { verdict: Verdict::Fence, proof: Proof::None, ..sighting.clone() };
        match self.enter_judged(&fence) {
            // It will be found in the map.
            Ok(()) => self.totals.untold += 1,
            Err(error) => self.journal.error(&error),
        }
    }

    /// Logs the number of visits that exceeded the limits. Returns the number that was not reported.
    pub(super) fn tell_left_out(&mut self) -> u64 {
        let LeftOut { untold, unfenced } = self.traps.visits.left_out();
        if unfenced > 0 {
            self.journal.unfenced(unfenced);
        }
        untold
    }
}
