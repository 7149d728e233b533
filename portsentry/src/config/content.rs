//! The settings with their values.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use portsentry_common::settings::{AckProbes, Answers, FencedDatagrams, ScanDetection};

use super::{
    Command, DenyLine, Facility, Fence, Interfaces, KillOnProof, Level, LogFormat, LogOutput, OnStop, Peers,
    PortSet, Response, RouteLift, ShareBlocks, Targets, XdpMode,
};

/// The content of the configuration file, with defaults for missing settings. The tables in [`super::keys`] describe each setting
/// in full.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are switches in the file, too")]
pub struct Config {
    /// `TCP_PORTS`
    pub ports_tcp: PortSet,
    /// `UDP_PORTS`
    pub ports_udp: PortSet,
    /// `ADVANCED_PORTS_TCP`: the lowest port that is not watched; at most 65536.
    pub advanced_ports_tcp: u32,
    /// `ADVANCED_PORTS_UDP`: the lowest port that is not watched; at most 65536.
    pub advanced_ports_udp: u32,
    /// `ADVANCED_EXCLUDE_TCP`
    pub advanced_exclude_tcp: PortSet,
    /// `ADVANCED_EXCLUDE_UDP`
    pub advanced_exclude_udp: PortSet,
    /// `IGNORE_FILE`
    pub ignore_file: PathBuf,
    /// `BLOCK_LIST`
    pub block_list: PathBuf,
    /// `BLOCK_LISTS`
    pub block_lists: Option<PathBuf>,
    /// `HISTORY_FILE`
    pub history_file: PathBuf,
    /// `BLOCKED_FILE`, as written: 1.2 appends the mode to it.
    pub blocked_file: PathBuf,
    /// `RESOLVE_HOST`
    pub resolve_host: bool,
    /// `BLOCK_TCP`
    pub block_tcp: Response,
    /// `BLOCK_UDP`
    pub block_udp: Response,
    /// `KILL_ROUTE`
    pub kill_route: Option<Command>,
    /// `KILL_ROUTE_LIFT`
    pub kill_route_lift: RouteLift,
    /// `KILL_HOSTS_DENY`
    pub kill_hosts_deny: Option<DenyLine>,
    /// `KILL_RUN_CMD`
    pub kill_run_cmd: Option<Command>,
    /// `KILL_RUN_CMD_FIRST`
    pub kill_run_cmd_first: bool,
    /// `KILL_RUN_CMD_LIFT`
    pub kill_run_cmd_lift: Option<Command>,
    /// `SCAN_TRIGGER`: 0 and 1 both mean the first hit.
    pub scan_trigger: u32,
    /// `PORT_BANNER`
    pub port_banner: Option<String>,
    /// `CONFIG_FILE`
    pub config_file: PathBuf,
    /// `WRAPPER_HOSTS_DENY`
    pub wrapper_hosts_deny: PathBuf,
    /// `SYSLOG_FACILITY`
    pub syslog_facility: Facility,
    /// `SYSLOG_LEVEL`
    pub syslog_level: Level,
    /// `INTERFACES`
    pub interfaces: Interfaces,
    /// Whether packets to a port on which a service listens are left alone; 2.x's `-S` turns that off.
    pub checks_services: bool,
    /// Whether packets whose source is their destination are passed over; 2.x's `-L` turns that off.
    pub skips_own: bool,
    /// Whether only packets to this host and to `PROTECTED_NETWORKS` count; `--any-destination` turns that off.
    pub checks_destination: bool,
    /// `PROTECTED_NETWORKS`, truncated to their prefixes.
    pub protected_networks: Vec<IpNet>,
    /// `SERVED_GRACE`, in whole seconds; with zero a port becomes a trap as soon as its last service has gone.
    pub served_grace: Duration,
    /// `PIN_PATH`, absolute.
    pub pin_path: PathBuf,
    /// `SANDBOX`
    pub sandbox: bool,
    /// `RUN_AS`
    pub run_as: Option<String>,
    /// `BLOCK_UNPROVEN`
    pub block_unproven: bool,
    /// `BLOCK_TIME`, in whole seconds; zero means permanently.
    pub block_time: Duration,
    /// `BLOCK_TIME_FACTOR`
    pub block_time_factor: u32,
    /// `MAX_BLOCK_TIME`, in whole seconds; zero means no limit.
    pub max_block_time: Duration,
    /// `OPEN_AFTER`, in whole seconds; zero means never.
    pub open_after: Duration,
    /// `FENCE_TIME`, in whole seconds.
    pub fence_time: Duration,
    /// `MAX_NETWORKS`: blocked networks, of both address families together.
    pub max_networks: u32,
    /// `MAX_ADDRESSES`: own, ignored and protected addresses and networks, for each address family.
    pub max_addresses: u32,
    /// `MAX_FENCED`: entries for each address family.
    pub max_fenced: u32,
    /// `FENCE_RATE`: fences per second and CPU.
    pub fence_rate: u32,
    /// `FENCE`
    pub fence: Fence,
    /// `FENCE_UDP`
    pub fence_udp: FencedDatagrams,
    /// `UDP_SESSION`, in whole seconds.
    pub udp_session: Duration,
    /// `FENCE_SYN_RATE`: SYNs per second, for all CPUs together.
    pub fence_syn_rate: u32,
    /// `ANSWERS`
    pub answers: Answers,
    /// `FAILED_CONNECTIONS`
    pub failed_connections: u8,
    /// `MAX_SERVED`: learned ports.
    pub max_served: u32,
    /// `SCAN_DETECTION`
    pub scan_detection: ScanDetection,
    /// `SCAN_MEMORY`: at most so many MiB.
    pub scan_memory: u32,
    /// `CHALLENGE`
    pub challenge: bool,
    /// `CHALLENGE_RATE`: answers per second, for all CPUs together.
    pub challenge_rate: u32,
    /// `IPV6_PREFIX`
    pub ipv6_prefix: u8,
    /// `PROOF_TRAPS`
    pub proof_traps: u32,
    /// `TRIGGER_WINDOW`, in whole seconds; zero means for ever.
    pub trigger_window: Duration,
    /// `KILL_ON_PROOF`
    pub kill_on_proof: KillOnProof,
    /// `ACTION_RATE`: sources a second.
    pub action_rate: u32,
    /// `MAX_BLOCKED`: entries for each address family.
    pub max_blocked: u32,
    /// `MAX_SOURCES`: sources remembered.
    pub max_sources: u32,
    /// `RING_SIZE`, in bytes: a power of two, at least 4096.
    pub ring_size: u32,
    /// `EVENT_RATE`: events per second and CPU.
    pub event_rate: u32,
    /// `REPEAT_WINDOW`, in whole seconds.
    pub repeat_window: Duration,
    /// `ACK_PROBES`
    pub ack_probes: AckProbes,
    /// `EVIDENCE_FILE`; `None` for off.
    pub evidence_file: Option<PathBuf>,
    /// `GEOIP_COUNTRY`, absolute
    pub geoip_country: Option<PathBuf>,
    /// `GEOIP_ASN`, absolute
    pub geoip_asn: Option<PathBuf>,
    /// `CONTROL_SOCKET`, absolute; `None` for off.
    pub control_socket: Option<PathBuf>,
    /// `CONTROL_GROUP`: a group's name or number.
    pub control_group: Option<String>,
    /// `SHARE_SOCKET`, absolute; `None` for off.
    pub share_socket: Option<PathBuf>,
    /// `GATEWAY_NAME`
    pub gateway_name: Option<String>,
    /// `SHARE_BLOCKS`
    pub share_blocks: ShareBlocks,
    /// `PEERS`
    pub peers: Peers,
    /// `PEER_RATE`: words per second of each peer.
    pub peer_rate: u32,
    /// `MAX_PER_PEER`
    pub max_per_peer: u32,
    /// `MAX_PEER_BLOCKED`
    pub max_peer_blocked: u32,
    /// `PEER_BLOCK_TIME`, in whole seconds.
    pub peer_block_time: Duration,
    /// `ON_STOP`
    pub on_stop: OnStop,
    /// `XDP_MODE`
    pub xdp_mode: XdpMode,
    /// `LOG_FORMAT`
    pub log_format: LogFormat,
    /// `LOG_OUTPUT`
    pub log_output: LogOutput,
    /// Further targets of log lines, of a repeated `-l`.
    pub also_log: Vec<LogOutput>,
    /// The targets of events besides the log (`JSON_LOG`).
    pub targets: Targets,
    /// `METRICS_LISTEN`; `None` for no metrics.
    pub metrics_listen: Option<SocketAddr>,
    /// Whether 1.2's format also reports probes of ignored sources and those below the trigger; `-v` turns that on.
    pub log_notices: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ports_tcp: PortSet::new(),
            ports_udp: PortSet::new(),
            advanced_ports_tcp: 1024,
            advanced_ports_udp: 1024,
            advanced_exclude_tcp: PortSet::new(),
            advanced_exclude_udp: PortSet::new(),
            ignore_file: "/etc/portsentry/portsentry.ignore".into(),
            block_list: "/etc/portsentry/portsentry.blocklist".into(),
            block_lists: None,
            history_file: "/var/lib/portsentry/portsentry.history".into(),
            blocked_file: "/var/lib/portsentry/portsentry.blocked".into(),
            resolve_host: false,
            block_tcp: Response::LogOnly,
            block_udp: Response::LogOnly,
            kill_route: None,
            kill_route_lift: RouteLift::Inverse,
            kill_hosts_deny: None,
            kill_run_cmd: None,
            kill_run_cmd_first: false,
            kill_run_cmd_lift: None,
            scan_trigger: 0,
            port_banner: None,
            config_file: "/etc/portsentry/portsentry.conf".into(),
            wrapper_hosts_deny: "/etc/hosts.deny".into(),
            syslog_facility: Facility::Daemon,
            syslog_level: Level::Notice,
            interfaces: Interfaces::AllButLoopback,
            checks_services: true,
            skips_own: true,
            checks_destination: true,
            protected_networks: Vec::new(),
            served_grace: Duration::from_mins(1),
            pin_path: "/sys/fs/bpf/portsentry".into(),
            sandbox: true,
            run_as: None,
            block_unproven: false,
            block_time: Duration::ZERO,
            block_time_factor: 1,
            max_block_time: Duration::ZERO,
            open_after: Duration::ZERO,
            fence_time: Duration::from_mins(5),
            max_networks: 65536,
            max_addresses: 262_144,
            max_fenced: 65536,
            fence_rate: 1000,
            fence: Fence::Drop,
            fence_udp: FencedDatagrams::Drop,
            udp_session: Duration::from_mins(3),
            fence_syn_rate: 50_000,
            answers: Answers::Off,
            failed_connections: 4,
            max_served: 65536,
            scan_detection: ScanDetection::Off,
            scan_memory: 40,
            challenge: false,
            challenge_rate: 1000,
            ipv6_prefix: 64,
            proof_traps: 2,
            trigger_window: Duration::from_hours(1),
            kill_on_proof: KillOnProof::Auto,
            action_rate: 50,
            max_blocked: 65536,
            max_sources: 65536,
            ring_size: 4 << 20,
            event_rate: 1000,
            repeat_window: Duration::from_mins(1),
            ack_probes: AckProbes::Report,
            evidence_file: Some("/var/lib/portsentry/portsentry.evidence".into()),
            geoip_country: None,
            geoip_asn: None,
            control_socket: Some("/run/portsentry/control.sock".into()),
            control_group: None,
            share_socket: None,
            gateway_name: None,
            share_blocks: ShareBlocks::Proven,
            peers: Peers::default(),
            peer_rate: 100,
            max_per_peer: 16_384,
            max_peer_blocked: 32_768,
            peer_block_time: Duration::from_hours(24),
            on_stop: OnStop::Detach,
            xdp_mode: XdpMode::Auto,
            log_format: LogFormat::Auto,
            log_output: LogOutput::Auto,
            also_log: Vec::new(),
            targets: Targets::default(),
            metrics_listen: None,
            log_notices: false,
        }
    }
}

impl Config {
    /// Whether it has commands to run for sources.
    #[must_use]
    pub const fn runs_commands(&self) -> bool {
        self.kill_route.is_some() || self.kill_run_cmd.is_some() || self.kill_run_cmd_lift.is_some()
    }

    /// Whether log lines go there, perhaps among others.
    #[must_use]
    pub fn logs_to(&self, output: LogOutput) -> bool {
        self.log_output == output || self.also_log.contains(&output)
    }

    /// Returns the command that undoes `KILL_ROUTE`, if there is one.
    #[must_use]
    pub fn undoes_route(&self) -> Option<Command> {
        let route = self.kill_route.as_ref()?;
        match &self.kill_route_lift {
            RouteLift::Inverse => route.inverse(),
            RouteLift::Off => None,
            RouteLift::Command(command) => Some(command.clone()),
        }
    }

    /// Returns the TCP ports of the advanced mode: those below `ADVANCED_PORTS_TCP` except the excluded ones.
    #[must_use]
    pub fn advanced_tcp(&self) -> PortSet {
        below(self.advanced_ports_tcp).difference(&self.advanced_exclude_tcp)
    }

    /// Returns the UDP ports of the advanced mode: those below `ADVANCED_PORTS_UDP` except the excluded ones.
    #[must_use]
    pub fn advanced_udp(&self) -> PortSet {
        below(self.advanced_ports_udp).difference(&self.advanced_exclude_udp)
    }

    /// Returns the effective setting of `FENCE`. An open fence needs the program's own answers (`CHALLENGE`).
    #[must_use]
    pub fn fence_in_effect(&self) -> Fence {
        if self.challenge { self.fence } else { Fence::Drop }
    }

    /// Whether `address` is in one of `PROTECTED_NETWORKS`.
    #[must_use]
    pub fn protects(&self, address: IpAddr) -> bool {
        self.protected_networks.iter().any(|net| net.contains(&address))
    }
}

/// Returns the ports from 1 up to, but excluding, `bound`.
fn below(bound: u32) -> PortSet {
    let mut ports = PortSet::new();
    let last = u16::try_from(bound.saturating_sub(1)).unwrap_or(u16::MAX);
    ports.insert_range(1..=last);
    ports
}
