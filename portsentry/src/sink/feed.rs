//! The latest events, numbered, for clients that follow them. The feed keeps a bounded number, whether or not anybody
//! reads, so that no reader delays the daemon: a reader that falls behind loses the oldest, and learns how many.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use super::event::{Action, Event, Field};
use crate::{
    inspect::select::{is_of, overlap},
    notation,
};

/// Maximum number of events kept.
const EVENTS: usize = 4096;
/// Maximum length of all lines kept, in bytes.
const BYTES: usize = 4 << 20;

/// A selection of events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Only this action: `probe`, `block`, `fence`, `lift` and so on.
    pub action: Option<String>,
    /// Only events about sources in this network.
    #[serde(with = "notation::option")]
    pub network: Option<IpNet>,
    /// Only probes whose kind contains this text, in any case.
    pub kind: Option<String>,
    /// Only probes to this port.
    pub port: Option<u16>,
}

/// The feed. Clones share it.
#[derive(Clone, Debug)]
pub struct Feed {
    recent: Arc<Mutex<Recent>>,
    /// The number of the next event; sent to those who wait for one.
    next: Arc<watch::Sender<u64>>,
}

/// The events kept.
#[derive(Debug)]
struct Recent {
    /// The number of the first event of this process.
    first: u64,
    /// The number of the next event.
    next: u64,
    events: VecDeque<Arc<Numbered>>,
    bytes: usize,
}

/// An event with its number.
#[derive(Debug)]
pub struct Numbered {
    sequence: u64,
    action: &'static str,
    network: Option<IpNet>,
    kind: Option<String>,
    port: Option<u64>,
    line: Arc<str>,
}

/// A part of the feed.
#[derive(Debug, Default)]
pub struct Batch {
    /// Number of events that are no longer kept, or `None` if they are of an earlier process.
    pub lost: Option<u64>,
    /// The selected events as lines of JSON.
    pub lines: Vec<String>,
    /// The number behind the last event that was looked at.
    pub next: u64,
}

impl Default for Feed {
    fn default() -> Self {
        // Higher than all numbers of earlier processes, which had less than an event a microsecond.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(u64::try_from(since.as_micros()).unwrap_or(u64::MAX / 2))
    }
}

impl Feed {
    fn starting_at(first: u64) -> Self {
        let recent = Recent { first, next: first, events: VecDeque::new(), bytes: 0 };
        Self { recent: Arc::new(Mutex::new(recent)), next: Arc::new(watch::Sender::new(first)) }
    }

    /// Adds an event whose log line is `message`. Returns its line of JSON.
    #[allow(clippy::must_use_candidate, reason = "it is called for its effect")]
    pub fn publish(&self, event: &Event, message: &str) -> Arc<str> {
        let mut recent = self.recent();
        let sequence = recent.next;
        recent.next += 1;
        let numbered = Numbered::new(sequence, event, message);
        let line = Arc::clone(&numbered.line);
        recent.bytes += line.len();
        recent.events.push_back(Arc::new(numbered));
        while recent.events.len() > EVENTS || recent.bytes > BYTES {
            let Some(oldest) = recent.events.pop_front() else { break };
            recent.bytes -= oldest.line.len();
        }
        drop(recent);
        self.next.send_replace(sequence + 1);
        line
    }

    /// Returns the number of the next event.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.recent().next
    }

    /// Returns the number from which on the last `count` selected events are kept.
    #[must_use]
    pub fn last(&self, filter: &Filter, count: usize) -> u64 {
        let recent = self.recent();
        let selected = recent.events.iter().rev().filter(|event| event.is_selected(filter));
        selected.take(count).last().map_or(recent.next, |event| event.sequence)
    }

    /// Returns at most `most` selected events from number `from` on.
    #[must_use]
    pub fn read(&self, from: u64, filter: &Filter, most: usize) -> Batch {
        let recent = self.recent();
        let oldest = recent.events.front().map_or(recent.next, |event| event.sequence);
        // Numbers of an earlier process are higher only if the clock was set back.
        let is_ours = (recent.first..=recent.next).contains(&from);
        let from = if is_ours { from } else { recent.first };
        let lost = is_ours.then(|| oldest.saturating_sub(from));
        let skipped = usize::try_from(from.saturating_sub(oldest)).unwrap_or(usize::MAX);
        let events: Vec<_> = recent.events.iter().skip(skipped).take(most).cloned().collect();
        drop(recent);
        let next = events.last().map_or(from.max(oldest), |event| event.sequence + 1);
        let selected = events.iter().filter(|event| event.is_selected(filter));
        Batch { lost, lines: selected.map(|event| event.line.to_string()).collect(), next }
    }

    /// Returns a receiver that is notified of each event.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.next.subscribe()
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        // Every change is complete, so the state after a panic is consistent.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Numbered {
    fn new(sequence: u64, event: &Event, message: &str) -> Self {
        let text = |field| event.get(field).and_then(Value::as_str);
        let network = text(Field::Network).or_else(|| text(Field::SourceIp)).and_then(notation::read);
        Self {
            sequence,
            action: event.action().word(),
            network,
            kind: text(Field::Kind).map(str::to_owned),
            port: event.get(Field::DestinationPort).and_then(Value::as_u64),
            line: event.json(message, Some(sequence)).into(),
        }
    }

    fn is_selected(&self, filter: &Filter) -> bool {
        filter.action.as_ref().is_none_or(|action| action == self.action)
            && filter.kind.as_ref().is_none_or(|kind| is_of(self.kind.as_deref(), kind))
            && filter.port.is_none_or(|port| self.port == Some(port.into()))
            && filter.network.is_none_or(|network| self.network.is_some_and(|own| overlap(own, network)))
    }
}

/// Returns the line that reports lost events to a reader: their number, or `None` if it is unknown.
#[must_use]
pub fn loss(count: Option<u64>) -> String {
    let event = Event::new(Action::Loss);
    let Some(count) = count else {
        let reason = "the daemon keeps no events from before its start";
        let event = event.with(Field::EventReason, reason);
        return event.json(&format!("Events may be missing here: {reason}"), None);
    };
    let reason = "the reader was too slow, or asked for events that are no longer kept";
    let event = event.with(Field::Count, count).with(Field::EventReason, reason);
    event.json(&format!("{count} events are missing here: {reason}"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(last: u8, port: u16) -> Event {
        Event::new(Action::Probe)
            .about(std::net::IpAddr::from([192, 0, 2, last]))
            .with(Field::DestinationPort, port)
            .with(Field::Kind, "syn")
    }

    /// Returns the numbers of events, counted from 0.
    fn numbers(batch: &Batch) -> Vec<u64> {
        let number = |line: &String| {
            let value: Value = serde_json::from_str(line).unwrap();
            value["event"]["sequence"].as_u64().unwrap() - 100
        };
        batch.lines.iter().map(number).collect()
    }

    #[test]
    fn events_are_selected() {
        let feed = Feed::starting_at(100);
        for (last, port) in [(1, 22), (2, 23), (1, 23)] {
            feed.publish(&probe(last, port), "a probe");
        }
        feed.publish(&Event::new(Action::Note), "a note");
        let all = Filter::default;
        let network = |text: &str| Filter { network: notation::read(text), ..all() };
        for (filter, expected) in [
            (all(), &[0, 1, 2, 3][..]),
            (Filter { action: Some("note".into()), ..all() }, &[3]),
            (Filter { kind: Some("SY".into()), ..all() }, &[0, 1, 2]),
            (Filter { port: Some(23), ..all() }, &[1, 2]),
            (network("192.0.2.1"), &[0, 2]),
            (network("192.0.2.0/24"), &[0, 1, 2]),
            (network("2001:db8::/32"), &[]),
        ] {
            assert_eq!(numbers(&feed.read(100, &filter, 9)), expected, "{filter:?}");
        }
        assert_eq!((feed.last(&all(), 2), feed.last(&network("192.0.2.2"), 2)), (102, 101));
        assert_eq!((feed.last(&all(), 0), feed.next()), (104, 104));
    }

    #[test]
    fn a_slow_reader_learns_how_many_it_has_lost() {
        let feed = Feed::starting_at(100);
        for _ in 0..EVENTS + 7 {
            feed.publish(&probe(1, 22), "a probe");
        }
        let batch = feed.read(102, &Filter::default(), 3);
        assert_eq!((batch.lost, numbers(&batch), batch.next), (Some(5), vec![7, 8, 9], 110));
        let batch = feed.read(batch.next, &Filter::default(), 3);
        assert_eq!((batch.lost, batch.next), (Some(0), 113));
        for earlier in [99, 1 << 40] {
            let batch = feed.read(earlier, &Filter::default(), 1);
            assert_eq!((batch.lost, numbers(&batch)), (None, vec![7]), "an earlier process");
        }
        let none = feed.read(feed.next(), &Filter::default(), 3);
        assert_eq!((none.lost, none.lines.len(), none.next), (Some(0), 0, feed.next()));
    }

    #[test]
    fn the_feed_is_bounded_in_bytes() {
        let feed = Feed::starting_at(100);
        let long = "x".repeat(1 << 20);
        for _ in 0..9 {
            feed.publish(&Event::new(Action::Note), &long);
        }
        let recent = feed.recent();
        assert!(recent.bytes <= BYTES && recent.events.len() == 3, "{}", recent.events.len());
    }

    #[test]
    fn numbers_grow_over_restarts() {
        let before = Feed::default();
        before.publish(&Event::new(Action::Stop), "it ends");
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(Feed::default().next() >= before.next());
    }
}
