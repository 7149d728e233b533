//! The id of a block or fence: the same in all outputs, from its start to its end.

use std::{collections::BTreeSet, fs, net::IpAddr};

use portsentry_tests::lab::{Family, Lab, Portsentry};
use serde_json::Value;

/// Starts a daemon that writes events, and whose commands record the id.
fn recording(lab: &Lab) -> Portsentry<'_> {
    let script = lab.recorder().display().to_string();
    lab.portsentry("-stcp")
        .with("KILL_RUN_CMD", &format!("{script} held $TARGET$ $ID$ $PROOF$"))
        .with("KILL_RUN_CMD_LIFT", &format!("{script} gone $TARGET$ $ID$"))
        .with("JSON_LOG", &lab.files().join("events").display().to_string())
}

/// Returns the ids of `source` in `listed`. Skips entries without an id.
fn ids(listed: &Value, source: IpAddr) -> BTreeSet<String> {
    let entries = listed.as_array().expect("a list").iter();
    let of_source = entries.filter(|entry| entry["address"] == source.to_string());
    of_source.filter_map(|entry| entry["id"].as_str().map(str::to_owned)).collect()
}

/// Returns the id of `source` in the list.
fn listed(setup: &Portsentry<'_>, source: IpAddr) -> Option<String> {
    ids(&setup.say("list --json").json(), source).pop_first()
}

/// Returns the ids in the JSON lines of a file that mention `source`.
fn written(
    text: &str,
    pick: impl Fn(&Value) -> Option<(String, String)>,
    source: IpAddr,
) -> BTreeSet<(String, String)> {
    let lines = text.lines().filter(|line| line.contains(&format!("\"{source}\"")));
    lines.filter_map(|line| pick(&serde_json::from_str(line).expect("JSON"))).collect()
}

#[test]
fn one_id_stands_for_a_source_from_its_fence_to_its_release() {
    let lab = Lab::new();
    let setup = recording(&lab).with("BLOCK_UNPROVEN", "0");
    let daemon = setup.start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    let fence = || listed(&setup, source);
    daemon.wait_until("the fence has an id", || fence().is_some());
    let id = fence().expect("an id");
    assert_eq!(id.len(), 11, "{id}");
    let held = |proof: &str| format!("held {source} {id} {proof}");
    daemon.wait_until("the command gets it", || lab.recorded().contains(&held("none")));

    // An administrator turns it into a block, and another daemon replaces the killed one.
    assert_eq!(setup.say(&format!("block {source} --reason guest")).code, 0);
    daemon.wait_until("the command gets it again", || lab.recorded().contains(&held("administrator")));
    daemon.kill();
    assert_eq!(listed(&setup, source).as_ref(), Some(&id), "without a daemon");
    let daemon = setup.start();
    assert_eq!(listed(&setup, source).as_ref(), Some(&id), "with the next daemon");
    let why = setup.say(&format!("why {source}")).out;
    assert!(why.contains(&format!("\nid        {id}\n")), "{why}");

    assert_eq!(setup.say(&format!("unblock {source}")).code, 0);
    let gone = format!("gone {source} {id}");
    daemon.wait_until("the command for its release gets it", || lab.recorded().contains(&gone));
    assert_eq!(listed(&setup, source), None);
    let history = setup.say(&format!("history --address {source} --json")).json();
    assert_eq!(history.as_array().map(Vec::len), Some(3), "fenced, blocked, lifted: {history}");
    assert!(history.as_array().expect("lines").iter().all(|line| line["id"] == id), "{history}");

    // A later block has a later id.
    assert_eq!(setup.say(&format!("block {source}")).code, 0);
    let again = listed(&setup, source).expect("an id");
    assert!(again > id, "{again} after {id}");
    daemon.terminate();

    let events = fs::read_to_string(lab.files().join("events")).expect("events");
    let event = |event: &Value| {
        let action = event["event"]["action"].as_str().expect("an action").to_owned();
        Some((action, event["portsentry"]["id"].as_str()?.to_owned()))
    };
    let seen = written(&events, event, source);
    for action in ["probe", "fence", "block", "lift", "command"] {
        assert!(seen.contains(&(action.to_owned(), id.clone())), "{action}: {seen:?}");
    }
    assert!(seen.contains(&("block".to_owned(), again.clone())), "{seen:?}");
    let evidence = fs::read_to_string(setup.path("EVIDENCE_FILE")).expect("evidence");
    let done = |done: &Value| Some((done["action"].as_str()?.to_owned(), done["id"].as_str()?.to_owned()));
    let expected = [("fenced", &id), ("blocked", &id), ("lifted", &id), ("blocked", &again)];
    let expected = expected.map(|(action, id)| (action.to_owned(), id.clone()));
    assert_eq!(written(&evidence, done, source), expected.into());
}

#[test]
fn a_release_and_a_block_without_a_daemon_change_the_id() {
    let lab = Lab::new();
    let setup = recording(&lab);
    let daemon = setup.start();
    let source = lab.source(Family::V6);
    assert_eq!(setup.say(&format!("block {source}")).code, 0);
    let id = listed(&setup, source).expect("an id");
    daemon.kill();
    assert_eq!(setup.say(&format!("unblock {source}")).code, 0);
    assert!(lab.recorded().contains(&format!("gone {source} {id}")), "{:?}", lab.recorded());
    assert_eq!(setup.say(&format!("block {source}")).code, 0);
    let daemon = setup.start();
    daemon.wait_until("it has another id", || listed(&setup, source).is_some_and(|again| again > id));
}
