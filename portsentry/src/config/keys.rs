//! Every setting: its name, form, default and meaning. Settings are defined only here.

use std::time::Duration;

use super::{
    Config,
    choice::{choice, syslog_choice},
    interfaces, monitoring, network, ports,
    report::Report,
    span::Span,
    template, value,
};

/// The PortSentry that a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// PortSentry 1.2 and 2.x.
    Both,
    /// PortSentry 1.2.
    Classic,
    /// PortSentry 1.x, as a compile-time constant.
    CompileTime,
    /// New in this version.
    Ours,
}

/// One setting.
pub struct Key {
    /// As written in the file.
    pub name: &'static str,
    /// The PortSentry that it comes from.
    pub origin: Origin,
    /// Form of its value.
    pub form: &'static str,
    /// Default value; empty for none.
    pub default: &'static str,
    /// Its effect.
    pub meaning: &'static str,
    /// Reads a value that is not blank into the configuration.
    pub(super) set: fn(&mut Config, Span<'_>, &mut Report),
}

/// Returns the setting called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Sets a value unless it was invalid, in which case the configuration is refused anyway.
fn put<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}

/// All settings, in the order of the shipped file.
pub const KEYS: &[Key] = &[
    Key {
        name: "TCP_PORTS",
        origin: Origin::Both,
        form: "ports and ranges, as 1,11,512-515",
        default: "",
        meaning: "TCP ports to watch (traps), in every mode except the advanced ones.",
        set: |c, v, r| c.ports_tcp = ports::list(v, r),
    },
    Key {
        name: "UDP_PORTS",
        origin: Origin::Both,
        form: "ports and ranges, as 7,9,161-162",
        default: "",
        meaning: "UDP ports to watch (traps), in every mode except the advanced ones.",
        set: |c, v, r| c.ports_udp = ports::list(v, r),
    },
    Key {
        name: "ADVANCED_PORTS_TCP",
        origin: Origin::Classic,
        form: "0 to 65536",
        default: "1024",
        meaning: "Advanced mode watches every TCP port below this number.",
        set: |c, v, r| put(&mut c.advanced_ports_tcp, value::number(v, 0..=65536, r)),
    },
    Key {
        name: "ADVANCED_PORTS_UDP",
        origin: Origin::Classic,
        form: "0 to 65536",
        default: "1024",
        meaning: "Advanced mode watches every UDP port below this number.",
        set: |c, v, r| put(&mut c.advanced_ports_udp, value::number(v, 0..=65536, r)),
    },
    Key {
        name: "ADVANCED_EXCLUDE_TCP",
        origin: Origin::Classic,
        form: "ports and ranges",
        default: "",
        meaning: "TCP ports that advanced mode does not watch. Ports in use are never watched.",
        set: |c, v, r| c.advanced_exclude_tcp = ports::list(v, r),
    },
    Key {
        name: "ADVANCED_EXCLUDE_UDP",
        origin: Origin::Classic,
        form: "ports and ranges",
        default: "",
        meaning: "UDP ports that advanced mode does not watch. Ports in use are never watched.",
        set: |c, v, r| c.advanced_exclude_udp = ports::list(v, r),
    },
    Key {
        name: "INTERFACES",
        origin: Origin::Ours,
        form: "ALL, ALL_NLO, or names, as eth0,eth1",
        default: "ALL_NLO",
        meaning: "Network interfaces to watch, by name or alternative name. ALL_NLO is all but loopback. \
            ALL and ALL_NLO judge each frame from outside once: on bonds but not their members, on bridge \
            ports but not the bridge, on cards but not the VLANs above them; they skip the host's ends of \
            containers' veth pairs, tun devices and bridges without ports. An interface that is named is \
            always watched, also if it appears later. -i on the command line overrides this setting.",
        set: |c, v, r| c.interfaces = interfaces::list(v, r),
    },
    Key {
        name: "PROTECTED_NETWORKS",
        origin: Origin::Ours,
        form: "networks, as 192.0.2.0/24,2001:db8::/48",
        default: "",
        meaning: "Networks behind this gateway that are watched like the host itself. PortSentry can't \
            see which ports are in use there, so every watched port counts.",
        set: |c, v, r| c.protected_networks = network::list(v, r),
    },
    Key {
        name: "ACK_PROBES",
        origin: Origin::Ours,
        form: "off, log or count",
        default: "log",
        meaning: "Treatment of ACK and FIN+ACK (Maimon) packets that belong to no connection: ignore \
            them, log them without ever blocking, or count them like any probe.",
        set: |c, v, r| put(&mut c.ack_probes, choice(v, r)),
    },
    Key {
        name: "SERVED_GRACE",
        origin: Origin::Ours,
        form: "seconds, 0 to 86400",
        default: "60",
        meaning: "Seconds for which a port is no trap after its last service has gone: packets still \
            reach the network stack, which refuses them. A service can restart without its clients being \
            taken for scanners. 0 makes the port a trap at once.",
        set: |c, v, r| {
            put(
                &mut c.served_grace,
                value::number(v, 0..=86_400_u32, r).map(|it| Duration::from_secs(it.into())),
            );
        },
    },
    Key {
        name: "IGNORE_FILE",
        origin: Origin::Both,
        form: "path",
        default: "/etc/portsentry/portsentry.ignore",
        meaning: "Allowlist: hosts and networks whose probes never count and that are never blocked.",
        set: |c, v, r| c.ignore_file = value::file(v, r),
    },
    Key {
        name: "BLOCK_LIST",
        origin: Origin::Ours,
        form: "path",
        default: "/etc/portsentry/portsentry.blocklist",
        meaning: "Denylist: hosts and networks that are blocked while this file lists them, one per line, \
            in the syntax of the ignore file. PortSentry reloads the file when it changes. The default \
            file may be missing.",
        set: |c, v, r| c.block_list = value::file(v, r),
    },
    Key {
        name: "HISTORY_FILE",
        origin: Origin::Both,
        form: "path",
        default: "/var/lib/portsentry/portsentry.history",
        meaning: "Record of every block ever made. Append-only.",
        set: |c, v, r| c.history_file = value::file(v, r),
    },
    Key {
        name: "BLOCKED_FILE",
        origin: Origin::Both,
        form: "path",
        default: "/var/lib/portsentry/portsentry.blocked",
        meaning: "Current blocks, one per line. Remove a line to lift its block.",
        set: |c, v, r| c.blocked_file = value::file(v, r),
    },
    Key {
        name: "EVIDENCE_FILE",
        origin: Origin::Ours,
        form: "path, or off",
        default: "/var/lib/portsentry/portsentry.evidence",
        meaning: "The packets that led to each block, for `portsentry why`. At 4 MiB a new file is \
            started; the previous one is kept with the suffix .1.",
        set: |c, v, r| c.evidence_file = value::unless_off(v, r),
    },
    Key {
        name: "RESOLVE_HOST",
        origin: Origin::Both,
        form: "0 or 1",
        default: "0",
        meaning: "1 logs the DNS names of sources.",
        set: |c, v, r| c.resolve_host = value::lenient_switch(v, r),
    },
    Key {
        name: "BLOCK_TCP",
        origin: Origin::Both,
        form: "0, 1 or 2",
        default: "0",
        meaning: "Response to a source that scans TCP ports: 0 logs it, 1 blocks it and runs the KILL \
            actions, 2 only runs KILL_RUN_CMD.",
        set: |c, v, r| put(&mut c.block_tcp, choice(v, r)),
    },
    Key {
        name: "BLOCK_UDP",
        origin: Origin::Both,
        form: "0, 1 or 2",
        default: "0",
        meaning: "Response to a source that scans UDP ports: 0 logs it, 1 blocks it and runs the KILL \
            actions, 2 only runs KILL_RUN_CMD.",
        set: |c, v, r| put(&mut c.block_udp, choice(v, r)),
    },
    Key {
        name: "KILL_ROUTE",
        origin: Origin::Both,
        form: "command with $TARGET$",
        default: "",
        meaning: "Command that drops the route to a source or enters it in a packet filter. Macros: $TARGET$ the \
                  address, or a network as 2001:db8:1:2::/64 (IPV6_PREFIX), $PORT$, $MODE$, $PROOF$, $REASON$ why \
                  it is held, $UNTIL$ until when (RFC 3339, or \"never\").",
        set: |c, v, r| c.kill_route = template::command_with_target(v, r),
    },
    Key {
        name: "KILL_HOSTS_DENY",
        origin: Origin::Both,
        form: "line with $TARGET$",
        default: "",
        meaning: "Line to add to hosts.deny. IPv6 addresses are put in brackets, followed by the length \
            of a network, as TCP wrappers require.",
        set: |c, v, r| c.kill_hosts_deny = template::deny_line(v, r),
    },
    Key {
        name: "WRAPPER_HOSTS_DENY",
        origin: Origin::CompileTime,
        form: "path",
        default: "/etc/hosts.deny",
        meaning: "File for the lines of KILL_HOSTS_DENY.",
        set: |c, v, r| c.wrapper_hosts_deny = value::file(v, r),
    },
    Key {
        name: "KILL_RUN_CMD",
        origin: Origin::Both,
        form: "command",
        default: "",
        meaning: "Command to run for a source, with the macros of KILL_ROUTE, none of them required. One that names \
                  $PROOF$, $REASON$ or $UNTIL$ is run once more when a fence becomes a block.",
        set: |c, v, r| c.kill_run_cmd = template::command(v, r),
    },
    Key {
        name: "KILL_RUN_CMD_LIFT",
        origin: Origin::Ours,
        form: "command",
        default: "",
        meaning: "Command to run when a source is let go against which the KILL actions were taken, with the macros of \
                  KILL_ROUTE, none of them required; $REASON$ is why it is let go. Within ACTION_RATE, but none is left out.",
        set: |c, v, r| c.kill_run_cmd_lift = template::command(v, r),
    },
    Key {
        name: "KILL_RUN_CMD_FIRST",
        origin: Origin::Both,
        form: "0 or 1",
        default: "0",
        meaning: "1 runs KILL_RUN_CMD before the other actions, 0 after them.",
        set: |c, v, r| put(&mut c.kill_run_cmd_first, value::switch(v, r)),
    },
    Key {
        name: "SCAN_TRIGGER",
        origin: Origin::Both,
        form: "0 to 4294967295",
        default: "0",
        meaning: "Number of distinct pairs of address and port that a source must probe before PortSentry \
            acts on it. 0 and 1 both mean the first. A retransmission, or a second attempt at the same \
            port, does not count; PortSentry 1.2 and 2.x count packets.",
        set: |c, v, r| put(&mut c.scan_trigger, value::number(v, 0..=u32::MAX, r)),
    },
    Key {
        name: "TRIGGER_WINDOW",
        origin: Origin::Ours,
        form: "seconds, 0 to 4294967295",
        default: "3600",
        meaning: "Seconds for which a source's probes and completed handshakes with traps are remembered \
            after the last new one. 0 remembers them for ever, as PortSentry 1.2 and 2.x do: mistyped \
            ports then add up over months.",
        set: |c, v, r| {
            put(
                &mut c.trigger_window,
                value::number(v, 0..=u32::MAX, r).map(|it| Duration::from_secs(it.into())),
            );
        },
    },
    Key {
        name: "IPV6_PREFIX",
        origin: Origin::Ours,
        form: "48 to 128",
        default: "64",
        meaning: "Length of the IPv6 network by which a source is counted, rate-limited, fenced and \
            blocked, because a host can use any address of its /64. 128 treats each address separately. \
            Addresses on this host's links, link-local addresses, and those behind translators \
            (64:ff9b::/32) and of Teredo are always treated separately. When this setting changes, \
            blocked networks of another length are released; single addresses stay blocked.",
        set: |c, v, r| {
            put(&mut c.ipv6_prefix, value::number(v, 48..=128, r).and_then(|it| it.try_into().ok()));
        },
    },
    Key {
        name: "BLOCK_UNPROVEN",
        origin: Origin::Ours,
        form: "0 or 1",
        default: "0",
        meaning: "1 blocks every source that reaches the trigger, as PortSentry 1.2 and 2.x do, even if \
            its address may be spoofed. 0 fences it (a quarantine) until it proves that it sent the \
            probe: new connections are dropped; established ones continue.",
        set: |c, v, r| put(&mut c.block_unproven, value::switch(v, r)),
    },
    Key {
        name: "BLOCK_TIME",
        origin: Origin::Ours,
        form: "seconds, 0 to 4294967295",
        default: "0",
        meaning: "Duration of a block; 0 blocks permanently. The shipped file sets an hour, doubled for \
            each further block of a source.",
        set: |c, v, r| {
            put(
                &mut c.block_time,
                value::number(v, 0..=u32::MAX, r).map(|it| Duration::from_secs(it.into())),
            );
        },
    },
    Key {
        name: "BLOCK_TIME_FACTOR",
        origin: Origin::Ours,
        form: "number, 1 to 1000",
        default: "1",
        meaning: "Factor by which each further block of a source is longer than the one before. The last \
            4 MiB of HISTORY_FILE tell which sources were blocked before.",
        set: |c, v, r| put(&mut c.block_time_factor, value::number(v, 1..=1000, r)),
    },
    Key {
        name: "MAX_BLOCK_TIME",
        origin: Origin::Ours,
        form: "seconds, 0 to 4294967295",
        default: "0",
        meaning: "Upper limit of a block that BLOCK_TIME_FACTOR has lengthened; 0 sets no limit.",
        set: |c, v, r| {
            put(
                &mut c.max_block_time,
                value::number(v, 0..=u32::MAX, r).map(|it| Duration::from_secs(it.into())),
            );
        },
    },
    Key {
        name: "OPEN_AFTER",
        origin: Origin::Ours,
        form: "seconds, 0 or 10 to 4294967295",
        default: "0",
        meaning: "Fail open once the daemon has been down for this many seconds: fenced and blocked \
            sources pass until it is back. 0 never does.",
        set: |c, v, r| put(&mut c.open_after, value::patience(v, r)),
    },
    Key {
        name: "FENCE_TIME",
        origin: Origin::Ours,
        form: "seconds, 1 to 86400",
        default: "300",
        meaning: "Duration of a fence.",
        set: |c, v, r| {
            put(&mut c.fence_time, value::number(v, 1..=86400, r).map(|it| Duration::from_secs(it.into())));
        },
    },
    Key {
        name: "MAX_FENCED",
        origin: Origin::Ours,
        form: "1 to 16777216",
        default: "65536",
        meaning: "Maximum number of fenced sources, for IPv4 and as many for IPv6. When it is reached, \
            the oldest fence is evicted.",
        set: |c, v, r| put(&mut c.max_fenced, value::number(v, 1..=1 << 24, r)),
    },
    Key {
        name: "FENCE_RATE",
        origin: Origin::Ours,
        form: "1 to 10000000",
        default: "1000",
        meaning: "Rate limit: sources per second that each CPU may fence, so that a flood of spoofed \
            sources evicts fences only slowly. Probes beyond it are dropped, too.",
        set: |c, v, r| put(&mut c.fence_rate, value::number(v, 1..=10_000_000, r)),
    },
    Key {
        name: "FENCE",
        origin: Origin::Ours,
        form: "open or drop",
        default: "drop",
        meaning: "What happens to a fenced source's new TCP connections to this host. open: every port looks open to it. \
                  Services take its connections; PortSentry answers for every other port, except those of \
                  ADVANCED_EXCLUDE_TCP, and each completed handshake there counts for PROOF_TRAPS. So a host whose address \
                  was spoofed keeps its access, and a scanner can't tell which ports are served. It needs CHALLENGE. \
                  drop: its SYNs are dropped, or challenged.",
        set: |c, v, r| put(&mut c.fence, choice(v, r)),
    },
    Key {
        name: "FENCE_UDP",
        origin: Origin::Ours,
        form: "sessions or pass",
        default: "sessions",
        meaning: "Which datagrams of a fenced source pass. sessions: those that belong to a session (UDP_SESSION). pass: \
                  also those to a port that a service is bound to, at most 250 a second of each source; a scanner then \
                  learns which UDP services answer.",
        set: |c, v, r| put(&mut c.fence_udp, choice(v, r)),
    },
    Key {
        name: "UDP_SESSION",
        origin: Origin::Ours,
        form: "seconds, 0 to 86400",
        default: "180",
        meaning: "A fenced source's datagram passes if this host sent one to the same address and port, from the port that \
                  it goes to, within this time.",
        set: |c, v, r| {
            put(&mut c.udp_session, value::number(v, 0..=86400, r).map(|it| Duration::from_secs(it.into())));
        },
    },
    Key {
        name: "FENCE_SYN_RATE",
        origin: Origin::Ours,
        form: "1 to 10000000",
        default: "50000",
        meaning: "SYNs of all fenced sources together that are answered or passed in a second at most, where FENCE is open; \
                  the CPUs share it in equal parts. It is far above CHALLENGE_RATE, so that a spoofer who sends in many \
                  hosts' names leaves room for the hosts themselves. Each source has at most 250 a second.",
        set: |c, v, r| put(&mut c.fence_syn_rate, value::number(v, 1..=10_000_000, r)),
    },
    Key {
        name: "CHALLENGE",
        origin: Origin::Ours,
        form: "0 or 1",
        default: "0",
        meaning: "1 answers a SYN to a watched port with a SYN cookie. A source that acknowledges it has \
            completed a handshake with a trap; PROOF_TRAPS of these block it.",
        set: |c, v, r| put(&mut c.challenge, value::switch(v, r)),
    },
    Key {
        name: "PROOF_TRAPS",
        origin: Origin::Ours,
        form: "1 to 16",
        default: "2",
        meaning: "Number of traps (distinct ports) with which a source must complete a handshake before it is \
            blocked. Each further address at a known port counts as a quarter of a trap. Below that the source stays \
            fenced, so that a link to one trap or \
            one mistyped port causes no false positive. A source with an established connection to this \
            host is blocked only at four times as many. No effect if BLOCK_UNPROVEN is 1.",
        set: |c, v, r| put(&mut c.proof_traps, value::number(v, 1..=16, r)),
    },
    Key {
        name: "CHALLENGE_RATE",
        origin: Origin::Ours,
        form: "1 to 10000000",
        default: "1000",
        meaning: "Rate limit: SYNs answered per second, acknowledgements checked, and datagrams answered \
            with PORT_BANNER. The CPUs share the first two equally, with at least one each.",
        set: |c, v, r| put(&mut c.challenge_rate, value::number(v, 1..=10_000_000, r)),
    },
    Key {
        name: "KILL_ON_PROOF",
        origin: Origin::Ours,
        form: "0 or 1",
        default: "0",
        meaning: "1 runs the KILL actions only for a source that has proven itself; 0 runs them at the \
            trigger.",
        set: |c, v, r| put(&mut c.kill_on_proof, value::switch(v, r)),
    },
    Key {
        name: "ACTION_RATE",
        origin: Origin::Ours,
        form: "1 to 100000",
        default: "50",
        meaning: "Rate limit: sources per second for which KILL actions run. Skipped actions are logged; \
            dropping in the kernel has no such limit.",
        set: |c, v, r| put(&mut c.action_rate, value::number(v, 1..=100_000, r)),
    },
    Key {
        name: "PORT_BANNER",
        origin: Origin::Both,
        form: "text",
        default: "",
        meaning: "Text sent to clients that connect to a watched port, in modes that accept connections. \
            The answer to a datagram is always shorter than the datagram, because its source may be \
            spoofed.",
        set: |c, v, _| c.port_banner = Some(v.text().to_owned()),
    },
    Key {
        name: "LOG_FORMAT",
        origin: Origin::Ours,
        form: "auto, classic or revival",
        default: "auto",
        meaning: "Log lines of 1.2 (classic) or 2.x (revival). auto follows the command line flags.",
        set: |c, v, r| put(&mut c.log_format, choice(v, r)),
    },
    Key {
        name: "LOG_OUTPUT",
        origin: Origin::Ours,
        form: "auto, stdout, syslog or journald",
        default: "auto",
        meaning: "Target of log lines. auto is syslog with 1.2's flags and stdout with 2.x's. journald \
            also gets the content in fields. -l overrides this setting.",
        set: |c, v, r| put(&mut c.log_output, choice(v, r)),
    },
    Key {
        name: "SYSLOG_FACILITY",
        origin: Origin::CompileTime,
        form: "syslog facility, as daemon or local0",
        default: "daemon",
        meaning: "Facility of the lines sent to syslog or journald.",
        set: |c, v, r| put(&mut c.syslog_facility, syslog_choice(v, r)),
    },
    Key {
        name: "SYSLOG_LEVEL",
        origin: Origin::CompileTime,
        form: "syslog level, as notice or warning",
        default: "notice",
        meaning: "Level of the lines sent to syslog or journald.",
        set: |c, v, r| put(&mut c.syslog_level, syslog_choice(v, r)),
    },
    Key {
        name: "JSON_LOG",
        origin: Origin::Ours,
        form: "path, or - or stdout",
        default: "",
        meaning: "Target of events in JSON, one per line, in addition to the log: appended to a file, \
            which may be rotated at any time, or standard output. docs/events.md lists the fields.",
        set: |c, v, r| c.json_log = Some(monitoring::json_log(v, r)),
    },
    Key {
        name: "METRICS_LISTEN",
        origin: Origin::Ours,
        form: "address:port, as 127.0.0.1:9911",
        default: "",
        meaning: "Address for HTTP: /metrics (for Prometheus) and /healthz. docs/metrics.md lists the \
            metrics.",
        set: |c, v, r| c.metrics_listen = monitoring::listen(v, r),
    },
    Key {
        name: "CONFIG_FILE",
        origin: Origin::CompileTime,
        form: "path",
        default: "/etc/portsentry/portsentry.conf",
        meaning: "Accepted for compatibility, without effect: -c on the command line names another \
            configuration file.",
        set: |c, v, r| c.config_file = value::file(v, r),
    },
    Key {
        name: "REPEAT_WINDOW",
        origin: Origin::Ours,
        form: "seconds, 0 to 86400",
        default: "60",
        meaning: "Deduplication: a probe with the same source, port and kind within this time is counted \
            but not reported again.",
        set: |c, v, r| {
            let seconds = value::number(v, 0..=86400, r);
            put(&mut c.repeat_window, seconds.map(|seconds| Duration::from_secs(seconds.into())));
        },
    },
    Key {
        name: "EVENT_RATE",
        origin: Origin::Ours,
        form: "1 to 10000000",
        default: "1000",
        meaning: "Rate limit: probes per second that each CPU reports to the daemon. Further ones are \
            counted, and still blocked where necessary.",
        set: |c, v, r| put(&mut c.event_rate, value::number(v, 1..=10_000_000, r)),
    },
    Key {
        name: "RING_SIZE",
        origin: Origin::Ours,
        form: "bytes, a power of two from 4096 to 1073741824",
        default: "4194304",
        meaning: "Size of the ring buffer in which the kernel reports probes to the daemon.",
        set: |c, v, r| put(&mut c.ring_size, value::ring_size(v, r)),
    },
    Key {
        name: "MAX_BLOCKED",
        origin: Origin::Ours,
        form: "1 to 16777216",
        default: "65536",
        meaning: "Maximum number of blocked sources, for IPv4 and as many for IPv6.",
        set: |c, v, r| put(&mut c.max_blocked, value::number(v, 1..=1 << 24, r)),
    },
    Key {
        name: "MAX_NETWORKS",
        origin: Origin::Ours,
        form: "1 to 16777216",
        default: "65536",
        meaning: "Maximum number of blocked networks.",
        set: |c, v, r| put(&mut c.max_networks, value::number(v, 1..=1 << 24, r)),
    },
    Key {
        name: "MAX_ADDRESSES",
        origin: Origin::Ours,
        form: "1 to 16777216",
        default: "262144",
        meaning: "Maximum number of addresses and networks that are never blocked (own and broadcast \
            addresses, gateways, name servers, IGNORE_FILE), for IPv4 and as many for IPv6; and of those \
            that are watched (own addresses, PROTECTED_NETWORKS). Unused capacity takes no memory.",
        set: |c, v, r| put(&mut c.max_addresses, value::number(v, 1..=1 << 24, r)),
    },
    Key {
        name: "MAX_SOURCES",
        origin: Origin::Ours,
        form: "1 to 16777216",
        default: "65536",
        meaning: "Maximum number of sources whose probes are counted at a time. It limits the memory that \
            a flood of spoofed sources can take.",
        set: |c, v, r| put(&mut c.max_sources, value::number(v, 1..=1 << 24, r)),
    },
    Key {
        name: "CONTROL_SOCKET",
        origin: Origin::Ours,
        form: "path, or off",
        default: "/run/portsentry/control.sock",
        meaning: "Socket on which the running daemon reports its state and, to root, accepts commands.",
        set: |c, v, r| c.control_socket = value::unless_off(v, r),
    },
    Key {
        name: "CONTROL_GROUP",
        origin: Origin::Ours,
        form: "group, by name or number",
        default: "",
        meaning: "Group that may query the control socket. Unset: any local user. Only root may make \
            changes.",
        set: |c, v, _| c.control_group = Some(v.trim().text().to_owned()),
    },
    Key {
        name: "ON_STOP",
        origin: Origin::Ours,
        form: "detach, keep or remove",
        default: "detach",
        meaning: "What happens to the kernel program when the daemon is told to stop: detach removes it \
            and keeps its maps for the next start; keep leaves it attached, and it continues to drop \
            blocked sources (`portsentry down` removes it); remove leaves nothing.",
        set: |c, v, r| put(&mut c.on_stop, choice(v, r)),
    },
    Key {
        name: "XDP_MODE",
        origin: Origin::Ours,
        form: "auto, native or generic",
        default: "auto",
        meaning: "Where the program runs: in the network driver (native), after it (generic), or natively \
            if the driver supports it (auto).",
        set: |c, v, r| put(&mut c.xdp_mode, choice(v, r)),
    },
    Key {
        name: "PIN_PATH",
        origin: Origin::Ours,
        form: "path in a BPF file system",
        default: "/sys/fs/bpf/portsentry",
        meaning: "Directory of the kernel's pinned maps, for bpftool and for the next start.",
        set: |c, v, r| c.pin_path = value::absolute(v, r),
    },
    Key {
        name: "SANDBOX",
        origin: Origin::Ours,
        form: "0 or 1",
        default: "1",
        meaning: "1 drops privileges once the daemon has started: root (see RUN_AS), unneeded \
            capabilities, and write access outside the directories of its files. With KILL_ROUTE or \
            KILL_RUN_CMD nothing is dropped, because the commands need it.",
        set: |c, v, r| put(&mut c.sandbox, value::switch(v, r)),
    },
    Key {
        name: "RUN_AS",
        origin: Origin::Ours,
        form: "user",
        default: "",
        meaning: "User that the daemon runs as in its sandbox. Unset: portsentry if there is such a user, \
            otherwise root.",
        set: |c, v, _| c.run_as = Some(v.trim().text().to_owned()),
    },
];
