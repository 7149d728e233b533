//! Derives the kernel program's settings from the configuration. The daemon's traps use the same settings.

use std::time::Duration;

use portsentry_common::{
    classify::Protocol,
    pace,
    settings::{FencedSyns, Response, Settings},
};

use crate::{
    config::{self, Config},
    modes::Modes,
};

/// Properties of the machine that the settings depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The CPUs that are online.
    pub cpus: u32,
    /// The lowest and highest port that the kernel assigns to sockets that request none.
    pub ephemeral: (u16, u16),
    /// This network namespace's cookie.
    pub netns: u64,
}

/// Returns the settings, except the clock.
#[must_use]
pub fn settings(config: &Config, modes: Modes, machine: &Machine) -> Settings {
    let respond = |response| match response {
        config::Response::Block => Response::Block,
        config::Response::LogOnly | config::Response::CommandOnly => Response::Report,
    };
    let (first_ephemeral, last_ephemeral) = machine.ephemeral;
    let fenced_syns = match config.fence_in_effect() {
        config::Fence::Drop => FencedSyns::Drop,
        // If the kernel supports it, which shows when the program is loaded.
        config::Fence::Open => FencedSyns::Accept,
    };
    Settings {
        repeat_ns: nanoseconds(config.repeat_window),
        block_ns: nanoseconds(config.block_time),
        fence_ns: if config.block_unproven { 0 } else { nanoseconds(config.fence_time) },
        open_after_ns: nanoseconds(config.open_after),
        fence_rate: config.fence_rate,
        session_ns: nanoseconds(config.udp_session),
        fenced_syns: fenced_syns as u8,
        fenced_datagrams: config.fence_udp as u8,
        syn_rate: each_cpus(config.fence_syn_rate, machine.cpus),
        source_each_ns: pace::EACH_NS,
        tally_ns: nanoseconds(config.trigger_window),
        proof_traps: config.proof_traps,
        challenge_rate: if config.challenge { each_cpus(config.challenge_rate, machine.cpus) } else { 0 },
        first_ephemeral: first_ephemeral.into(),
        last_ephemeral: last_ephemeral.into(),
        keeps_served: (!config.served_grace.is_zero()).into(),
        netns: machine.netns,
        traps: if modes.is_connect(Protocol::Tcp) { Settings::TCP_TRAPS } else { 0 }
            + if modes.is_connect(Protocol::Udp) { Settings::UDP_TRAPS } else { 0 },
        event_rate: config.event_rate,
        trigger: config.scan_trigger,
        tcp_response: respond(config.block_tcp) as u8,
        udp_response: respond(config.block_udp) as u8,
        answers: config.answers as u8,
        failed_connections: config.failed_connections,
        scans: config.scan_detection as u8,
        ack_probes: config.ack_probes as u8,
        remembers: 1,
        ..Settings::UNSET
    }
    .held_by(config.ipv6_prefix)
}

/// Returns each CPU's share of a rate for the whole host, at least one.
fn each_cpus(rate: u32, cpus: u32) -> u32 {
    (rate / cpus.max(1)).max(1)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_rate_is_shared_by_its_cpus() {
        for (rate, cpus, expected) in [(1000, 1, 1000), (1000, 2, 500), (1000, 64, 15), (1, 8, 1), (7, 0, 7)]
        {
            assert_eq!(each_cpus(rate, cpus), expected, "{rate} among {cpus}");
        }
    }
}
