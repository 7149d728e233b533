//! The program's configuration for a run of frames.

use std::net::{IpAddr, SocketAddr};

use bytemuck::Zeroable;
use ipnet::IpNet;
use portsentry_common::{
    block::{Block, Origin},
    classify::Protocol,
    settings::{AckProbes, Answers, FencedDatagrams, FencedSyns, Response, Settings},
};

use crate::{sent::Sent, sockets::Socket, test_host};

/// Settings, sizes, and initial contents of the maps.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The program's settings, except the clock.
    pub settings: Settings,
    /// Capacity of the blocked map of each address family.
    pub max_blocked: u32,
    /// Size of the ring in bytes.
    pub ring_size: u32,
    /// Sources that are blocked at the start.
    pub blocked: Vec<(IpAddr, Block)>,
    /// Networks that are blocked at the start.
    pub networks: Vec<(IpNet, Block)>,
    /// The open sockets.
    pub sockets: Vec<Socket>,
    /// The table of bound ports.
    pub table: Table,
    /// Packets that the host sent a moment ago.
    pub sent: Vec<Sent>,
}

/// Contents of the table of bound ports, in addition to the open sockets.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Addresses served a moment ago, for packets of any interface or of one.
    pub served: Vec<(Protocol, SocketAddr, Option<u32>)>,
    /// Addresses whose service stopped too long ago to count.
    pub over: Vec<(Protocol, SocketAddr)>,
    /// The connected UDP sockets among `served`.
    pub connected: Vec<SocketAddr>,
    /// Whether the table has every open socket, so that a port missing from it is unbound.
    pub is_complete: bool,
    /// Whether other devices lie above the interface that receives the frames.
    pub has_devices_above: bool,
}

impl Default for Scenario {
    /// The first probe blocks; ACK and Maimon probes are reported; each probe is reported.
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
            sockets: test_host::sockets(),
            table: Table::default(),
            sent: Vec::new(),
        }
    }
}

impl Scenario {
    /// The default with changed settings.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut scenario = Self::default();
        change(&mut scenario.settings);
        scenario
    }

    /// Blocks `source` from the start, until a time of `CLOCK_MONOTONIC` in nanoseconds, or permanently (0).
    #[must_use]
    pub fn blocked(mut self, source: &str, until_ns: u64) -> Self {
        let source = source.parse().expect("an address");
        self.blocked.push((source, Block { until_ns, origin: Origin::File as u8, ..Block::zeroed() }));
        self
    }

    /// Blocks the network of `source` as one source, until a time as in [`Self::blocked`].
    #[must_use]
    pub fn blocked_by(mut self, source: &str, prefix: u8, until_ns: u64) -> Self {
        let source = source.parse().expect("an address");
        let block = Block { until_ns, prefix, origin: Origin::File as u8, ..Block::zeroed() };
        self.blocked.push((source, block));
        self
    }

    /// Uses [`test_host::served`] as the table. `is_complete` means that every bind is seen.
    #[must_use]
    pub fn with_table(mut self, is_complete: bool) -> Self {
        self.table = Table {
            served: test_host::served(),
            over: test_host::over(),
            connected: test_host::connected(),
            is_complete,
            has_devices_above: true,
        };
        self
    }

    /// Adds the packets of [`test_host::sent`], sent a moment ago.
    #[must_use]
    pub fn with_sent(mut self) -> Self {
        self.sent = test_host::sent();
        self
    }

    /// Blocks `network`, until a time as in [`Self::blocked`].
    #[must_use]
    pub fn blocked_network(mut self, network: &str, until_ns: u64) -> Self {
        let network = network.parse().expect("a network");
        self.networks.push((network, Block { until_ns, origin: Origin::List as u8, ..Block::zeroed() }));
        self
    }
}

/// Returns scenarios for all branches of the settings, with descriptions. The benign-flow cache is off, because the
/// model's clock stands still.
#[must_use]
pub fn every_way() -> Vec<(&'static str, Scenario)> {
    const HOUR_NS: u64 = 3_600_000_000_000;
    type Change = fn(&mut Settings);
    let changes: [(&'static str, Change); 13] = [
        ("the first probe blocks", |_| {}),
        ("the third probe blocks", |settings| settings.trigger = 3),
        ("ACK probes count, and TCP is only reported", |settings| {
            settings.ack_probes = AckProbes::Count as u8;
            settings.tcp_response = Response::Report as u8;
        }),
        ("ACK probes are nothing", |settings| settings.ack_probes = AckProbes::Off as u8),
        ("the first probe fences", |settings| {
            settings.fence_ns = HOUR_NS;
            settings.fence_rate = u32::MAX;
            settings.first_ephemeral = 1900;
        }),
        ("probes fence and are challenged", |settings| {
            settings.fence_ns = HOUR_NS;
            settings.fence_rate = u32::MAX;
            settings.challenge_rate = u32::MAX;
            settings.first_ephemeral = 32_768;
            settings.trigger = 2;
        }),
        ("no source can be fenced, but SYNs are challenged", |settings| {
            settings.fence_ns = HOUR_NS;
            settings.challenge_rate = u32::MAX;
        }),
        ("listed ports are traps", |settings| settings.traps = Settings::TCP_TRAPS | Settings::UDP_TRAPS),
        ("listed ports are traps, and probes of other ports fence", |settings| {
            settings.traps = Settings::TCP_TRAPS | Settings::UDP_TRAPS;
            settings.fence_ns = HOUR_NS;
            settings.fence_rate = u32::MAX;
            settings.first_ephemeral = 32_768;
        }),
        ("the daemon is long dead, and blocks are not enforced", |settings| {
            settings.open_after_ns = 1;
            settings.fence_ns = HOUR_NS;
            settings.fence_rate = u32::MAX;
            settings.challenge_rate = u32::MAX;
        }),
        ("IPv6 sources are blocked by their /64", |settings| {
            *settings = settings.held_by(64);
            settings.trigger = 2;
            settings.repeat_ns = HOUR_NS;
        }),
        ("IPv6 sources are fenced by their /56", |settings| {
            *settings = settings.held_by(56);
            settings.fence_ns = HOUR_NS;
            settings.fence_rate = u32::MAX;
            settings.challenge_rate = u32::MAX;
            settings.first_ephemeral = 32_768;
        }),
        ("nothing is told twice", |settings| {
            settings.repeat_ns = HOUR_NS;
            settings.trigger = 2;
            settings.udp_response = Response::Report as u8;
        }),
    ];
    let scenario = |change: Change| {
        let scenario = Scenario::with(|settings| {
            settings.remembers = 0;
            change(settings);
        });
        Scenario { max_blocked: 1 << 16, ..scenario }
    };
    let mut ways: Vec<_> = changes.into_iter().map(|(what, change)| (what, scenario(change))).collect();
    let networks = scenario(|_| {});
    // Some contain strangers from the generator, one is an ignored network, and one has an expired block inside a
    // blocked network.
    let networks = networks
        .blocked_network("203.0.64.0/20", 0)
        .blocked_network("203.0.70.0/24", 1)
        .blocked_network("192.0.2.0/24", 0)
        .blocked_network("2001:db8:3::/48", u64::MAX);
    ways.push(("networks are blocked", networks));
    ways.push(("services stopped a moment ago, or are bound to devices", scenario(|_| {}).with_table(false)));
    let fencing: Change = |settings| {
        settings.fence_ns = HOUR_NS;
        settings.fence_rate = u32::MAX;
        settings.first_ephemeral = 32_768;
        settings.last_ephemeral = 60_999;
    };
    ways.push(("every bind is seen, and probes fence", scenario(fencing).with_table(true)));
    let counting: Change = |settings| {
        settings.ack_probes = AckProbes::Count as u8;
        settings.first_ephemeral = 1025;
        settings.last_ephemeral = 65_535;
    };
    ways.push(("watched ports are ephemeral, and ACK probes count", scenario(counting)));
    ways.push(("answers are learned from, and failed connections fence", scenario(learning)));
    ways.extend(open_fences(&scenario(|_| {})));
    ways
}

/// Lets answers decide, as far as the packets of a run have any.
pub fn learning(settings: &mut Settings) {
    const HOUR_NS: u64 = 3_600_000_000_000;
    settings.fence_ns = HOUR_NS;
    settings.fence_rate = u32::MAX;
    settings.first_ephemeral = 32_768;
    settings.last_ephemeral = 60_999;
    settings.answers = Answers::Enforce as u8;
    settings.failed_connections = 3;
    settings.remembers = 0;
}

/// Returns scenarios for both kinds of open fence.
#[must_use]
pub fn open_fences(scenario: &Scenario) -> [(&'static str, Scenario); 2] {
    const HOUR_NS: u64 = 3_600_000_000_000;
    let open = |fenced_syns: FencedSyns| Settings {
        fence_ns: HOUR_NS,
        fence_rate: u32::MAX,
        challenge_rate: u32::MAX,
        syn_rate: u32::MAX,
        session_ns: HOUR_NS,
        first_ephemeral: 32_768,
        last_ephemeral: 60_999,
        fenced_syns: fenced_syns as u8,
        ..scenario.settings
    };
    let [forwarding, accepting] = [FencedSyns::Forward, FencedSyns::Accept].map(open);
    let accepting = Settings { fenced_datagrams: FencedDatagrams::Pass as u8, ..accepting }.held_by(64);
    let of = |settings: Settings| Scenario { settings, ..scenario.clone() };
    [
        ("the fence is open, and SYNs reach the services", of(forwarding).with_table(false).with_sent()),
        (
            "the fence is open, and the program answers for all ports",
            of(accepting).with_table(true).with_sent(),
        ),
    ]
}
