//! Settings of rate limits and sizes.

use std::time::Duration;

use super::key::{Key, Origin, put};
use crate::config::value;

pub(super) const KEYS: &[Key] = &[
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
];
