//! Events for programs: named fields, written as JSON or to the journal.

mod field;
mod json;

use std::time::SystemTime;

use ipnet::IpNet;
use jiff::Timestamp;
use nix::net::if_::if_indextoname;
use portsentry_common::{
    classify::{Kind, Protocol},
    decide::Verdict,
    parse::TcpFlags,
};
use serde_json::Value;

pub use self::field::{FIELDS, Field, Form};
use self::json::Member;
use super::{Named, origins::Origin};
use crate::config::Level;
use crate::policy::{BlockId, Hold, Sighting, is_host};

/// Version of the schema in `docs/events.md`. It increases when a field changes its meaning or is removed; new fields
/// don't increase it.
pub const SCHEMA: u32 = 1;
/// Version of the Elastic Common Schema that defines the names.
const ECS: &str = "8.17.0";

/// Defines [`Action`] and [`ACTIONS`].
macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $name:ident => $word:literal, $kind:literal, $category:literal, $types:expr;)+) => {
        /// The action of an event (`event.action`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action {
            $($(#[doc = $doc])+ $name,)+
        }

        /// Every action: its word, its ECS kind, category and types, its meaning.
        pub const ACTIONS: &[(Action, &str, &str, &str, &[&str], &str)] =
            &[$((Action::$name, $word, $kind, $category, $types, concat!($($doc),+)),)+];

        impl Action {
            const fn row(self) -> (&'static str, &'static str, &'static str, &'static [&'static str]) {
                match self {
                    $(Self::$name => ($word, $kind, $category, $types),)+
                }
            }
        }
    };
}

actions! {
    /// A probe was reported, even if its source is ignored or below the trigger (`portsentry.verdict`).
    Probe => "probe", "alert", "network", &["connection", "info"];
    /// A source is blocked: all its packets are dropped.
    Block => "block", "alert", "intrusion_detection", &["denied"];
    /// A source is fenced: new connections are dropped, established ones continue.
    Fence => "fence", "alert", "intrusion_detection", &["denied"];
    /// A source is no longer blocked or fenced; `portsentry.count` sources if there are too many to name.
    Lift => "lift", "event", "intrusion_detection", &["allowed"];
    /// A source reached the trigger, and the configuration only reports it.
    Spare => "spare", "alert", "intrusion_detection", &["info"];
    /// A source could not be blocked: the map is full.
    Full => "full", "alert", "intrusion_detection", &["error"];
    /// A source was added to `hosts.deny`.
    Deny => "deny", "event", "configuration", &["change"];
    /// A command ended, or could not be run.
    Command => "command", "event", "process", &["end"];
    /// Events or log lines were suppressed or lost: `portsentry.count` of them, for the reason in `event.reason`.
    Loss => "loss", "event", "network", &["info"];
    /// The daemon starts.
    Start => "start", "event", "process", &["start"];
    /// The daemon watches all ports from now on.
    Active => "active", "event", "process", &["info"];
    /// The configuration was reloaded, or the processes that share the maps have changed.
    Reload => "reload", "event", "configuration", &["change"];
    /// The daemon stops.
    Stop => "stop", "event", "process", &["end"];
    /// Any other information for an administrator.
    Note => "note", "event", "process", &["info"];
    /// A problem that an administrator must look at.
    Error => "error", "event", "process", &["error"];
}

impl Action {
    /// Returns the action's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.row().0
    }

    const fn level(self) -> Level {
        match self {
            Self::Error | Self::Full => Level::Err,
            Self::Probe | Self::Block | Self::Fence | Self::Spare | Self::Loss => Level::Warning,
            Self::Lift | Self::Deny | Self::Command | Self::Start | Self::Reload | Self::Stop => {
                Level::Notice
            }
            Self::Active | Self::Note => Level::Info,
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    action: Action,
    level: Level,
    time: SystemTime,
    fields: Vec<(Field, Value)>,
}

impl Event {
    /// Creates an event with the current time.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self { action, level: action.level(), time: SystemTime::now(), fields: Vec::new() }
    }

    /// Returns its level. An administrator must look at errors.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Sets another level than the action's.
    #[must_use]
    pub const fn at_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, field: Field, value: impl Into<Value>) -> Self {
        self.fields.push((field, value.into()));
        self
    }

    /// Adds the source that the event is about.
    #[must_use]
    pub fn about(self, source: impl Into<std::net::IpAddr>) -> Self {
        let source = source.into();
        let family = if source.is_ipv4() { "ipv4" } else { "ipv6" };
        self.with(Field::SourceIp, source.to_string()).with(Field::NetworkType, family)
    }

    /// Returns the source that the event is about.
    pub(super) fn source(&self) -> Option<std::net::IpAddr> {
        let (_, value) = self.fields.iter().find(|(field, _)| *field == Field::SourceIp)?;
        value.as_str()?.parse().ok()
    }

    /// Adds the origin of its source.
    pub(super) fn of_origin(mut self, origin: Origin) -> Self {
        let Origin { country, asn, organization } = origin;
        self.fields.extend(country.map(|country| (Field::Country, country.into())));
        self.fields.extend(asn.map(|asn| (Field::Asn, asn.into())));
        self.fields.extend(organization.map(|name| (Field::AsOrganization, name.into())));
        self
    }

    /// Adds the network that is blocked, fenced or released: the host's address, or the network and its first
    /// address.
    #[must_use]
    pub fn about_network(self, network: IpNet) -> Self {
        let event = self.about(network.addr());
        if is_host(network) { event } else { event.with(Field::Network, network.to_string()) }
    }

    /// Adds the id of a block or fence.
    #[must_use]
    pub fn id(self, id: Option<BlockId>) -> Self {
        match id {
            Some(id) => self.with(Field::BlockId, String::from(id)),
            None => self,
        }
    }

    /// Adds all known fields of a probe. The event's time is that of the probe.
    #[must_use]
    pub fn probe(mut self, sighting: &Sighting, source: &Named<'_>) -> Self {
        self.time = sighting.time;
        let mut event = self
            .about(sighting.source)
            .with(Field::SourcePort, sighting.source_port)
            .with(Field::DestinationIp, sighting.destination.to_string())
            .with(Field::DestinationPort, sighting.port)
            .with(Field::Transport, transport(sighting.protocol))
            .with(Field::Kind, sighting.kind_name())
            .with(Field::Hits, sighting.hits)
            .with(Field::Verdict, verdict(sighting.verdict))
            .with(Field::Proof, sighting.proof.name())
            .id(source.id);
        if let Some(name) = source.name {
            event = event.with(Field::SourceDomain, name);
        }
        // A connection to a trap has no control bits of its own.
        if sighting.protocol == Protocol::Tcp && sighting.kind != Kind::Connect {
            event = event.with(Field::Flags, flags(sighting.flags));
        }
        if let Some(scan) = sighting.scan {
            event = event
                .with(Field::ScanPairs, scan.pairs)
                .with(Field::ScanSpan, scan.span)
                .with(Field::ScanScore, scan.score.number());
        }
        if let Some(options) = sighting.options {
            event = event.with(Field::Options, options);
        }
        if sighting.interface != 0 {
            event = event.with(Field::InterfaceId, sighting.interface.to_string());
            if let Ok(name) = if_indextoname(sighting.interface) {
                event = event.with(Field::InterfaceName, name.to_string_lossy());
            }
        }
        if sighting.vlan != 0 {
            event = event.with(Field::VlanId, sighting.vlan.to_string());
        }
        event
    }

    /// Adds the fields of a block or fence whose probe is unknown. The event's time is that of the block or fence.
    #[must_use]
    pub fn hold(mut self, hold: &Hold) -> Self {
        self.time = hold.since;
        let event = self.with(Field::Proof, hold.proof.name()).until(hold.until);
        // An administrator's block has no port.
        if hold.port == 0 {
            return event;
        }
        event.with(Field::DestinationPort, hold.port).with(Field::Transport, transport(hold.protocol))
    }

    /// Adds the end of a block or fence, unless it is permanent.
    #[must_use]
    pub fn until(self, until: Option<SystemTime>) -> Self {
        match until {
            Some(until) => self.with(Field::Until, stamp(until)),
            None => self,
        }
    }

    /// Returns the action.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// Returns the value of a field.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&Value> {
        self.fields.iter().find(|(found, _)| *found == field).map(|(_, value)| value)
    }

    /// Returns the event as one line of JSON; `message` is its log line, `sequence` its number.
    #[must_use]
    pub fn json(&self, message: &str, sequence: Option<u64>) -> String {
        let (word, kind, category, types) = self.action.row();
        let (time, level) = (stamp(self.time), level_name(self.level));
        let mut members = vec![
            (Field::Timestamp, Member::Text(&time)),
            (Field::Message, Member::Text(message)),
            (Field::Level, Member::Text(&level)),
            (Field::Ecs, Member::Text(ECS)),
            (Field::EventKind, Member::Text(kind)),
            (Field::EventAction, Member::Text(word)),
            (Field::EventCategory, Member::Texts(std::slice::from_ref(&category))),
            (Field::EventType, Member::Texts(types)),
            (Field::EventModule, Member::Text("portsentry")),
            (Field::ObserverVersion, Member::Text(env!("CARGO_PKG_VERSION"))),
            (Field::Schema, Member::Number(SCHEMA.into())),
        ];
        members.extend(sequence.map(|sequence| (Field::Sequence, Member::Number(sequence))));
        members.extend(self.fields.iter().map(|(field, value)| (*field, Member::Value(value))));
        json::line(members)
    }

    /// Returns the event's fields under their names in the journal.
    pub fn journal(&self) -> impl Iterator<Item = (&'static str, String)> {
        let own = [(Field::EventAction, self.action.word().into()), (Field::Schema, SCHEMA.into())];
        own.into_iter().chain(self.fields.iter().cloned()).filter_map(|(field, value)| {
            let text = match value {
                Value::String(text) => text,
                Value::Array(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
                other => other.to_string(),
            };
            Some((field.journal()?, text))
        })
    }
}

fn stamp(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}

/// Returns a level's name in events.
fn level_name(level: Level) -> String {
    if level == Level::Err { "error".into() } else { level.to_string() }
}

const fn transport(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

/// Returns a verdict's name, which is part of the formats of events and evidence.
pub(super) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Counted => "counted",
        Verdict::Block => "block",
        Verdict::Report => "report",
        Verdict::Noticed => "noticed",
        Verdict::Ignored => "ignored",
        Verdict::Full => "full",
        Verdict::Fence => "fence",
    }
}

/// Returns the names of the TCP control bits (RFC 9293 section 3.1) that are set, lowest first.
fn flags(bits: u8) -> Vec<&'static str> {
    let names = [
        (TcpFlags::FIN, "FIN"),
        (TcpFlags::SYN, "SYN"),
        (TcpFlags::RST, "RST"),
        (TcpFlags::PSH, "PSH"),
        (TcpFlags::ACK, "ACK"),
        (TcpFlags::URG, "URG"),
        (0x40, "ECE"),
        (0x80, "CWR"),
    ];
    names.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests;
