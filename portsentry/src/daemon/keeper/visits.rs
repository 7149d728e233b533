//! Visits to the traps: the keeper does with them what the kernel program does with probes (`judge/answer.rs` of
//! `portsentry-common`).

use ipnet::IpNet;
use portsentry_common::{block::Proof, classify::Protocol, decide::Verdict, environment::HandshakeCount};

use super::{super::trap::Visit, Keeper};
use crate::{
    kernel,
    policy::{
        Sighting, network_of,
        trap::{self, LeftOut},
    },
};

impl Keeper {
    /// Judges a visit to a trap, blocks or fences in the kernel what the kernel could not judge itself, and tells of it
    /// unless it is no news, or too much.
    pub(super) fn on_visit(&mut self, visit: &Visit) {
        let now_ns = kernel::monotonic_ns().unsigned_abs();
        let mut sighting = self.judge(visit, now_ns);
        let entered = match sighting.verdict {
            Verdict::Block | Verdict::Fence => match self.take_in(&mut sighting, now_ns) {
                Some(entered) => entered,
                None => return,
            },
            _ => false,
        };
        let Sighting { port, protocol, .. } = sighting;
        if self.visits.may_tell((sighting.key(), port, protocol), entered, now_ns) {
            self.on_sighting(&sighting);
        } else if entered {
            // It is found in the map, as those that the kernel could not tell of.
            self.untold += 1;
        }
    }

    fn judge(&mut self, visit: &Visit, now_ns: u64) -> Sighting {
        let Visit { time, source: from, destination, protocol, is_proof } = *visit;
        let source = from.ip().to_canonical();
        let response = self.responses.of(protocol);
        let rules = trap::Rules { trigger: self.trigger, response, fences: self.is_fencing };
        let proof = if is_proof { Proof::Connection } else { Proof::None };
        let pair = trap::pair(destination);
        let is_exempt = self.is_exempt(source);
        let prefix = self.prefix_of(source);
        let network = network_of(source, prefix);
        let shaken = if is_proof && rules.ask_for_proof() && !is_exempt {
            self.shake(network, pair)
        } else {
            HandshakeCount { traps: 0, is_connected: false }
        };
        let call = trap::Call { source: network.addr(), pair, proof, now_ns };
        let (verdict, hits) = self.visits.judge(&call, is_exempt, rules, shaken);
        // A fenced source has not yet proven enough.
        let proof = if verdict == Verdict::Fence { Proof::None } else { proof };
        Sighting {
            time,
            source,
            destination: destination.ip().to_canonical(),
            source_port: from.port(),
            port: destination.port(),
            protocol,
            kind: trap::kind(protocol),
            flags: 0,
            options: None,
            interface: 0,
            vlan: 0,
            length: 0,
            ttl: 0,
            hits,
            verdict,
            proof,
            prefix,
        }
    }

    /// Counts a completed handshake, beside those that the kernel program counts.
    fn shake(&mut self, source: IpNet, pair: u32) -> HandshakeCount {
        let shaken =
            self.kernel.handshakes.shake(source.addr(), pair, self.trigger_window).unwrap_or_else(|error| {
                self.journal.error(&error);
                HandshakeCount { traps: 1, is_connected: false }
            });
        let is_connected =
            shaken.is_connected || self.visits.would_spare(shaken) && self.is_connected(source);
        HandshakeCount { is_connected, ..shaken }
    }

    /// Enters the source of a visit in the kernel's maps; whether it was not held before. `None` if there is nothing to
    /// tell: it is fenced already, or too many are.
    fn take_in(&mut self, sighting: &mut Sighting, now_ns: u64) -> Option<bool> {
        let is_fence = sighting.verdict == Verdict::Fence;
        match self.standing(sighting.key()) {
            // Connections of a fenced source are told, as the handshakes that the kernel program sees are.
            Ok(Some(standing)) if is_fence || !standing.hold.is_fence => {
                return (!is_fence || sighting.protocol == Protocol::Tcp).then_some(false);
            }
            Ok(_) => {}
            Err(error) => self.journal.error(&error),
        }
        if is_fence && !self.visits.may_fence(now_ns) {
            return None;
        }
        match self.enter(sighting) {
            Ok(()) => return Some(true),
            Err(kernel::Error::Full { .. }) => {
                sighting.verdict = Verdict::Full;
                self.no_room += 1;
                if self.is_fencing {
                    self.fence_instead(sighting);
                }
            }
            Err(error) => self.journal.error(&error),
        }
        Some(false)
    }

    /// Fences a source that found no room in the blocked map: a full map frees nobody.
    fn fence_instead(&mut self, sighting: &Sighting) {
        let fence = Sighting { verdict: Verdict::Fence, proof: Proof::None, ..sighting.clone() };
        match self.enter(&fence) {
            // It is found in the map.
            Ok(()) => self.untold += 1,
            Err(error) => self.journal.error(&error),
        }
    }

    /// Tells how much of the visits the limits left out, and how much of that was not told for the rate.
    pub(super) fn tell_left_out(&mut self) -> u64 {
        let LeftOut { untold, unfenced } = self.visits.left_out();
        if unfenced > 0 {
            self.journal.unfenced(unfenced);
        }
        untold
    }
}
