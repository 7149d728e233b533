//! Judges a source by its questions to ports whose services are unknown here: those of hosts behind this one, and
//! translated ones. Questions pass, and the answers decide ([`crate::answered`]). A source whose questions were
//! refused too often is fenced.

use super::{Action, enter::fence, report::event, source_key::source_key, source_state::is_enforced};
use crate::{
    classify::{Kind, classify},
    counter::Counter,
    decide::Verdict,
    environment::{FamilyMaps, Locality, RateLimit, Relation},
    flow::Flow,
    frame::Frame,
    learned::{Question, is_question},
    parse::{Plain, link},
    tally::pair,
};

/// Records the question of a source that is neither blocked nor fenced, and judges the source by its failures.
/// Returns `None` if the packet must be judged by the other rules: it asks nothing, or its port is watched.
#[inline(always)]
pub fn contact<A, F, W>(frame: &F, env: &W) -> Option<Action>
where
    A: Plain,
    F: Frame,
    W: FamilyMaps<A>,
{
    let link = &link(frame).ok()?;
    let source = A::source(frame, link).ok()?;
    let datagram = &A::datagram(frame, link).ok()?;
    let probe = classify(&datagram.transport(frame).ok()?)?;
    let flow = Flow { source, destination: datagram.destination, probe };
    if !is_question(&probe) || !source.is_unicast() || env.locality(flow.destination) == Locality::Foreign {
        return None;
    }
    let question = Question::of(&flow);
    env.ask(&question);
    let relation = env.relation(source);
    if relation == Relation::Exempt || env.is_watched(probe.protocol, probe.port) {
        return None;
    }
    let (settings, now_ns) = (env.settings(), env.now_ns());
    let key = source_key(source, relation, settings);
    let failures = if env.has_refused(&question) {
        env.suspect(key.address, pair(flow.destination, probe.port), now_ns)
    } else {
        if probe.kind == Kind::Udp {
            env.remember(flow.destination, probe.protocol, probe.port);
        }
        env.failures(key.address, now_ns)
    };
    if failures < settings.failed_connections() {
        return Some(Action::Pass);
    }
    env.count(Counter::OverFailures);
    if !settings.enforces_answers() || !settings.blocks(probe.protocol) || !is_enforced(env) {
        return Some(Action::Pass);
    }
    env.count(Counter::Probes);
    // Linux 6.1's verifier can't bound a computed number here.
    env.count(if probe.kind == Kind::Udp { Counter::Udp } else { Counter::Syn });
    if env.try_acquire(RateLimit::Fence, now_ns) {
        let mut event = event(frame, link, datagram, &flow, now_ns, env);
        event.hits = failures;
        event.prefix = key.prefix;
        event.verdict = Verdict::Fence as u8;
        fence(&event, &key, env);
        env.forget_failures(key.address);
    } else {
        env.count(Counter::OverFences);
    }
    env.count(Counter::DroppedProbes);
    Some(Action::Drop)
}
