//! A message: events for one channel, in words. The same events always make the same message, so that another attempt to send it
//! can be recognised.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use crate::{event::Event, spool::Entry};

/// Number of events that are listed one by one. More are summarised.
const LISTED: usize = 30;
/// Number of lines of a part of a summary.
const TOP: usize = 10;

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Identifies the message to its receiver.
    pub key: String,
    /// This host's name.
    pub host: String,
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// Number of events before it that were lost.
    pub lost: u64,
    /// Whether it is a daily digest.
    pub is_digest: bool,
}

impl Message {
    /// Creates a message of `entries` for `channel`.
    #[must_use]
    pub fn new(channel: &str, host: &str, entries: &[Arc<Entry>], lost: u64, is_digest: bool) -> Self {
        let events: Vec<Event> = entries.iter().map(|entry| entry.event.clone()).collect();
        let id = |event: Option<&Event>| event.map(Event::id).unwrap_or_default();
        let [first, end] = [events.first(), events.last()].map(id);
        let key =
            if first == end { format!("{channel}-{first}") } else { format!("{channel}-{first}-{end}") };
        Self { key, host: host.into(), events, lost, is_digest }
    }

    /// Returns the sources, each once.
    #[must_use]
    pub fn sources(&self) -> Vec<String> {
        let mut sources: Vec<String> = self.events.iter().map(|event| event.subject().to_owned()).collect();
        sources.sort_unstable();
        sources.dedup();
        sources.retain(|source| !source.is_empty());
        sources
    }

    /// Returns the most severe level's name.
    #[must_use]
    pub fn level(&self) -> &'static str {
        let level = self.events.iter().map(Event::level).min().unwrap_or_default();
        crate::event::LEVELS[level]
    }

    /// Returns the subject, in one line.
    #[must_use]
    pub fn subject(&self) -> String {
        let host = &self.host;
        match &self.events[..] {
            _ if self.is_digest => format!("[portsentry] {host}: daily digest, {} events", self.events.len()),
            [only] => format!("[portsentry] {host}: {}", words(only)),
            events => format!("[portsentry] {host}: {} events", events.len()),
        }
    }

    /// Returns the text: the events one by one, or their summary.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if self.is_digest || self.events.len() > LISTED {
            self.summarize(&mut text);
        } else {
            for event in &self.events {
                let time = event.time().map(|time| format!("{time:.0} ")).unwrap_or_default();
                // Writing to a string never fails.
                let _ = writeln!(text, "{time}{}", words(event));
            }
        }
        if self.lost > 0 {
            let _ = writeln!(text, "{} earlier events could not be sent.", self.lost);
        }
        text
    }

    fn summarize(&self, text: &mut String) {
        let time = |event: Option<&Event>| event.and_then(Event::time).map(|time| format!("{time:.0}"));
        let [since, until] =
            [self.events.first(), self.events.last()].map(|event| time(event).unwrap_or_default());
        let _ = writeln!(text, "{} events from {since} to {until}", self.events.len());
        for (title, pointer) in [
            ("Events", "/event/action"),
            ("Kinds of probes", "/portsentry/kind"),
            ("Countries", "/source/geo/country_iso_code"),
        ] {
            top(text, title, self.events.iter().map(|event| event.text(pointer).to_owned()));
        }
        top(text, "Sources", self.events.iter().map(|event| event.subject().to_owned()));
        let ports = self.events.iter().filter_map(|event| {
            let port = event.number("/destination/port")?;
            Some(format!("{port}/{}", event.text("/network/transport")))
        });
        top(text, "Ports", ports);
    }
}

/// Returns the event's log line, in one line and without the prefix for log watchers.
fn words(event: &Event) -> String {
    let message = event.text("/message");
    let message = ["attackalert: ", "adminalert: "].iter().find_map(|prefix| message.strip_prefix(prefix));
    let message = message.unwrap_or_else(|| event.text("/message"));
    one_line(message)
}

/// Returns a text with spaces in place of line ends and other control characters.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// Writes the most frequent values, and the number of others.
fn top(text: &mut String, title: &str, values: impl Iterator<Item = String>) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for value in values.filter(|value| !value.is_empty()) {
        *counts.entry(value).or_default() += 1;
    }
    if counts.is_empty() {
        return;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|(one, first), (other, second)| second.cmp(first).then_with(|| one.cmp(other)));
    let _ = writeln!(text, "\n{title}:");
    for (value, count) in counts.iter().take(TOP) {
        let _ = writeln!(text, "{count:>8}  {value}");
    }
    if counts.len() > TOP {
        let _ = writeln!(text, "          and {} more", counts.len() - TOP);
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::tests::event;

    /// Returns a message of one block for each of these last bytes of an address.
    pub fn message(last: std::ops::Range<u64>) -> Message {
        let events: Vec<Event> = last.map(|last| event("block", &format!("192.0.2.{last}"), last)).collect();
        Message { key: "test-1".into(), host: "web1".into(), events, lost: 0, is_digest: false }
    }

    /// Returns an event as the spool's first entry.
    fn entry(event: Event) -> Arc<Entry> {
        let directory = tempfile::tempdir().unwrap();
        let spool = crate::spool::Spool::open(directory.path(), 1 << 20).unwrap();
        spool.add(&mut [event].into()).unwrap();
        spool.events().remove(0)
    }

    #[test]
    fn one_event_is_its_own_subject() {
        let one = message(9..10);
        assert_eq!(one.subject(), "[portsentry] web1: Host 192.0.2.9: block");
        assert_eq!(one.text(), "2026-11-23T09:30:12Z Host 192.0.2.9: block\n");
        assert_eq!((one.level(), one.sources()), ("warning", vec!["192.0.2.9".to_owned()]));
    }

    #[test]
    fn many_events_are_summarised() {
        let mut many = message(100..150);
        many.lost = 3;
        assert_eq!(many.subject(), "[portsentry] web1: 50 events");
        let text = many.text();
        for part in [
            "50 events from 2026-11-23T09:30:12Z to 2026-11-23T09:30:12Z\n",
            "\nEvents:\n      50  block\n",
            "\nSources:\n       1  192.0.2.100\n",
            "          and 40 more\n",
            "\nPorts:\n      50  23/tcp\n",
            "\n3 earlier events could not be sent.\n",
        ] {
            assert!(format!("\n{text}").contains(part), "{part:?} in {text}");
        }
    }

    #[test]
    fn events_without_number_and_block_have_keys_of_their_own() {
        let key = |action: &str, network: &str, time: &str| {
            let event = Event::of(json!({
                "@timestamp": format!("2026-11-23T09:30:{time}Z"),
                "event": {"action": action},
                "portsentry": {"network": network},
            }));
            Message::new("it", "web1", &[entry(event)], 0, false).key
        };
        assert_eq!(key("loss", "", "12.345"), "it-1795426212345-loss");
        assert_eq!(key("loss", "", "12.346"), "it-1795426212346-loss");
        assert_eq!(key("lift", "2001:db8::/64", "12"), "it-2001-db8---64-1795426212000-lift");
    }

    #[test]
    fn no_line_end_of_an_event_begins_a_line() {
        let mut value = event("note", "192.0.2.9", 1).value().clone();
        value["message"] = "attackalert: a\r\nBcc: b".into();
        let message = Message { events: vec![Event::of(value)], ..message(0..0) };
        assert_eq!(message.subject(), "[portsentry] web1: a  Bcc: b");
    }
}
