//! An event of the daemon, as `docs/events.md` describes it.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::Value;

/// Levels, most severe first.
pub const LEVELS: [&str; 4] = ["error", "warning", "notice", "info"];

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event(Value);

impl Event {
    /// Reads a line of JSON. Returns `None` if it is no event.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let event = Self(serde_json::from_str(line).ok()?);
        (!event.action().is_empty()).then_some(event)
    }

    /// Takes a value that has an action.
    #[must_use]
    pub const fn of(value: Value) -> Self {
        Self(value)
    }

    /// Returns all fields.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.0
    }

    /// Returns the text at `pointer` (RFC 6901), or an empty one.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the number at `pointer`.
    #[must_use]
    pub fn number(&self, pointer: &str) -> Option<u64> {
        self.0.pointer(pointer).and_then(Value::as_u64)
    }

    /// Returns the action: `block`, `probe` and so on.
    #[must_use]
    pub fn action(&self) -> &str {
        self.text("/event/action")
    }

    /// Returns the number that the daemon gave it.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.number("/event/sequence")
    }

    /// Returns its time.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.text("/@timestamp").parse().ok()
    }

    /// Returns the level's place in [`LEVELS`].
    #[must_use]
    pub fn level(&self) -> usize {
        let level = self.text("/log/level");
        LEVELS.iter().position(|known| *known == level).unwrap_or(LEVELS.len() - 1)
    }

    /// Returns the source.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        self.text("/source/ip").parse().ok()
    }

    /// Returns the network that it is about, or the source.
    #[must_use]
    pub fn network(&self) -> Option<IpNet> {
        let network = self.text("/portsentry/network").parse().ok();
        network.or_else(|| self.source().map(IpNet::from))
    }

    /// Returns what people call the event's subject: the network, or the source, or nothing.
    #[must_use]
    pub fn subject(&self) -> &str {
        let network = self.text("/portsentry/network");
        if network.is_empty() { self.text("/source/ip") } else { network }
    }

    /// Returns the id that receivers can recognise it by: its number. Without a number, as recovered events are, it is the
    /// block's id and the action; without a block, as reports of a loss are, it is the subject, the time in milliseconds
    /// and the action.
    #[must_use]
    pub fn id(&self) -> String {
        match (self.sequence(), self.text("/portsentry/id")) {
            (Some(sequence), _) => sequence.to_string(),
            (None, "") => {
                let time = self.time().map(|time| time.as_millisecond().to_string());
                let parts =
                    [self.subject().replace(['/', ':'], "-"), time.unwrap_or_default(), self.action().into()];
                parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
            }
            (None, id) => format!("{id}-{}", self.action()),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// Returns an event about a source.
    pub fn event(action: &str, source: &str, sequence: u64) -> Event {
        Event::of(json!({
            "@timestamp": "2026-11-23T09:30:12.345Z",
            "event": {"action": action, "sequence": sequence},
            "log": {"level": if action == "block" { "warning" } else { "info" }},
            "message": format!("Host {source}: {action}"),
            "source": {"ip": source, "geo": {"country_iso_code": "DE"}},
            "destination": {"ip": "198.51.100.1", "port": 23},
            "network": {"transport": "tcp"},
            "portsentry": {"id": "1k1cdaz8rr0", "kind": "syn", "proof": "cookie"},
        }))
    }

    #[test]
    fn fields_are_read() {
        let event = event("block", "192.0.2.9", 7);
        assert_eq!((event.action(), event.sequence(), event.level()), ("block", Some(7), 1));
        assert_eq!(event.network(), "192.0.2.9/32".parse().ok());
        assert_eq!(event.id(), "7");
        assert_eq!(Event::read(&event.value().to_string()), Some(event));
        for line in ["", "{}", "[]", r#"{"event":{}}"#] {
            assert_eq!(Event::read(line), None, "{line}");
        }
    }
}
