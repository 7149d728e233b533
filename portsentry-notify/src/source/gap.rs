//! Recovers events from the daemon's history: blocks, fences and releases whose events were lost, because the daemon that kept
//! them has ended.

use std::{collections::BTreeSet, path::Path, time::SystemTime};

use jiff::{SignedDuration, Timestamp};
use portsentry::{
    control::{Request, client},
    inspect::{
        past::{Entry, Past},
        select::Wanted,
    },
    instant::Time,
};
use serde_json::{Map, Value, json};

use crate::event::Event;

/// The history's times are in whole seconds, and an event's line may be written after it.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

/// What identifies a block, fence or release in events and in the history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    action: String,
    /// The id, or without one the network and the second.
    id: String,
}

impl Key {
    /// Returns the key of an event, unless it is of another action.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let action = event.action();
        if !["block", "fence", "lift"].contains(&action) || event.subject().is_empty() {
            return None;
        }
        let id = match event.text("/portsentry/id") {
            "" => format!("{} {}", event.subject(), event.time()?.as_second()),
            id => id.into(),
        };
        Some(Self { action: action.into(), id })
    }
}

/// The time of the lost events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
}

impl Gap {
    /// Returns the events of the history in the gap, except the known ones.
    pub(super) fn events(self, socket: &Path, known: &BTreeSet<Key>) -> Result<Vec<Event>, String> {
        let since = self.since.checked_sub(SLACK).unwrap_or(Timestamp::MIN);
        let wanted = Wanted { since: Some(Time(since.into())), ..Wanted::default() };
        let answer = client::ask(socket, &Request::History(wanted)).ok_or("no daemon answers")?;
        let answer = answer.map_err(|refusal| refusal.to_string())?;
        let past: Past = serde_json::from_value(answer).map_err(|error| error.to_string())?;
        let until = SystemTime::from(self.until);
        let entries = past.entries.into_iter().filter(|entry| entry.time.0 <= until);
        let mut known = known.clone();
        let mut events: Vec<Event> = Vec::new();
        for event in entries.filter_map(|entry| event(&entry)) {
            if Key::of(&event).is_some_and(|key| known.insert(key)) {
                events.push(event);
            }
        }
        if past.is_cut {
            events.insert(0, Event::of(cut()));
        }
        Ok(events)
    }
}

/// Returns the history's entry as an event, unless it is of another action.
fn event(entry: &Entry) -> Option<Event> {
    let written = serde_json::to_value(entry.action).ok()?;
    let (action, level, words) = match written.as_str()? {
        "blocked" => ("block", "warning", "has been blocked"),
        "fenced" => ("fence", "warning", "has been fenced"),
        "lifted" => ("lift", "notice", "is no longer blocked or fenced"),
        _ => return None,
    };
    let host = entry.address.prefix_len() == entry.address.max_prefix_len();
    let name = if host { entry.address.addr().to_string() } else { entry.address.to_string() };
    let mut event = json!({
        "@timestamp": Timestamp::try_from(entry.time.0).ok()?.to_string(),
        "event": {"action": action, "module": "portsentry"},
        "log": {"level": level},
        "message": format!("Host {name} {words} (from the history)"),
        "source": {"ip": entry.address.addr().to_string()},
    });
    let mut own = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            own.insert(name.into(), value);
        }
    };
    put("id", entry.id.map(|id| String::from(id).into()));
    put("kind", entry.kind.as_ref().map(|kind| kind.as_str().into()));
    put("proof", entry.proof.as_ref().map(|proof| proof.as_ref().into()));
    put("network", (!host).then(|| name.clone().into()));
    event["portsentry"] = own.into();
    if let Some(port) = entry.port {
        event["destination"] = json!({"port": port});
    }
    if let Some(protocol) = &entry.protocol {
        event["network"] = json!({"transport": protocol.to_lowercase()});
    }
    if let Some(reason) = &entry.reason {
        event["event"]["reason"] = reason.as_str().into();
    }
    Some(Event::of(event))
}

fn cut() -> Value {
    json!({
        "@timestamp": Timestamp::now().to_string(),
        "event": {"action": "loss", "module": "portsentry"},
        "log": {"level": "warning"},
        "message": "Events are missing here: the history of that time is too long to be read at once",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(action: &str, id: Option<&str>) -> Entry {
        serde_json::from_value(json!({
            "time": "2026-11-23T09:30:12Z", "address": "192.0.2.9", "name": null, "port": 11, "protocol": "TCP",
            "kind": "syn", "proof": "none", "action": action, "id": id, "reason": null
        }))
        .unwrap()
    }

    #[test]
    fn entries_become_events_with_the_same_key() {
        let id = "1k1cdaz8rr0";
        for (written, action) in [("blocked", "block"), ("fenced", "fence"), ("lifted", "lift")] {
            let recovered = event(&entry(written, Some(id))).unwrap();
            let own = crate::event::tests::event(action, "192.0.2.9", 7);
            assert_eq!(Key::of(&recovered), Key::of(&own));
            assert_eq!((recovered.action(), recovered.number("/destination/port")), (action, Some(11)));
            assert_eq!(recovered.id(), format!("{id}-{action}"));
        }
        assert_eq!(event(&entry("reported", None)), None);
    }

    #[test]
    fn without_an_id_the_network_and_the_second_identify_it() {
        let recovered = event(&entry("blocked", None)).unwrap();
        let mut own = crate::event::tests::event("block", "192.0.2.9", 7).value().clone();
        own["portsentry"] = json!({});
        assert_eq!(Key::of(&recovered), Key::of(&Event::of(own)));
    }
}
