//! The response to a probe: counts it, decides, and carries the verdict out.

use super::{
    Action,
    challenge::challenge,
    enter::{block, enter, fence},
    report::{event, report},
    source_key::source_key,
    source_state::is_enforced,
};
use crate::{
    address::Address,
    challenge::Challenged,
    counter::Counter,
    decide::{Verdict, counts, decide},
    environment::{FamilyMaps, RateLimit, Relation, SourceKey},
    flow::Flow,
    frame::Rewrite,
    parse::{Datagram, Link},
    tally::pair,
};

/// Counts a probe, decides on it, and applies and reports the verdict.
#[inline(always)]
pub(super) fn answer<A, F, W>(
    frame: &F,
    link: &Link,
    datagram: &Datagram<A>,
    flow: &Flow<A>,
    env: &W,
) -> Action
where
    A: Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    let Flow { probe, .. } = *flow;
    let now_ns = env.now_ns();
    env.count(Counter::Probes);
    env.count_kind(probe.kind);
    let relation = env.relation(flow.source);
    let key = source_key(flow.source, relation, env.settings());
    let (verdict, hits) = verdict(flow, relation, &key, now_ns, env);
    if verdict == Verdict::Fence && !env.try_acquire(RateLimit::Fence, now_ns) {
        // Under a flood of spoofed sources nearly every probe ends here, before its event is built.
        env.count(Counter::OverFences);
    } else {
        let mut event = event(frame, link, datagram, flow, now_ns, env);
        event.hits = hits;
        event.prefix = key.prefix;
        event.verdict = verdict as u8;
        match verdict {
            Verdict::Block => {
                let block = block(&event, env.settings().block_ns);
                enter(&mut event, &block, &key, env);
            }
            Verdict::Fence => fence(&event, &key, env),
            _ => {
                report(&event, &key, env);
                return Action::Pass;
            }
        }
    }
    if verdict == Verdict::Fence && challenge(frame, link, datagram, flow, now_ns, env) {
        return Action::Answer;
    }
    env.count(Counter::DroppedProbes);
    Action::Drop
}

/// Returns the verdict, and the number of the source's probes (0 if this kind doesn't count).
#[inline(always)]
fn verdict<A: Address, W: FamilyMaps<A>>(
    flow: &Flow<A>,
    relation: Relation,
    key: &SourceKey<A>,
    now_ns: u64,
    env: &W,
) -> (Verdict, u32) {
    let settings = env.settings();
    if relation == Relation::Exempt {
        env.count(Counter::Ignored);
        return (Verdict::Ignored, 0);
    }
    if !counts(&flow.probe, settings) {
        return (Verdict::Noticed, 0);
    }
    // A trigger of one probe needs no tally, which saves work under a flood.
    let hits = if settings.trigger > 1 {
        env.tally(key.address, pair(flow.destination, flow.probe.port), now_ns)
    } else {
        1
    };
    match decide(&flow.probe, hits, settings) {
        Verdict::Block | Verdict::Fence if !is_enforced(env) => (Verdict::Report, hits),
        verdict => (verdict, hits),
    }
}
