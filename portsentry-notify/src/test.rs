//! `--test`: sends a test message to each channel, at once and whatever the hour.

use jiff::Timestamp;
use portsentry::exit::Exit;
use serde_json::json;

use crate::{
    channel::{Client, Outcome},
    config::Config,
    event::Event,
    message::Message,
    run::open,
};

/// Tests one channel, or all if `name` is empty.
pub fn run(config: &Config, name: &str) -> Exit {
    let now = Timestamp::now();
    let event = Event::of(json!({
        "@timestamp": format!("{now:.3}"),
        "event": {"action": "note", "kind": "event", "module": "portsentry"},
        "log": {"level": "info"},
        "message": "This is a test of portsentry's notifications",
    }));
    let key = format!("test-{}", now.as_millisecond());
    let message = Message { key, host: config.host.clone(), events: vec![event], lost: 0, is_digest: false };
    let client = Client::new();
    let mut exit = Exit::Success;
    let mut is_found = false;
    for settings in config.channels.iter().filter(|settings| name.is_empty() || settings.name == name) {
        is_found = true;
        let outcome = match open(settings, &config.host, &config.redact, &client) {
            Ok((mut channel, _)) => channel.test(&message),
            Err(problem) => Outcome::Refused(problem),
        };
        match outcome {
            Outcome::Sent | Outcome::SentThenRest(_) => println!("{}: OK", settings.name),
            Outcome::Refused(problem) | Outcome::Later(problem, _) => {
                println!("{}: {problem}", settings.name);
                exit = Exit::Failure;
            }
        }
    }
    if !is_found {
        eprintln!("portsentry-notify: there is no such channel: {name:?}");
        return Exit::Failure;
    }
    exit
}
