//! Judges a source by its first contacts that fail: scans that avoid traps. See [`crate::scan`].
//!
//! Called for a packet that the other rules pass.

use super::{
    Action,
    enter::block,
    read::{Read, ordinary_syn, read},
    report::{event, tell_by},
    served::is_served,
    source_key::source_key,
    source_state::is_enforced,
};
use crate::{
    address::Address,
    block::{Block, Origin},
    classify::Kind,
    counter::Counter,
    decide,
    environment::{Entry, FamilyMaps, Locality, RateLimit, Relation},
    event::{Event, ScanEvent},
    flow::Flow,
    frame::{Bytes, Frame},
    learned::Question,
    parse::{IP, Link, Plain, link},
    scan::{
        Contact, Evidence, Outcome, Pair, Shape, Verdict, ZMAP,
        contacts::{Fate, Heard, Hearing, Judged},
        mark::Mark,
        suspect::period,
    },
    settings::Settings,
};

/// Judges the source of a SYN by its first contacts, in all required steps. Other packets pass.
#[inline(always)]
pub fn scan<A, F, W>(frame: &F, env: &W) -> Action
where
    A: Plain,
    F: Frame,
    W: FamilyMaps<A>,
{
    let Some(contact) = first_contact::<A, F, W>(frame, env) else { return Action::Pass };
    let judged = note_contact::<A, F, W>(frame, &contact, env);
    if is_told::<A, W>(&judged, env) { convict::<A, F, W>(frame, &judged, env) } else { Action::Pass }
}

/// Whether the daemon is told of a contact, or of the verdict on its source. Contacts have a rate limit.
#[inline(always)]
pub fn is_told<A: Address, W: FamilyMaps<A>>(judged: &Judged, env: &W) -> bool {
    judged.is_told() && (judged.verdict != Verdict::None || env.try_acquire(RateLimit::Contact, env.now_ns()))
}

/// Result of [`newcomer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newcomer {
    /// The packet is no ordinary SYN, or its port is watched: all rules decide.
    Undecided,
    /// The SYN passes, and makes no contact whose failure would show.
    Passes,
    /// The SYN passes, and makes this contact of a source that may be known: [`note_contact`] is next.
    Contact(Contact),
    /// The SYN passes, and the contact of its source, a new one, has been noted.
    Noted(Judged),
}

/// Does for an ordinary SYN to an unwatched port what the other rules and [`scan`] do, with each part of the packet read
/// once, if its source is new: a flood consists of these. Only where answers don't teach.
#[inline(always)]
pub fn newcomer<A, F, W>(frame: &F, env: &W) -> Newcomer
where
    A: Plain,
    F: Frame,
    W: FamilyMaps<A>,
{
    let Ok(link) = &link(frame) else { return Newcomer::Undecided };
    let Some((_, flow)) = ordinary_syn::<A, F>(frame, link) else { return Newcomer::Undecided };
    let Flow { source, probe, .. } = flow;
    if env.is_watched(probe.protocol, probe.port) {
        return Newcomer::Undecided;
    }
    let relation = env.relation(source);
    if !source.is_unicast() || relation == Relation::Exempt {
        return Newcomer::Passes;
    }
    let (settings, now) = (env.settings(), seconds(env.now_ns()));
    let key = source_key(source, relation, settings).address;
    let Some(sets) = env.expect(key) else { return Newcomer::Undecided };
    let Some((outcome, is_open)) = outcome(&flow, now, env) else { return Newcomer::Passes };
    let contact = contact_of(frame, link, &flow, (outcome, is_open), env);
    match contact.failure().and_then(|added| env.admit(sets, &contact, now, added)) {
        Some(judged) => {
            count_fate(&judged, env);
            Newcomer::Noted(judged)
        }
        None => Newcomer::Contact(contact),
    }
}

/// Returns the SYN in `frame`.
#[inline(always)]
fn syn<A: Plain, F: Frame>(frame: &F, link: &Link) -> Option<Read<A>> {
    let syn = ordinary_syn::<A, F>(frame, link);
    if syn.is_some() { syn } else { read::<A, F>(frame, link).ok()? }
}

/// Returns the first contact that a SYN of a free source makes, unless its failure wouldn't show.
#[inline(always)]
pub fn first_contact<A, F, W>(frame: &F, env: &W) -> Option<Contact>
where
    A: Plain,
    F: Frame,
    W: FamilyMaps<A>,
{
    let link = &link(frame).ok()?;
    let (_, flow) = syn::<A, F>(frame, link)?;
    if flow.probe.kind != Kind::Syn || !flow.source.is_unicast() {
        return None;
    }
    let outcome = outcome(&flow, seconds(env.now_ns()), env)?;
    Some(contact_of(frame, link, &flow, outcome, env))
}

/// Returns the contact that a SYN makes, given its outcome and whether an answer may still change it.
#[inline(always)]
fn contact_of<A: Plain, F: Frame, W: FamilyMaps<A>>(
    frame: &F,
    link: &Link,
    &Flow { destination, probe, .. }: &Flow<A>,
    (outcome, is_open): (Outcome, bool),
    env: &W,
) -> Contact {
    let Settings { scan_key, scan_begun, .. } = *env.settings();
    Contact {
        pair: Pair::with(destination, probe.port, [scan_key, scan_begun]),
        outcome,
        shape: shape::<A, F>(frame, link, destination),
        is_high: probe.port > 1023,
        is_open,
    }
}

/// Notes the contact that the SYN in `frame` makes.
#[inline(always)]
pub fn note_contact<A, F, W>(frame: &F, contact: &Contact, env: &W) -> Judged
where
    A: Plain,
    F: Frame,
    W: FamilyMaps<A>,
{
    let Ok(link) = link(frame) else { return Judged::NOTHING };
    let Ok(source) = A::source(frame, &link) else { return Judged::NOTHING };
    let relation = env.relation(source);
    if relation == Relation::Exempt {
        return Judged::NOTHING;
    }
    let (settings, now) = (env.settings(), seconds(env.now_ns()));
    let key = source_key(source, relation, settings);
    let judged = env.note(key.address, contact, now, settings.fences_scans());
    count_fate(&judged, env);
    if judged.added != 0
        && settings.learns()
        && let Some((_, flow)) = syn::<A, F>(frame, &link)
    {
        let mark = Mark { score: judged.added, period: period(now), is_open: contact.is_open };
        env.mark(&Question::of(&flow), mark.bits());
    }
    judged
}

#[inline(always)]
fn count_fate<A, W: FamilyMaps<A>>(judged: &Judged, env: &W) {
    match judged.fate {
        Fate::Nothing => {}
        Fate::Counted => env.count(Counter::FailedContacts),
        Fate::NoRoom => env.count(Counter::ScanNoRoom),
    }
}

/// Reports or fences the source of the SYN in `frame`, or tells the daemon of its contact, if [`is_told`] says so.
#[inline(always)]
pub fn convict<A, F, W>(frame: &F, judged: &Judged, env: &W) -> Action
where
    A: Plain,
    F: Frame,
    W: FamilyMaps<A>,
{
    let (settings, now_ns) = (env.settings(), env.now_ns());
    let is_contact = judged.verdict == Verdict::None;
    let Ok(link) = link(frame) else { return Action::Pass };
    let Some((datagram, flow)) = syn::<A, F>(frame, &link) else { return Action::Pass };
    let key = source_key(flow.source, env.relation(flow.source), settings);
    let mut event = event(frame, &link, &datagram, &flow, now_ns, env);
    event.hits = judged.evidence.failed.into();
    event.prefix = key.prefix;
    let evidence = judged.told_evidence();
    if is_contact {
        event.verdict = decide::Verdict::Noticed as u8;
        env.report_scan(&ScanEvent { event, evidence });
        return Action::Pass;
    }
    if judged.verdict == Verdict::Awaited {
        event.verdict = decide::Verdict::Counted as u8;
        tell(event, evidence, env);
        return Action::Pass;
    }
    if judged.verdict != Verdict::Fence || !settings.fences_scans() {
        env.count(Counter::ScanReports);
        event.verdict = decide::Verdict::Report as u8;
        tell(event, evidence, env);
        return Action::Pass;
    }
    // If no fence can be made now, the source's next failure tries again.
    if !is_enforced(env) {
        return Action::Pass;
    }
    if !env.try_acquire(RateLimit::Fence, now_ns) {
        env.count(Counter::OverFences);
        return Action::Pass;
    }
    event.verdict = decide::Verdict::Fence as u8;
    let (origin, form) = (Origin::Scan as u8, judged.evidence.form);
    let fence = Block { origin, form, ..block(&event, settings.fence_ns) };
    if env.fence(key.address, &fence) == Entry::Entered {
        env.count(Counter::Fenced);
        env.count(Counter::ScanFences);
        tell(event, evidence, env);
    }
    Action::Drop
}

/// Returns the outcome of a first contact as far as it shows now, and whether an answer may still change it. `None` if a
/// failure wouldn't show.
#[inline(always)]
fn outcome<A: Plain, W: FamilyMaps<A>>(flow: &Flow<A>, now: u32, env: &W) -> Option<(Outcome, bool)> {
    let learns = env.settings().learns();
    let locality = env.locality(flow.destination);
    let is_own = locality == Locality::Own;
    if locality == Locality::Foreign || !is_own && !learns {
        return None;
    }
    if is_own && is_served(flow, env) || learns && env.has_answered(&Question::of(flow), env.now_ns()) {
        return Some((Outcome::Served, false));
    }
    if !learns {
        return Some((Outcome::Refused, false));
    }
    let heard = Heard { address: flow.destination, port: if is_own { flow.probe.port } else { 0 } };
    let hearing = env.hear(&heard, now);
    let outcome = if is_own || hearing == Hearing::Alive { Outcome::Refused } else { Outcome::Silent };
    // An own port counts even if it has never answered. Without a socket it may be translated, so its answer is awaited.
    let is_heard = is_own || hearing != Hearing::Unheard;
    is_heard.then_some((outcome, hearing != Hearing::Silent))
}

/// Reports a verdict.
#[inline(always)]
fn tell<A, W: FamilyMaps<A>>(event: Event, evidence: Evidence, env: &W) {
    tell_by(event.time_ns, env, || env.report_scan(&ScanEvent { event, evidence }));
}

/// Returns a time in seconds.
#[inline(always)]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "it is enough for a century")]
pub const fn seconds(ns: u64) -> u32 {
    (ns / 1_000_000_000) as u32
}

/// Returns the shape of an ordinary SYN to `destination`. Others count as ordinary: options of the IP header, for
/// example, are no scanner's.
#[inline(always)]
fn shape<A: Plain, F: Frame>(frame: &F, link: &Link, destination: A) -> Shape {
    if F::IS_BARE || link.is_deep {
        return Shape::Ordinary;
    }
    shape_of(frame.fresh_bytes().skip(link.length - IP), destination).unwrap_or(Shape::Ordinary)
}

/// Returns the shape of a SYN, given from its IP header on. Scanners fill some fields with constants, or with values by
/// which they recognise the answer.
#[inline(always)]
fn shape_of<A: Plain, B: Bytes>(packet: B, destination: A) -> Option<Shape> {
    const SEQUENCE: usize = 4;
    const LENGTH: usize = 12;
    const WINDOW: usize = 14;
    const IDENTIFICATION: usize = IP + 4;
    if !A::begins(packet.read(0)?) || !A::is_tcp(A::carrier(packet)?) {
        return None;
    }
    let words = packet.read::<u8>(A::TRANSPORT + LENGTH)? >> 4;
    let window = packet.read::<u16>(A::TRANSPORT + WINDOW)?;
    let sequence = packet.read::<u32>(A::TRANSPORT + SEQUENCE)?;
    let [_, _, _, last] = destination.to_mapped().words();
    let is_zmap = A::VERSION == 4 && packet.read(IDENTIFICATION) == Some(ZMAP.to_be());
    let is_mirai = A::VERSION == 4 && sequence == last;
    Some(Shape::of(words, u16::from_be(window), is_zmap || is_mirai))
}
