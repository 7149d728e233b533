//! How the program is set for a run of frames. It must not know what comes of it.

use std::net::IpAddr;

use bytemuck::Zeroable;
use ipnet::IpNet;
use portsentry_common::{
    block::{Block, Origin},
    settings::{AckProbes, Response, Settings},
};

use crate::sockets::Socket;

/// Settings, sizes, and what stands in the maps at first.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The program's settings, clock and gate aside.
    pub settings: Settings,
    /// How many sources of each address family may be blocked.
    pub max_blocked: u32,
    /// Size of the ring in bytes.
    pub ring_size: u32,
    /// Who is blocked from the start.
    pub blocked: Vec<(IpAddr, Block)>,
    /// Which networks are blocked.
    pub networks: Vec<(IpNet, Block)>,
    /// The sockets that are open.
    pub sockets: Vec<Socket>,
}

impl Default for Scenario {
    /// The first probe blocks; ACK and Maimon probes are reported; everything is told.
    fn default() -> Self {
        Self {
            settings: Settings {
                event_rate: u32::MAX,
                trigger: 1,
                tcp_response: Response::Block as u8,
                udp_response: Response::Block as u8,
                ack_probes: AckProbes::Report as u8,
                remembers: 1,
                ..Settings::zeroed()
            },
            max_blocked: 1024,
            ring_size: 1 << 20,
            blocked: Vec::new(),
            networks: Vec::new(),
            sockets: crate::place::sockets(),
        }
    }
}

impl Scenario {
    /// The default with other settings.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut scenario = Self::default();
        change(&mut scenario.settings);
        scenario
    }

    /// With `source` blocked from the start, until a time of `CLOCK_MONOTONIC` in nanoseconds or for good (0).
    #[must_use]
    pub fn blocked(mut self, source: &str, until_ns: u64) -> Self {
        let source = source.parse().expect("an address");
        self.blocked.push((source, Block { until_ns, origin: Origin::File as u8, ..Block::zeroed() }));
        self
    }

    /// With `network` blocked, until a time as above.
    #[must_use]
    pub fn blocked_network(mut self, network: &str, until_ns: u64) -> Self {
        let network = network.parse().expect("a network");
        self.networks.push((network, Block { until_ns, origin: Origin::List as u8, ..Block::zeroed() }));
        self
    }
}
