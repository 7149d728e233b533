//! Templates of webhook bodies and headers: `$NAME$` stands for a value, as in the commands of `portsentry.conf`.

use serde_json::{Value, json};

use crate::message::{Message, one_line};

/// Every name, and its meaning.
pub const NAMES: [(&str, &str); 15] = [
    ("KEY", "identifies the message: another attempt has the same"),
    ("HOST", "this host's name"),
    ("SUBJECT", "the message in one line"),
    ("TEXT", "the message"),
    ("LEVEL", "the most severe level: `error`, `warning`, `notice` or `info`"),
    ("PRIORITY", "the same as a number: 5, 4, 3 or 2"),
    ("COUNT", "number of events"),
    ("LOST", "number of earlier events that could not be sent"),
    ("EVENTS", "the events as a list in JSON, as [events](events.md) describes them; never in a string"),
    ("ACTION", "the first event's action"),
    ("SOURCE", "the first event's source or network"),
    ("PORT", "the first event's port"),
    ("KIND", "the first event's kind of probe"),
    ("COUNTRY", "the country of the first event's source"),
    ("TIME", "the first event's time"),
];

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// As they are, without line ends.
    Line,
    /// As they are.
    Plain,
    /// As parts of a string in JSON.
    Json,
    /// As parts of a string in JSON, with `&`, `<` and `>` as Slack wants them.
    Slack,
}

/// Returns the names in a template that aren't in [`NAMES`].
#[must_use]
pub fn unknown(template: &str) -> Vec<&str> {
    let names = template.split('$').skip(1).step_by(2);
    names.filter(|name| is_name(name) && !NAMES.iter().any(|(known, _)| known == name)).collect()
}

/// Whether it has the form of a name.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Replaces the names. `most` is the maximum length of a text in characters.
#[must_use]
pub fn fill(template: &str, message: &Message, escape: Escape, most: usize) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('$') {
        filled.push_str(before);
        match behind.split_once('$') {
            Some((name, after)) if NAMES.iter().any(|(known, _)| *known == name) => {
                filled.push_str(&value(name, message, escape, most));
                rest = after;
            }
            _ => {
                filled.push('$');
                rest = behind;
            }
        }
    }
    filled + rest
}

fn value(name: &str, message: &Message, escape: Escape, most: usize) -> String {
    let first = |pointer: &str| {
        message.events.first().map(|event| event.text(pointer).to_owned()).unwrap_or_default()
    };
    let text = match name {
        "EVENTS" => return events(message),
        "KEY" => message.key.clone(),
        "HOST" => message.host.clone(),
        "SUBJECT" => message.subject(),
        "TEXT" => message.text().trim_end().to_owned(),
        "LEVEL" => message.level().into(),
        "PRIORITY" => match message.level() {
            "error" => "5",
            "warning" => "4",
            "notice" => "3",
            _ => "2",
        }
        .into(),
        "COUNT" => message.events.len().to_string(),
        "LOST" => message.lost.to_string(),
        "ACTION" => first("/event/action"),
        "SOURCE" => message.events.first().map(|event| event.subject().to_owned()).unwrap_or_default(),
        "PORT" => {
            let port = message.events.first().and_then(|event| event.number("/destination/port"));
            port.map(|port| port.to_string()).unwrap_or_default()
        }
        "KIND" => first("/portsentry/kind"),
        "COUNTRY" => first("/source/geo/country_iso_code"),
        _ => first("/@timestamp"),
    };
    escaped(&shortened(&text, most), escape)
}

/// Returns the events as JSON, each with the id that identifies it.
fn events(message: &Message) -> String {
    let events = message.events.iter().map(|event| {
        let mut value = event.value().clone();
        value["event"]["id"] = event.id().into();
        value
    });
    Value::Array(events.collect()).to_string()
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.into(),
        Some(_) => text.chars().take(most.saturating_sub(2)).chain(" …".chars()).collect(),
    }
}

fn escaped(text: &str, escape: Escape) -> String {
    match escape {
        Escape::Plain => text.into(),
        Escape::Line => one_line(text),
        Escape::Json => {
            let quoted = json!(text).to_string();
            quoted[1..quoted.len() - 1].into()
        }
        Escape::Slack => {
            let safe = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            escaped(&safe, Escape::Json)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{event::Event, message::tests::message};

    #[test]
    fn names_are_replaced() {
        let one = message(9..10);
        let filled = |template: &str| fill(template, &one, Escape::Plain, 100);
        assert_eq!(filled("$ACTION$ $SOURCE$:$PORT$ $KIND$ $COUNTRY$"), "block 192.0.2.9:23 syn DE");
        assert_eq!(filled("$COUNT$ $LOST$ $LEVEL$ $PRIORITY$ $KEY$"), "1 0 warning 4 test-1");
        assert_eq!(filled("$5 $NOPE$ $ $$HOST$"), "$5 $NOPE$ $ $web1");
        assert_eq!(unknown("$TEXT$ $NOPE$ $5 x$"), ["NOPE"]);
        assert_eq!(fill("$TEXT$", &one, Escape::Plain, 8), "2026-1 …");
        let events: Value = serde_json::from_str(&filled("$EVENTS$")).unwrap();
        assert_eq!(
            (&events[0]["event"]["id"], &events[0]["source"]["ip"]),
            (&json!("9"), &json!("192.0.2.9"))
        );
    }

    proptest! {
        #[test]
        fn no_event_leaves_its_string(text in ".{0,60}", most in 0..80_usize) {
            let mut one = message(9..10);
            let mut event = one.events[0].value().clone();
            event["message"] = text.as_str().into();
            one.events = vec![Event::of(event)];
            for escape in [Escape::Json, Escape::Slack] {
                let filled = fill(r#"{"text":"$TEXT$","subject":"$SUBJECT$"}"#, &one, escape, most);
                let read: Value = serde_json::from_str(&filled).unwrap();
                prop_assert_eq!(read.as_object().unwrap().len(), 2);
            }
            prop_assert!(!fill("$SUBJECT$", &one, Escape::Line, most).contains(['\r', '\n']));
        }
    }
}
