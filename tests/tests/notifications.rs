//! `portsentry-notify`: a real scan's events reach a real server, once each, while both sides are killed in between.

use std::{collections::BTreeMap, net::IpAddr};

use portsentry_tests::lab::{Family, Lab, Portsentry, Receiver, Reply};
use serde_json::Value;

fn setup(lab: &Lab) -> Portsentry<'_> {
    lab.portsentry("-stcp").with_notifier()
}

fn webhook(receiver: &Receiver) -> String {
    format!("[hook]\nCHANNEL=\"webhook\"\nURL=\"{}/in\"\nEVENTS=\"block fence\"\n", receiver.url())
}

/// Returns the events that a receiver which knows keys has: of several messages with the same key it keeps the first one.
fn events(receiver: &Receiver) -> Vec<Value> {
    let mut messages = BTreeMap::new();
    for (number, request) in receiver.received().iter().enumerate() {
        let key = request.header("idempotency-key").to_owned();
        assert!(!key.is_empty(), "{request:?}");
        messages.entry(key).or_insert((number, request.json()));
    }
    let mut messages: Vec<_> = messages.into_values().collect();
    messages.sort_by_key(|(number, _)| *number);
    messages.iter().flat_map(|(_, body)| body["events"].as_array().expect("events").clone()).collect()
}

fn blocked(receiver: &Receiver) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let blocks = events(receiver).into_iter().filter(|event| event["event"]["action"] == "block");
    blocks.map(|event| text(&event["source"]["ip"])).collect()
}

fn texts(sources: &[IpAddr]) -> Vec<String> {
    sources.iter().map(ToString::to_string).collect()
}

#[test]
fn a_webhook_gets_each_block_once_while_both_sides_are_killed() {
    let lab = Lab::new();
    let setup = setup(&lab);
    // Every third message is received, and not answered: it is sent again.
    let script = |_: &_, number| if number % 3 == 1 { Reply::Nothing } else { Reply::status(204) };
    let receiver = Receiver::start(&lab.host, script);
    setup.write_notify(&webhook(&receiver));
    let mut daemon = setup.start();
    let mut notifier = setup.start_notifier();
    let mut sources = Vec::new();
    daemon.wait_until("it follows", || {
        daemon.setup().say_words(&["block", "203.0.113.7"]);
        daemon.setup().say_words(&["unblock", "203.0.113.7"]);
        !events(&receiver).is_empty()
    });
    for round in 0..4 {
        sources.push(daemon.block_source(Family::V4));
        match round {
            // The notifier, at any moment.
            0 => {
                drop(notifier);
                sources.push(daemon.block_source(Family::V4));
                notifier = setup.start_notifier();
            }
            // The daemon, and a block while the notifier waits for it.
            1 => {
                daemon.kill();
                daemon = setup.start();
            }
            // Both: what the daemon keeps in its memory is lost, and is in the history.
            2 => {
                drop(notifier);
                sources.push(daemon.block_source(Family::V4));
                daemon.kill();
                daemon = setup.start();
                notifier = setup.start_notifier();
            }
            _ => {}
        }
    }
    daemon
        .wait_until("all blocks arrive", || texts(&sources).iter().all(|it| blocked(&receiver).contains(it)));
    let mut arrived = blocked(&receiver);
    arrived.retain(|source| !source.starts_with("203."));
    let mut expected = texts(&sources);
    arrived.sort_unstable();
    expected.sort_unstable();
    assert_eq!(arrived, expected, "each once; the notifier said:\n{}", notifier.log.lines().join("\n"));
    let mut ids: Vec<Value> = events(&receiver).iter().map(|event| event["event"]["id"].clone()).collect();
    let count = ids.len();
    ids.sort_by_key(ToString::to_string);
    ids.dedup();
    assert_eq!(ids.len(), count, "no event is in two messages");
}
