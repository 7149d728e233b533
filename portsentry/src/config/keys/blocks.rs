//! Settings of blocks: the trigger, and the duration.

use std::time::Duration;

use super::key::{Key, Origin, put};
use crate::config::value;

pub(super) const KEYS: &[Key] = &[
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
];
