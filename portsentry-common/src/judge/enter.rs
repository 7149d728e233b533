//! Enters blocks and fences, and reports them.

use super::report::{report, tell_at_once};
use crate::{
    address::Address,
    block::{Block, Origin, Proof},
    counter::Counter,
    decide::Verdict,
    environment::{Entry, FamilyMaps, SourceKey},
    event::Event,
};

/// Blocks the source of `event`, and reports the block.
#[inline(always)]
pub(super) fn enter<A: Address, W: FamilyMaps<A>>(
    event: &mut Event,
    block: &Block,
    key: &SourceKey<A>,
    env: &W,
) -> Entry {
    let entry = env.block(key.address, block);
    match entry {
        Entry::Entered => {
            env.count(Counter::Blocked);
            tell_at_once(event, env);
        }
        Entry::Already => {}
        Entry::Full => {
            env.count(Counter::BlockedFull);
            event.verdict = Verdict::Full as u8;
            report(event, key, env);
        }
    }
    entry
}

/// Fences the source of `event`, and reports the fence. The caller has acquired a token: fences are rate-limited, so
/// that a flood of spoofed sources doesn't evict fences faster than a real source can be proven.
#[inline(always)]
pub(super) fn fence<A: Address, W: FamilyMaps<A>>(event: &Event, key: &SourceKey<A>, env: &W) {
    if env.fence(key.address, &block(event, env.settings().fence_ns)) == Entry::Entered {
        env.count(Counter::Fenced);
        tell_at_once(event, env);
    }
}

/// Returns the block or fence that `event` causes, for `length_ns` nanoseconds, or permanent if that is 0.
#[inline(always)]
pub(super) fn block(event: &Event, length_ns: u64) -> Block {
    let until_ns = if length_ns == 0 { 0 } else { event.time_ns.wrapping_add(length_ns) };
    Block {
        since_ns: event.time_ns.cast_signed(),
        until_ns,
        dropped: 0,
        hits: event.hits,
        interface: event.interface,
        port: event.port,
        protocol: event.protocol,
        kind: event.kind,
        flags: event.flags,
        origin: Origin::Trigger as u8,
        mirrored: 0,
        proof: Proof::None as u8,
        prefix: event.prefix,
        form: 0,
        guessed: 0,
        paced: 0,
    }
}
