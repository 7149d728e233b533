//! Log lines about probes and their sources.

use std::time::SystemTime;

use portsentry_common::{decide::Verdict, scan::group::View};

use super::{
    super::{
        Named, classic,
        event::{Action, Event, Field},
        revival,
    },
    ATTACK, Log, loss,
};
use crate::{
    config::{Fence, LogFormat},
    policy::{
        DistributedScan, Hold, Record, Scan, ScanKind, Sighting, name_of,
        register::{ADMINISTRATOR, Case, asked_because},
    },
};

/// Duration of a fence in seconds, and its end.
pub type Term = (u64, Option<SystemTime>);

impl Log {
    /// Logs a probe whose source reached the trigger.
    pub fn attack(&mut self, sighting: &Sighting, source: &Named<'_>) {
        let event = Event::new(Action::Probe).probe(sighting, source);
        if self.format == LogFormat::Revival {
            self.say(&event, &[revival::scan(sighting, source)]);
        } else {
            self.say(&event, &classic::attack(sighting, source).collect::<Vec<_>>());
        }
    }

    /// Logs a probe without consequences. In 1.2's format it is logged only with a higher verbosity, or if
    /// `ACK_PROBES` asks for it, but there is always an event.
    pub fn notice(&mut self, sighting: &Sighting, source: &Named<'_>) {
        let why = match sighting.verdict {
            Verdict::Ignored => "ignored source".to_owned(),
            Verdict::Counted => format!("hit {}, below SCAN_TRIGGER", sighting.hits),
            _ => "may belong to a closed connection".to_owned(),
        };
        let line = match self.format {
            LogFormat::Revival => revival::scan(sighting, source),
            _ => classic::notice(sighting, source, &why),
        };
        let event = Event::new(Action::Probe).probe(sighting, source).with(Field::EventReason, why);
        let is_asked_for = self.tells_notices || sighting.verdict == Verdict::Noticed;
        let lines = if is_asked_for { std::slice::from_ref(&line) } else { &[] };
        self.emit(&event, lines, Some(&line));
    }

    /// Logs a scan that avoids traps, whose source is only reported. The line is worded so that no filter for attacks
    /// matches it.
    pub fn scan(&mut self, sighting: &Sighting, scan: &Scan, source: &Named<'_>) {
        let event =
            Event::new(Action::Spare).probe(sighting, source).with(Field::EventReason, scan.to_string());
        let Sighting { destination, port, protocol, .. } = sighting;
        let (kind, protocol) = (scan.kind().name(), protocol.name());
        let remedy = if scan.is_peer {
            "a peer-to-peer program does the same, so it is never fenced for this"
        } else {
            self.scan_remedy
        };
        let network = with_network(sighting);
        self.admin(
            &event,
            &format!(
                "Noted only ({kind}): source {source}{network}, {scan}, the last at {protocol} port {port} of \
                 {destination}; {remedy}"
            ),
        );
    }

    /// Logs a distributed scan. No source is fenced for that.
    pub fn distributed_scan(&mut self, scan: &DistributedScan) {
        /// Number of members in the line.
        const FEW: usize = 4;
        let DistributedScan { network, view, port, sources, members, covered, addresses, .. } = scan;
        let kind = ScanKind::Distributed.name();
        let all: Vec<String> = members.iter().copied().map(name_of).collect();
        let few = all.iter().rev().take(FEW).cloned().collect::<Vec<_>>().join(", ");
        let of_what = match view {
            View::Hosts => "addresses",
            View::Subnets => "subnets, each at the same interface identifier,",
        };
        let what = format!("about {sources} sources have tried {covered} of {addresses} {of_what}");
        let event = Event::new(Action::Spare)
            .with(Field::Kind, kind)
            .with(Field::DestinationPort, *port)
            .with(Field::Transport, "tcp")
            .with(Field::ScanNetwork, network.to_string())
            .with(Field::ScanCovered, *covered)
            .with(Field::ScanSources, *sources)
            .with(Field::ScanMembers, all)
            .with(Field::EventReason, what.as_str());
        self.admin(
            &event,
            &format!("Noted only ({kind}): {what} of {network} at TCP port {port}, lately {few}; a group is never fenced"),
        );
    }

    /// Logs that the configuration only reports the source of `sighting`.
    pub fn left_alone(&mut self, sighting: &Sighting, source: &Named<'_>) {
        let name = sighting.protocol.name();
        let event = Event::new(Action::Spare).probe(sighting, source);
        let lines = [
            self.worded(ATTACK, &format!("Ignoring {name} response per configuration file setting.")),
            self.worded(
                "adminalert: ",
                &format!(
                    "Host {} would have been {} with BLOCK_{name}=\"1\"",
                    source.address,
                    self.prediction.of(sighting)
                ),
            ),
        ];
        self.say(&event, &lines);
    }

    /// Logs that the blocked map has no room for the source of `sighting`.
    pub fn full(&mut self, sighting: &Sighting, source: &Named<'_>) {
        let event = Event::new(Action::Full).probe(sighting, source);
        let source = source.address;
        self.admin(&event, &format!("ERROR: Could not block host {source}: MAX_BLOCKED reached"));
    }

    /// Logs the number of blocks lost because the maps are smaller than before.
    pub fn no_room(&mut self, count: usize) {
        let problem = format!(
            "{count} sources are no longer blocked: MAX_BLOCKED is lower than before; raise it, or unblock \
                sources"
        );
        self.problem(&Event::new(Action::Full).with(Field::Count, count), &problem);
    }

    /// Logs that the kernel has fenced the source of `sighting` for `seconds`.
    pub fn fenced(&mut self, sighting: &Sighting, source: &Named<'_>, (seconds, until): Term) {
        let event = Event::new(Action::Fence).probe(sighting, source).until(until);
        let (source, network) = (source.address, with_network(sighting));
        let effect = match self.fence {
            Fence::Drop => "new connections are dropped; established ones continue",
            Fence::Open => "every port looks open to it; its connections continue",
        };
        let evidence =
            sighting.scan.map_or_else(String::new, |scan| format!(" ({}: {scan})", scan.kind().name()));
        self.attack_line(
            &event,
            &format!(
                "Host {source} has been fenced for {seconds} seconds (proof: none): {effect}{network}{evidence}"
            ),
        );
    }

    /// Logs that the kernel has blocked the source of `sighting`.
    pub fn blocked(&mut self, sighting: &Sighting, source: &Named<'_>, until: Option<SystemTime>) {
        let event = Event::new(Action::Block).probe(sighting, source).until(until);
        let (source, proof) = (source.address, sighting.proof.description());
        let network = with_network(sighting);
        let line = format!("Host {source} has been blocked in the kernel (proof: {proof}){network}");
        self.attack_line(&event, &line);
    }

    /// Logs an administrator's block of a network.
    pub fn ordered(&mut self, case: &Case) {
        let Case { record, reason, .. } = case;
        let event = Self::held(case).with(Field::EventReason, reason.as_str());
        let why = match case.given() {
            Some(reason) if asked_because(reason).is_some() => reason.to_owned(),
            Some(reason) => format!("{ADMINISTRATOR}: \"{reason}\""),
            None => reason.clone(),
        };
        self.admin(&event, &format!("Host {} is blocked: {why}", record.name()));
    }

    /// Logs that another gateway blocks a network.
    pub fn of_peer(&mut self, case: &Case) {
        let Case { record, reason, .. } = case;
        let state = if record.hold.is_fence { "fenced" } else { "blocked" };
        let event = Self::held(case).with(Field::EventReason, reason.as_str());
        self.admin(&event, &format!("Host {} is {state}: {reason}", record.name()));
    }

    /// Logs that a source is blocked again, for longer than before.
    pub fn reoffended(&mut self, record: &Record, times: u32) {
        let Record { network, hold } = record;
        let term = hold.until.and_then(|until| until.duration_since(hold.since).ok()).unwrap_or_default();
        let source = network.addr();
        self.note(&format!("Host {source} reoffended (block {times}): blocked for {} s", term.as_secs()));
    }

    /// Returns the event of a block or fence without its probe.
    fn held(case: &Case) -> Event {
        let Record { network, hold } = &case.record;
        Event::new(hold_action(hold)).about_network(*network).id(case.id).hold(hold)
    }

    /// Emits the event of a source that the kernel blocked or fenced without reporting its probe. The log has no
    /// line for it.
    pub fn found(&mut self, case: &Case) {
        // There may be a million of these sources.
        if !self.has_events() {
            return;
        }
        let Case { record, reason, .. } = case;
        let hold = &record.hold;
        let event = Self::held(case).with(Field::EventReason, reason.as_str());
        let what = if hold.is_fence { "fenced" } else { "blocked" };
        self.tell(
            &event,
            &format!(
                "Host {} has been {what} in the kernel (proof: {})",
                record.name(),
                hold.proof.description()
            ),
        );
    }

    /// Logs that a network is no longer blocked or fenced.
    pub fn lifted(&mut self, case: &Case) {
        let Case { record, reason: why, .. } = case;
        let event = Event::new(Action::Lift).about_network(record.network).id(case.id);
        let event = event.with(Field::EventReason, why.as_str());
        let held = if record.hold.is_fence { "fenced" } else { "blocked" };
        self.admin(&event, &format!("Host {} is no longer {held}: {why}", record.name()));
    }

    /// Logs the number of fences that the kernel's map evicted.
    pub fn surplus(&mut self, count: usize) {
        let why = "MAX_FENCED reached";
        let event = Event::new(Action::Lift).with(Field::Count, count).with(Field::EventReason, why);
        self.admin(&event, &format!("{count} fences evicted: {why}"));
    }

    /// Logs that `count` probes were not logged because writing the files took too long.
    pub fn behind(&mut self, count: u64) {
        let text = format!("{count} probes not logged: the log was behind; blocking was not affected");
        self.admin(&loss(count, "probes: the log was behind"), &text);
    }

    /// Logs that `count` probes were not reported because of `EVENT_RATE`.
    pub fn over_rate(&mut self, count: u64) {
        self.untold(count, "EVENT_RATE exceeded");
    }

    /// Logs that `count` probes were not reported because the ring was full.
    pub fn ring_full(&mut self, count: u64) {
        self.untold(count, "the ring was full: raise RING_SIZE");
    }

    fn untold(&mut self, count: u64, why: &str) {
        let text = format!("{count} probes not logged: {why}; blocking was not affected");
        self.admin(&loss(count, &format!("probes: {why}")), &text);
    }

    /// Logs that the sources of `count` datagrams to traps were not fenced.
    pub fn unfenced(&mut self, count: u64) {
        let why = "FENCE_RATE exceeded";
        let text = format!("{count} datagrams not logged, and their sources not fenced: {why}");
        self.admin(&loss(count, &format!("datagrams: {why}")), &text);
    }
}

/// Returns the text that names the source's IPv6 network.
fn with_network(sighting: &Sighting) -> String {
    if sighting.prefix == 0 { String::new() } else { format!(", with all of {}", sighting.record().name()) }
}

const fn hold_action(hold: &Hold) -> Action {
    if hold.is_fence { Action::Fence } else { Action::Block }
}
