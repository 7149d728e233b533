//! Every setting: its name, form, default and meaning. The one place where a setting is made known.

use std::time::Duration;

use super::{
    Config,
    choice::{choice, syslog_choice},
    interfaces, monitoring, network, ports,
    report::Report,
    span::Span,
    template, value,
};

/// Whose setting it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Of PortSentry 1.2 and 2.x.
    Both,
    /// Of PortSentry 1.2.
    Classic,
    /// Of PortSentry 1.x, fixed there when it was compiled.
    CompileTime,
    /// New here.
    Ours,
}

/// One setting.
pub struct Key {
    /// As written in the file.
    pub name: &'static str,
    /// Whose it is.
    pub origin: Origin,
    /// What its value looks like.
    pub form: &'static str,
    /// The value that it has when it is absent; empty for none.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// Reads a value that is not blank into the configuration.
    pub(super) set: fn(&mut Config, Span<'_>, &mut Report),
}

/// The setting called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Takes a value over unless it was wrong, in which case the configuration is refused anyway.
fn put<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}

/// All settings, in the order of the file that we ship.
pub const KEYS: &[Key] = &[
    Key {
        name: "TCP_PORTS",
        origin: Origin::Both,
        form: "ports and ranges, as 1,11,512-515",
        default: "",
        meaning: "TCP ports to watch, in every mode but the advanced ones.",
        set: |c, v, r| c.ports_tcp = ports::list(v, r),
    },
    Key {
        name: "UDP_PORTS",
        origin: Origin::Both,
        form: "ports and ranges, as 7,9,161-162",
        default: "",
        meaning: "UDP ports to watch, in every mode but the advanced ones.",
        set: |c, v, r| c.ports_udp = ports::list(v, r),
    },
    Key {
        name: "ADVANCED_PORTS_TCP",
        origin: Origin::Classic,
        form: "0 to 65536",
        default: "1024",
        meaning: "In the advanced mode every TCP port below this number is watched.",
        set: |c, v, r| put(&mut c.advanced_ports_tcp, value::number(v, 0..=65536, r)),
    },
    Key {
        name: "ADVANCED_PORTS_UDP",
        origin: Origin::Classic,
        form: "0 to 65536",
        default: "1024",
        meaning: "In the advanced mode every UDP port below this number is watched.",
        set: |c, v, r| put(&mut c.advanced_ports_udp, value::number(v, 0..=65536, r)),
    },
    Key {
        name: "ADVANCED_EXCLUDE_TCP",
        origin: Origin::Classic,
        form: "ports and ranges",
        default: "",
        meaning: "TCP ports that the advanced mode leaves out. Ports in use are left out anyway.",
        set: |c, v, r| c.advanced_exclude_tcp = ports::list(v, r),
    },
    Key {
        name: "ADVANCED_EXCLUDE_UDP",
        origin: Origin::Classic,
        form: "ports and ranges",
        default: "",
        meaning: "UDP ports that the advanced mode leaves out. Ports in use are left out anyway.",
        set: |c, v, r| c.advanced_exclude_udp = ports::list(v, r),
    },
    Key {
        name: "INTERFACES",
        origin: Origin::Ours,
        form: "ALL, ALL_NLO, or names, as eth0,eth1",
        default: "ALL_NLO",
        meaning: "Network interfaces to watch, by name or alternative name. ALL_NLO is all but loopback. With it and with \
                  ALL each frame from outside is judged once: bonds but not their members, ports but not their bridge, \
                  cards but not the VLANs on them; containers' cables, tun devices and bridges without ports are left \
                  out. Interfaces that are named are watched in any case, also if they come later. -i on the command \
                  line overrides it.",
        set: |c, v, r| c.interfaces = interfaces::list(v, r),
    },
    Key {
        name: "PROTECTED_NETWORKS",
        origin: Origin::Ours,
        form: "networks, as 192.0.2.0/24,2001:db8::/48",
        default: "",
        meaning: "Networks behind this host, when it is a gateway, that are watched like the host itself. Which \
                  ports are in use there can't be seen from here, so every watched port counts.",
        set: |c, v, r| c.protected_networks = network::list(v, r),
    },
    Key {
        name: "ACK_PROBES",
        origin: Origin::Ours,
        form: "off, log or count",
        default: "log",
        meaning: "What becomes of ACK and FIN+ACK (Maimon) packets that belong to no connection: not looked at, \
                  logged without ever leading to a block, or counted like any probe.",
        set: |c, v, r| put(&mut c.ack_probes, choice(v, r)),
    },
    Key {
        name: "SERVED_GRACE",
        origin: Origin::Ours,
        form: "seconds, 0 to 86400",
        default: "60",
        meaning: "For how long a port is no trap after the last service on it has gone: packets reach the network stack, \
                  which refuses them. So a service may restart without its clients being taken for scanners. 0 makes \
                  it a trap at once.",
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
        meaning: "Hosts and networks that never count and are never blocked.",
        set: |c, v, r| c.ignore_file = value::file(v, r),
    },
    Key {
        name: "BLOCK_LIST",
        origin: Origin::Ours,
        form: "path",
        default: "/etc/portsentry/portsentry.blocklist",
        meaning: "Hosts and networks that are blocked for as long as the file names them, one a line, as in the \
                  ignore file. It is read again when it changes; the default one may be missing.",
        set: |c, v, r| c.block_list = value::file(v, r),
    },
    Key {
        name: "HISTORY_FILE",
        origin: Origin::Both,
        form: "path",
        default: "/var/lib/portsentry/portsentry.history",
        meaning: "Every block ever made. Only ever appended to.",
        set: |c, v, r| c.history_file = value::file(v, r),
    },
    Key {
        name: "BLOCKED_FILE",
        origin: Origin::Both,
        form: "path",
        default: "/var/lib/portsentry/portsentry.blocked",
        meaning: "What is blocked now, a line each. Take a line out to lift its block.",
        set: |c, v, r| c.blocked_file = value::file(v, r),
    },
    Key {
        name: "EVIDENCE_FILE",
        origin: Origin::Ours,
        form: "path, or off",
        default: "/var/lib/portsentry/portsentry.evidence",
        meaning: "The packets that led to each block, for `portsentry why`. At 4 MiB it is begun anew, and the one \
                  before kept beside it with .1 at its end.",
        set: |c, v, r| c.evidence_file = value::unless_off(v, r),
    },
    Key {
        name: "RESOLVE_HOST",
        origin: Origin::Both,
        form: "0 or 1",
        default: "0",
        meaning: "1 looks the names of sources up for the log.",
        set: |c, v, r| c.resolve_host = value::lenient_switch(v, r),
    },
    Key {
        name: "BLOCK_TCP",
        origin: Origin::Both,
        form: "0, 1 or 2",
        default: "0",
        meaning: "What happens to a source that scans TCP ports: 0 logs it, 1 blocks it and takes the KILL \
                  actions, 2 only runs KILL_RUN_CMD.",
        set: |c, v, r| put(&mut c.block_tcp, choice(v, r)),
    },
    Key {
        name: "BLOCK_UDP",
        origin: Origin::Both,
        form: "0, 1 or 2",
        default: "0",
        meaning: "What happens to a source that scans UDP ports: 0 logs it, 1 blocks it and takes the KILL \
                  actions, 2 only runs KILL_RUN_CMD.",
        set: |c, v, r| put(&mut c.block_udp, choice(v, r)),
    },
    Key {
        name: "KILL_ROUTE",
        origin: Origin::Both,
        form: "command with $TARGET$",
        default: "",
        meaning: "Command that drops the route to a source or enters it in a packet filter. Macros: $TARGET$ the \
                  address, or an IPv6 network as 2001:db8:1:2::/64 (IPV6_PREFIX), $PORT$, $MODE$, $PROOF$.",
        set: |c, v, r| c.kill_route = template::command_with_target(v, r),
    },
    Key {
        name: "KILL_HOSTS_DENY",
        origin: Origin::Both,
        form: "line with $TARGET$",
        default: "",
        meaning: "Line for hosts.deny. An IPv6 address is put in brackets, a network has its length behind them, as TCP wrappers want it.",
        set: |c, v, r| c.kill_hosts_deny = template::deny_line(v, r),
    },
    Key {
        name: "WRAPPER_HOSTS_DENY",
        origin: Origin::CompileTime,
        form: "path",
        default: "/etc/hosts.deny",
        meaning: "The file that KILL_HOSTS_DENY lines go to.",
        set: |c, v, r| c.wrapper_hosts_deny = value::file(v, r),
    },
    Key {
        name: "KILL_RUN_CMD",
        origin: Origin::Both,
        form: "command",
        default: "",
        meaning: "Command to run for a source, with the macros of KILL_ROUTE, none of them required.",
        set: |c, v, r| c.kill_run_cmd = template::command(v, r),
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
        meaning: "How many distinct pairs of address and port a source must probe before it is acted on. 0 and 1 are \
                  both the first. A retransmission, or a second attempt at the same port, adds nothing. PortSentry \
                  counted packets.",
        set: |c, v, r| put(&mut c.scan_trigger, value::number(v, 0..=u32::MAX, r)),
    },
    Key {
        name: "TRIGGER_WINDOW",
        origin: Origin::Ours,
        form: "seconds, 0 to 4294967295",
        default: "3600",
        meaning: "How long the probes of a source, and its completed handshakes with traps, are remembered after the \
                  last new one. 0 keeps them for ever, as PortSentry does: mistyped ports of months add up.",
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
        meaning: "Length of the IPv6 network by which a source is counted, limited, fenced and blocked: a host has as many \
                  addresses of its /64 as it likes. 128 is for each address alone, as before. Addresses of the links that \
                  this host is on, link-local ones, and those behind translators (64:ff9b::/32) and of Teredo are always \
                  held alone. A change of it lets go networks of another length; single addresses stay held.",
        set: |c, v, r| {
            put(&mut c.ipv6_prefix, value::number(v, 48..=128, r).and_then(|it| it.try_into().ok()));
        },
    },
    Key {
        name: "BLOCK_UNPROVEN",
        origin: Origin::Ours,
        form: "0 or 1",
        default: "0",
        meaning: "1 blocks every source that reaches the trigger, as PortSentry always did, also one whose address \
                  somebody has forged. 0 fences it until it proves that it sent the probe: what could open \
                  anything is dropped, its connections go on.",
        set: |c, v, r| put(&mut c.block_unproven, value::switch(v, r)),
    },
    Key {
        name: "BLOCK_TIME",
        origin: Origin::Ours,
        form: "seconds, 0 to 4294967295",
        default: "0",
        meaning: "How long a block lasts; 0 is for good. The shipped file has an hour, which doubles with each further \
                  block of a source.",
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
        meaning: "Each further block of a source lasts so many times as long as the one before. The last 4 MiB of \
                  HISTORY_FILE say who was blocked before.",
        set: |c, v, r| put(&mut c.block_time_factor, value::number(v, 1..=1000, r)),
    },
    Key {
        name: "MAX_BLOCK_TIME",
        origin: Origin::Ours,
        form: "seconds, 0 to 4294967295",
        default: "0",
        meaning: "What BLOCK_TIME_FACTOR can make of BLOCK_TIME at the most; 0 is no bound.",
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
        meaning: "Once the daemon has been dead for so long, nobody is held off any more until it is back: fenced and \
                  blocked sources pass. 0 keeps them off.",
        set: |c, v, r| put(&mut c.open_after, value::patience(v, r)),
    },
    Key {
        name: "FENCE_TIME",
        origin: Origin::Ours,
        form: "seconds, 1 to 86400",
        default: "300",
        meaning: "How long a fence lasts.",
        set: |c, v, r| {
            put(&mut c.fence_time, value::number(v, 1..=86400, r).map(|it| Duration::from_secs(it.into())));
        },
    },
    Key {
        name: "MAX_FENCED",
        origin: Origin::Ours,
        form: "1 to 16777216",
        default: "65536",
        meaning: "Sources that can be fenced at a time, for IPv4 and as many for IPv6. When it is full the oldest gives way.",
        set: |c, v, r| put(&mut c.max_fenced, value::number(v, 1..=1 << 24, r)),
    },
    Key {
        name: "FENCE_RATE",
        origin: Origin::Ours,
        form: "1 to 10000000",
        default: "1000",
        meaning: "Sources a second that each CPU fences at most, so that a flood of forged ones turns the fences over \
                  slowly. A probe that comes on top is dropped all the same.",
        set: |c, v, r| put(&mut c.fence_rate, value::number(v, 1..=10_000_000, r)),
    },
    Key {
        name: "CHALLENGE",
        origin: Origin::Ours,
        form: "0 or 1",
        default: "0",
        meaning: "1 answers a SYN to a watched port with a cookie. A source that acknowledges it has completed a \
                  handshake with a trap; PROOF_TRAPS of them block it.",
        set: |c, v, r| put(&mut c.challenge, value::switch(v, r)),
    },
    Key {
        name: "PROOF_TRAPS",
        origin: Origin::Ours,
        form: "1 to 16",
        default: "2",
        meaning: "With how many distinct traps (pairs of address and port) a source must complete a handshake before it \
                  is blocked. Below that it stays fenced: a link to one trap, or one mistyped port, blocks nobody. A \
                  source with an established connection to this host is blocked only at four times as many. Without \
                  effect where BLOCK_UNPROVEN is 1.",
        set: |c, v, r| put(&mut c.proof_traps, value::number(v, 1..=16, r)),
    },
    Key {
        name: "CHALLENGE_RATE",
        origin: Origin::Ours,
        form: "1 to 10000000",
        default: "1000",
        meaning: "SYNs a second that are answered at most, acknowledgements that are checked, and datagrams that are answered \
                  with PORT_BANNER. The CPUs share the first two in equal parts, of at least one.",
        set: |c, v, r| put(&mut c.challenge_rate, value::number(v, 1..=10_000_000, r)),
    },
    Key {
        name: "KILL_ON_PROOF",
        origin: Origin::Ours,
        form: "0 or 1",
        default: "0",
        meaning: "1 takes the KILL actions only against a source that has proven itself; 0 takes them at the trigger.",
        set: |c, v, r| put(&mut c.kill_on_proof, value::switch(v, r)),
    },
    Key {
        name: "ACTION_RATE",
        origin: Origin::Ours,
        form: "1 to 100000",
        default: "50",
        meaning: "Sources a second against which KILL actions are taken at most. What is left out is logged; the \
                  kernel's own dropping has no such limit.",
        set: |c, v, r| put(&mut c.action_rate, value::number(v, 1..=100_000, r)),
    },
    Key {
        name: "PORT_BANNER",
        origin: Origin::Both,
        form: "text",
        default: "",
        meaning: "Text sent to whoever connects to a watched port, in the modes that take connections. The answer to a \
                  datagram is cut so that it is shorter than the datagram, as anybody can send one in another's name.",
        set: |c, v, _| c.port_banner = Some(v.text().to_owned()),
    },
    Key {
        name: "LOG_FORMAT",
        origin: Origin::Ours,
        form: "auto, classic or revival",
        default: "auto",
        meaning: "Log lines of 1.2 (classic) or 2.x (revival). auto follows the flags on the command line.",
        set: |c, v, r| put(&mut c.log_format, choice(v, r)),
    },
    Key {
        name: "LOG_OUTPUT",
        origin: Origin::Ours,
        form: "auto, stdout, syslog or journald",
        default: "auto",
        meaning: "Where log lines go. auto is syslog for 1.2's flags and stdout for 2.x's. journald \
                  gets what the lines say in fields, too. -l overrides it.",
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
        meaning: "Where events go as JSON, one a line, beside the log lines: to the end of a file, which may be rotated at \
                  any time, or to standard output. docs/events.md has their fields.",
        set: |c, v, r| c.json_log = Some(monitoring::json_log(v, r)),
    },
    Key {
        name: "METRICS_LISTEN",
        origin: Origin::Ours,
        form: "address:port, as 127.0.0.1:9911",
        default: "",
        meaning: "Where /metrics (for Prometheus) and /healthz answer to HTTP. docs/metrics.md has the names.",
        set: |c, v, r| c.metrics_listen = monitoring::listen(v, r),
    },
    Key {
        name: "CONFIG_FILE",
        origin: Origin::CompileTime,
        form: "path",
        default: "/etc/portsentry/portsentry.conf",
        meaning: "Accepted and without effect: -c on the command line names another configuration file.",
        set: |c, v, r| c.config_file = value::file(v, r),
    },
    Key {
        name: "REPEAT_WINDOW",
        origin: Origin::Ours,
        form: "seconds, 0 to 86400",
        default: "60",
        meaning: "A repeat of the same source, port and kind of probe within this time is counted, but not told.",
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
        meaning: "Probes a second that each CPU tells the daemon at most. The rest is counted and, where it must \
                  be, blocked all the same.",
        set: |c, v, r| put(&mut c.event_rate, value::number(v, 1..=10_000_000, r)),
    },
    Key {
        name: "RING_SIZE",
        origin: Origin::Ours,
        form: "bytes, a power of two from 4096 to 1073741824",
        default: "4194304",
        meaning: "Size of the buffer through which the kernel tells the daemon of probes.",
        set: |c, v, r| put(&mut c.ring_size, value::ring_size(v, r)),
    },
    Key {
        name: "MAX_BLOCKED",
        origin: Origin::Ours,
        form: "1 to 16777216",
        default: "65536",
        meaning: "Sources that can be blocked at a time, for IPv4 and as many for IPv6.",
        set: |c, v, r| put(&mut c.max_blocked, value::number(v, 1..=1 << 24, r)),
    },
    Key {
        name: "MAX_NETWORKS",
        origin: Origin::Ours,
        form: "1 to 16777216",
        default: "65536",
        meaning: "Networks that can be blocked at a time.",
        set: |c, v, r| put(&mut c.max_networks, value::number(v, 1..=1 << 24, r)),
    },
    Key {
        name: "MAX_ADDRESSES",
        origin: Origin::Ours,
        form: "1 to 16777216",
        default: "262144",
        meaning: "Addresses and networks that are never blocked (own and broadcast addresses, gateways, name servers, \
                  IGNORE_FILE), for IPv4 and as many for IPv6; likewise those that are watched (own addresses, \
                  PROTECTED_NETWORKS). They take memory only as far as there are any.",
        set: |c, v, r| put(&mut c.max_addresses, value::number(v, 1..=1 << 24, r)),
    },
    Key {
        name: "MAX_SOURCES",
        origin: Origin::Ours,
        form: "1 to 16777216",
        default: "65536",
        meaning: "Sources whose hits are remembered at a time. It bounds what a flood of forged sources can take.",
        set: |c, v, r| put(&mut c.max_sources, value::number(v, 1..=1 << 24, r)),
    },
    Key {
        name: "CONTROL_SOCKET",
        origin: Origin::Ours,
        form: "path, or off",
        default: "/run/portsentry/control.sock",
        meaning: "Where the running daemon can be asked how it is and, by root, told what to do.",
        set: |c, v, r| c.control_socket = value::unless_off(v, r),
    },
    Key {
        name: "CONTROL_GROUP",
        origin: Origin::Ours,
        form: "group, by name or number",
        default: "",
        meaning: "Who but root may ask at CONTROL_SOCKET; everybody, if there is none. They can't change anything.",
        set: |c, v, _| c.control_group = Some(v.trim().text().to_owned()),
    },
    Key {
        name: "ON_STOP",
        origin: Origin::Ours,
        form: "detach, keep or remove",
        default: "detach",
        meaning: "What becomes of the kernel's side when the daemon is told to end: its program is detached and its \
                  maps stay for the next start, it goes on dropping who is blocked (`portsentry down` takes it \
                  off), or nothing of it stays.",
        set: |c, v, r| put(&mut c.on_stop, choice(v, r)),
    },
    Key {
        name: "XDP_MODE",
        origin: Origin::Ours,
        form: "auto, native or generic",
        default: "auto",
        meaning: "Where packets are seen: in the network driver (native), after it (generic), or wherever the \
                  driver allows (auto).",
        set: |c, v, r| put(&mut c.xdp_mode, choice(v, r)),
    },
    Key {
        name: "PIN_PATH",
        origin: Origin::Ours,
        form: "path in a BPF file system",
        default: "/sys/fs/bpf/portsentry",
        meaning: "Where the kernel's maps are kept, for bpftool and for the next start.",
        set: |c, v, r| c.pin_path = value::absolute(v, r),
    },
    Key {
        name: "SANDBOX",
        origin: Origin::Ours,
        form: "0 or 1",
        default: "1",
        meaning: "1 gives up, once the daemon has started, being root (see RUN_AS), capabilities that it has no use \
                  for, and writing outside of its files' directories. With KILL_ROUTE or KILL_RUN_CMD nothing is given \
                  up, as what they run needs it.",
        set: |c, v, r| put(&mut c.sandbox, value::switch(v, r)),
    },
    Key {
        name: "RUN_AS",
        origin: Origin::Ours,
        form: "user",
        default: "",
        meaning: "The user that the daemon becomes in its sandbox. Without it, that is portsentry if there is such a \
                  user, else root.",
        set: |c, v, _| c.run_as = Some(v.trim().text().to_owned()),
    },
];
