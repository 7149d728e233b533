//! Peers' blocks and fences as entries of the kernel's maps.

use ipnet::IpNet;
use portsentry_common::{
    block::{Block, Origin, Proof},
    classify::Protocol,
};

use crate::{
    kernel::{self, Moment},
    policy::{
        Hold, Record,
        peers::{Claim, Enforced, millis_of, time_of},
        prefix_of,
    },
};

/// Returns the entry of a peer's block or fence. It has the peer's number in place of the interface's.
pub(super) fn peer_entry(network: IpNet, enforced: &Enforced) -> Block {
    let Claim { since, until, proof, kind, port, protocol, .. } = enforced.claim;
    Block {
        since_ns: kernel::monotonic_at(time_of(since)),
        until_ns: u64::try_from(kernel::monotonic_at(time_of(until))).unwrap_or(1),
        interface: enforced.number,
        port,
        protocol,
        kind,
        origin: Origin::Peer as u8,
        mirrored: 1,
        proof,
        prefix: prefix_of(network),
        ..bytemuck::Zeroable::zeroed()
    }
}

/// Returns what a peer's entry says.
pub(super) fn claim_of(block: &Block, now: Moment) -> Claim {
    let until = i64::try_from(block.until_ns).unwrap_or(i64::MAX);
    let since = millis_of(now.wall_time(block.since_ns));
    Claim {
        since,
        until: millis_of(now.wall_time(until)),
        proof: block.proof,
        kind: block.kind,
        port: block.port,
        protocol: block.protocol,
        first: since,
    }
}

/// Returns the record of a peer's block or fence, for log and events.
pub(super) fn record(network: IpNet, enforced: &Enforced) -> Record {
    let claim = enforced.claim;
    let hold = Hold {
        since: time_of(claim.since),
        until: Some(time_of(claim.until)),
        port: claim.port,
        protocol: Protocol::try_from(claim.protocol).unwrap_or(Protocol::Tcp),
        proof: Proof::try_from(claim.proof).unwrap_or(Proof::None),
        is_fence: enforced.is_fence,
    };
    Record { network, hold }
}
