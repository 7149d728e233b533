//! Settings of a fleet: several gateways that share their blocks.

use std::time::Duration;

use super::key::{Key, Origin, put};
use crate::config::{choice::choice, peers, value};

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "SHARE_SOCKET",
        origin: Origin::Ours,
        form: "path, or off",
        default: "off",
        meaning: "Socket for the companion that carries words between the gateways of a fleet. Only root and the user \
            portsentry-share may speak there.",
        set: |c, v, r| value::unless_off(&mut c.share_socket, v, r),
    },
    Key {
        name: "GATEWAY_NAME",
        origin: Origin::Ours,
        form: "up to 64 letters, digits, - and _",
        default: "",
        meaning: "Name of this gateway in its fleet. Unset: the host's name, up to its first dot.",
        set: |c, v, r| {
            if let Some(name) = peers::own(v, r) {
                c.gateway_name = Some(name);
            }
        },
    },
    Key {
        name: "SHARE_BLOCKS",
        origin: Origin::Ours,
        form: "off, proven or all",
        default: "proven",
        meaning: "Blocks that this gateway shares with its fleet: none, those of sources that proved themselves by a \
            handshake, or administrators' blocks of hosts as well. Fences, networks, lists and private addresses are \
            never shared.",
        set: |c, v, r| put(&mut c.share_blocks, choice(v, r)),
    },
    Key {
        name: "PEERS",
        origin: Origin::Ours,
        form: "gateways separated by commas, each with =block, =fence or =log; * for all others",
        default: "",
        meaning: "The other gateways of the fleet, and the effect of their blocks here: block (the default), fence, or \
            none but a record. Only gateways with block may also lift blocks and exempt addresses. Words of other \
            gateways are refused.",
        set: |c, v, r| put(&mut c.peers, peers::peers(v, r)),
    },
    Key {
        name: "PEER_RATE",
        origin: Origin::Ours,
        form: "1 to 1000000",
        default: "100",
        meaning: "Rate limit: words per second of each peer, five seconds' at once. Further words are read from the fleet's \
            state a little later. A peer that says ten times as much is held: its words are ignored, and its blocks suspended, until `portsentry peers release`.",
        set: |c, v, r| put(&mut c.peer_rate, value::number(v, 1..=1_000_000, r)),
    },
    Key {
        name: "MAX_PER_PEER",
        origin: Origin::Ours,
        form: "1 to 16777216",
        default: "16384",
        meaning: "Maximum number of blocks of each peer. The latest count.",
        set: |c, v, r| put(&mut c.max_per_peer, value::number(v, 1..=1 << 24, r)),
    },
    Key {
        name: "MAX_PEER_BLOCKED",
        origin: Origin::Ours,
        form: "1 to 16777216",
        default: "32768",
        meaning: "Maximum number of blocks of all peers. They never take more than half of MAX_BLOCKED.",
        set: |c, v, r| put(&mut c.max_peer_blocked, value::number(v, 1..=1 << 24, r)),
    },
    Key {
        name: "PEER_BLOCK_TIME",
        origin: Origin::Ours,
        form: "seconds, 1 to 31536000",
        default: "86400",
        meaning: "Longest duration of a peer's block from its start, also if it is permanent there.",
        set: |c, v, r| {
            let seconds = value::number(v, 1..=31_536_000, r);
            put(&mut c.peer_block_time, seconds.map(|it| Duration::from_secs(it.into())));
        },
    },
];
