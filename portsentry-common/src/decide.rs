//! Decides on a probe, given the source's tally and the settings.

use crate::{
    classify::Probe,
    settings::{AckProbes, Settings},
};

/// The verdict on a probe. The numbers cross the kernel boundary.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Counted: the source is below the trigger, and the packet passes.
    Counted = 1,
    /// The source reached the trigger, and the settings block it.
    Block = 2,
    /// The source reached the trigger, and the settings only report it.
    Report = 3,
    /// A kind that is reported but never counted (`ACK_PROBES`).
    Noticed = 4,
    /// The source is ignored.
    Ignored = 5,
    /// The source reached the trigger, but the blocked map is full. The packet is dropped nevertheless.
    Full = 6,
    /// The source reached the trigger, but there is no proof that it sent the probe itself.
    Fence = 7,
}

impl TryFrom<u8> for Verdict {
    type Error = u8;

    fn try_from(number: u8) -> Result<Self, u8> {
        [Self::Counted, Self::Block, Self::Report, Self::Noticed, Self::Ignored, Self::Full, Self::Fence]
            .into_iter()
            .find(|verdict| *verdict as u8 == number)
            .ok_or(number)
    }
}

/// Whether `probe` counts towards the trigger.
#[inline(always)]
#[must_use]
pub const fn counts(probe: &Probe, settings: &Settings) -> bool {
    !probe.kind.is_connected() || settings.ack_probes == AckProbes::Count as u8
}

/// Returns the verdict on a probe that counts as the `hits`th of its source.
#[inline(always)]
#[must_use]
pub const fn decide(probe: &Probe, hits: u32, settings: &Settings) -> Verdict {
    if hits < settings.trigger {
        Verdict::Counted
    } else if !settings.blocks(probe.protocol) {
        Verdict::Report
    } else if settings.fences() {
        Verdict::Fence
    } else {
        Verdict::Block
    }
}

/// Factor on the number of traps required to block a source with an established connection to a service.
const SPARED: u32 = 4;

/// Whether handshakes with `traps` distinct traps prove a scan. By default one doesn't: a link to port 31337 of
/// this host, or a mistyped port, leads an honest client to a trap.
#[inline(always)]
#[must_use]
pub const fn is_proven(traps: u32, is_connected: bool, settings: &Settings) -> bool {
    let needed = if settings.proof_traps > 1 { settings.proof_traps } else { 1 };
    traps >= if is_connected { needed.saturating_mul(SPARED) } else { needed }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use super::*;
    use crate::{
        classify::{Kind, Protocol},
        settings::Response,
    };

    fn probe(kind: Kind, protocol: Protocol) -> Probe {
        Probe { protocol, kind, source_port: 40_000, port: 1, flags: 0 }
    }

    #[test]
    fn the_trigger_is_the_nth_hit() {
        let syn = probe(Kind::Syn, Protocol::Tcp);
        for (trigger, hits, expected) in [
            (0, 1, Verdict::Block),
            (1, 1, Verdict::Block),
            (2, 1, Verdict::Counted),
            (2, 2, Verdict::Block),
            (2, 3, Verdict::Block),
            (5, 4, Verdict::Counted),
        ] {
            let settings = Settings { trigger, tcp_response: Response::Block as u8, ..Settings::zeroed() };
            assert_eq!(decide(&syn, hits, &settings), expected, "trigger {trigger}, hit {hits}");
        }
    }

    #[test]
    fn it_takes_several_traps_and_four_times_as_many_of_a_client() {
        for (proof_traps, traps, expected) in [
            (0, 1, [true, false]),
            (1, 1, [true, false]),
            (1, 4, [true, true]),
            (2, 1, [false, false]),
            (2, 2, [true, false]),
            (2, 7, [true, false]),
            (2, 8, [true, true]),
            (u32::MAX, 5, [false, false]),
        ] {
            let settings = Settings { proof_traps, ..Settings::zeroed() };
            let found = [false, true].map(|is_connected| is_proven(traps, is_connected, &settings));
            assert_eq!(found, expected, "{traps} traps of {proof_traps}");
        }
    }

    #[test]
    fn without_proof_a_source_is_only_fenced() {
        let settings = Settings { tcp_response: Response::Block as u8, fence_ns: 1, ..Settings::zeroed() };
        assert_eq!(decide(&probe(Kind::Syn, Protocol::Tcp), 1, &settings), Verdict::Fence);
        assert_eq!(decide(&probe(Kind::Udp, Protocol::Udp), 1, &settings), Verdict::Report);
    }

    #[test]
    fn tcp_and_udp_are_blocked_apart() {
        let settings = Settings { udp_response: Response::Block as u8, ..Settings::zeroed() };
        assert_eq!(decide(&probe(Kind::Syn, Protocol::Tcp), 1, &settings), Verdict::Report);
        assert_eq!(decide(&probe(Kind::Udp, Protocol::Udp), 1, &settings), Verdict::Block);
    }

    #[test]
    fn what_a_connection_may_send_counts_only_on_demand() {
        for (ack_probes, expected) in
            [(AckProbes::Off, false), (AckProbes::Report, false), (AckProbes::Count, true)]
        {
            let settings = Settings { ack_probes: ack_probes as u8, ..Settings::zeroed() };
            for kind in [Kind::Ack, Kind::Maimon] {
                assert_eq!(counts(&probe(kind, Protocol::Tcp), &settings), expected);
            }
            assert!(counts(&probe(Kind::Fin, Protocol::Tcp), &settings));
        }
    }
}
