//! Settings of the fence and the challenge.

use std::time::Duration;

use super::key::{Key, Origin, put};
use crate::config::{choice::choice, value};

pub(super) const KEYS: &[Key] = &[
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
        meaning: "Datagrams of a fenced source that pass. sessions: those that belong to a session (UDP_SESSION). pass: \
                  also those to a port that a service is bound to, at most 250 a second from each source; a scanner then \
                  learns which UDP services answer.",
        set: |c, v, r| put(&mut c.fence_udp, choice(v, r)),
    },
    Key {
        name: "UDP_SESSION",
        origin: Origin::Ours,
        form: "seconds, 0 to 86400",
        default: "180",
        meaning: "A datagram is no probe, and passes the fence, if this host sent or forwarded one to the same address \
                  and port, from the port that it goes to, within this time.",
        set: |c, v, r| {
            put(&mut c.udp_session, value::number(v, 0..=86400, r).map(|it| Duration::from_secs(it.into())));
        },
    },
    Key {
        name: "FENCE_SYN_RATE",
        origin: Origin::Ours,
        form: "1 to 10000000",
        default: "50000",
        meaning: "Rate limit: SYNs per second, of all fenced sources together, that PortSentry answers or passes where \
                  FENCE is open. The CPUs share it equally. It is far above CHALLENGE_RATE, so that a flood that spoofs many \
                  hosts leaves room for those hosts. Each source is limited to 250 a second.",
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
        form: "auto, 0 or 1",
        default: "auto",
        meaning: "1 runs the KILL actions only for a source that has proven itself, which a source of UDP probes alone \
            never does; 0 runs them at the trigger. auto waits for proof where a source can prove itself (with CHALLENGE, or \
            in the modes -tcp and --connect), and with ANSWERS=\"enforce\", unless BLOCK_UNPROVEN is 1.",
        set: |c, v, r| put(&mut c.kill_on_proof, choice(v, r)),
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
];
