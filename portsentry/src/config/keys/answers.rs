//! Settings of the answers that other hosts send through a gateway.

use super::key::{Key, Origin, put};
use crate::config::{choice::choice, value};

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "ANSWERS",
        origin: Origin::Ours,
        form: "off, observe or enforce",
        default: "off",
        meaning: "On a gateway: what the answers of hosts behind it decide. A SYN to a port of PROTECTED_NETWORKS, or of \
            an own address, that is on no list passes, and the forwarded answer shows whether the port is served or \
            refused. enforce: a source is fenced at FAILED_CONNECTIONS, and a listed port that has answered within a day is no \
            trap. observe: PortSentry learns and counts, but no verdict changes. off: it doesn't learn. Nothing is \
            fenced with BLOCK_UNPROVEN. It is off without PROTECTED_NETWORKS on a host that doesn't forward \
            packets.",
        set: |c, v, r| put(&mut c.answers, choice(v, r)),
    },
    Key {
        name: "FAILED_CONNECTIONS",
        origin: Origin::Ours,
        form: "2 to 16",
        default: "4",
        meaning: "Number of distinct addresses and ports that refuse a source before ANSWERS=\"enforce\" fences it. \
            Each served port that it reaches after the first one takes one off: with established connections, in \
            advance up to one less than this number; with half-open ones, only as many in all. A question to a port \
            that has refused others counts half until it is answered. Failures are forgotten after TRIGGER_WINDOW.",
        set: |c, v, r| {
            put(
                &mut c.failed_connections,
                value::number(v, 2..=16, r).map(|it| u8::try_from(it).unwrap_or(u8::MAX)),
            );
        },
    },
    Key {
        name: "MAX_SERVED",
        origin: Origin::Ours,
        form: "1 to 16777216",
        default: "65536",
        meaning: "Maximum number of ports that ANSWERS remembers as served, as many as refused, and of sources \
            with failed connections. The oldest are forgotten.",
        set: |c, v, r| put(&mut c.max_served, value::number(v, 1..=1 << 24, r)),
    },
];
