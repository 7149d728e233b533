use std::time::Duration;

use portsentry_common::block::Proof;
use proptest::prelude::*;

use super::*;
use crate::policy::sample_sighting;

const DOCUMENT: &str = include_str!("../../../../docs/events.md");

fn parsed(event: &Event, message: &str) -> Value {
    let line = event.json(message, None);
    assert!(!line.contains('\n'), "{line}");
    serde_json::from_str(&line).unwrap()
}

#[test]
fn a_probe_has_the_names_of_ecs() {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_389_179_999);
    let sighting = Sighting { time, vlan: 7, flags: 0x42, interface: 0, ..sample_sighting() };
    let source = Named { address: sighting.source, name: Some("scanner.example"), id: None };
    let event = Event::new(Action::Probe).probe(&sighting, &source);
    let expected = serde_json::json!({
        "@timestamp": "2026-11-22T23:12:59.999Z",
        "message": "words",
        "log": { "level": "warning" },
        "ecs": { "version": ECS },
        "event": {
            "kind": "alert", "action": "probe", "category": ["network"], "type": ["connection", "info"],
            "module": "portsentry",
        },
        "observer": { "version": env!("CARGO_PKG_VERSION"), "ingress": { "vlan": { "id": "7" } } },
        "source": { "ip": "192.0.2.9", "port": 40_000, "domain": "scanner.example" },
        "destination": { "ip": "198.51.100.1", "port": 11 },
        "network": { "transport": "tcp", "type": "ipv4" },
        "portsentry": {
            "schema": 1, "kind": "syn", "flags": ["SYN", "ECE"], "options": false, "hits": 1,
            "verdict": "block", "proof": "none",
        },
    });
    assert_eq!(parsed(&event, "words"), expected);
}

#[test]
fn a_block_tells_until_when_it_lasts_and_the_journal_has_its_fields() {
    let since = SystemTime::UNIX_EPOCH;
    let until = Some(since + Duration::from_mins(5));
    let hold = Hold { since, until, port: 69, protocol: Protocol::Udp, proof: Proof::None, is_fence: true };
    let source = std::net::IpAddr::from([192, 0, 2, 9]);
    let event = Event::new(Action::Fence).about(source).hold(&hold);
    let fields: Vec<_> = event.journal().collect();
    for (name, value) in [
        ("PORTSENTRY_EVENT", "fence"),
        ("PORTSENTRY_SCHEMA", "1"),
        ("PORTSENTRY_SOURCE", "192.0.2.9"),
        ("PORTSENTRY_PORT", "69"),
        ("PORTSENTRY_PROTOCOL", "udp"),
        ("PORTSENTRY_PROOF", "none"),
        ("PORTSENTRY_UNTIL", "1970-01-01T00:05:00.000Z"),
    ] {
        assert!(fields.contains(&(name, value.to_owned())), "{name}: {fields:?}");
    }
    let bare = Hold { until: None, port: 0, ..hold };
    let value = parsed(&Event::new(Action::Block).about(source).hold(&bare), "");
    assert!(value["portsentry"]["until"].is_null() && value["destination"].is_null(), "{value}");
}

/// Returns the cells of the document's table rows that begin with a name in backquotes.
fn rows() -> Vec<Vec<&'static str>> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn the_document_has_every_field_and_action_and_no_other() {
    let code = |name: &str| if name.is_empty() { String::new() } else { format!("`{name}`") };
    let fields = FIELDS.iter().map(|(_, name, journal, form, meaning)| {
        vec![code(name), form.to_string(), code(journal), meaning.trim().to_owned()]
    });
    let actions = ACTIONS.iter().map(|(_, word, kind, category, types, meaning)| {
        let types = types.iter().map(|it| code(it)).collect::<Vec<_>>().join(", ");
        vec![code(word), code(kind), code(category), types, meaning.trim().to_owned()]
    });
    let expected: Vec<Vec<String>> = actions.chain(fields).collect();
    let table = expected.iter().map(|row| format!("| {} |", row.join(" | "))).collect::<Vec<_>>().join("\n");
    assert_eq!(rows(), expected, "docs/events.md should have these rows:\n{table}");
    assert!(DOCUMENT.contains(&format!("schema {SCHEMA},")) && DOCUMENT.contains(&format!("ECS {ECS}")));
}

#[test]
fn no_name_is_the_beginning_of_another() {
    for (_, name, journal, _, _) in FIELDS {
        assert!(FIELDS.iter().all(|(_, other, ..)| !other.starts_with(&format!("{name}."))), "{name}");
        // journald's rule for names (JOURNAL_NATIVE_PROTOCOL in systemd).
        assert!(
            journal.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'),
            "{journal}"
        );
    }
}

/// Returns the object that nests `members` by the dots in their names.
fn nested(members: &[(Field, Value)]) -> Value {
    let mut object = Value::Object(serde_json::Map::new());
    for (field, value) in members {
        let pointer = field.name().split('.').fold(&mut object, |object, name| &mut object[name]);
        *pointer = value.clone();
    }
    object
}

proptest! {
    #[test]
    fn lines_are_nested_objects_with_sorted_members(
        members in prop::collection::vec((prop::sample::select(FIELDS), any::<u32>()), 0..30)
    ) {
        let members: Vec<(Field, Value)> =
            members.into_iter().map(|((field, ..), value)| (field, Value::from(value))).collect();
        let line = json::line(members.iter().map(|(field, value)| (*field, Member::Value(value))).collect());
        prop_assert_eq!(line, nested(&members).to_string());
    }

    #[test]
    fn whatever_is_said_stays_on_one_line(text in "(?s).{0,100}") {
        let event = Event::new(Action::Note).with(Field::EventReason, text.as_str());
        let value = parsed(&event, &text);
        prop_assert_eq!(value["message"].as_str(), Some(text.as_str()));
        prop_assert_eq!(value["event"]["reason"].as_str(), Some(text.as_str()));
    }
}
