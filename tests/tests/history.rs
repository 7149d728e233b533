//! One history: administrators' actions with their reasons, releases, fences and blocks, over the files that
//! logrotate(8) leaves.

use std::{fs, process::Command, time::Duration};

use portsentry_tests::lab::{Family, Lab, Portsentry, wait_within};
use serde_json::Value;

/// Rotates the history as the package's configuration does, but compresses at once.
fn rotate(setup: &Portsentry<'_>, config: &str) {
    let lab = setup.lab();
    let path = lab.files().join("logrotate.conf");
    let text = format!("{} {{\n{config}\n}}\n", setup.setting("HISTORY_FILE"));
    fs::write(&path, text).expect("a configuration");
    let mut command = Command::new("logrotate");
    command.args(["--force", "--state"]).arg(lab.files().join("logrotate.state")).arg(&path);
    let ended = command.output().expect("logrotate of the Debian package logrotate");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

fn words((action, reason): (&str, &str)) -> (String, String) {
    (action.to_owned(), reason.to_owned())
}

/// The entries about `address`: action and reason.
fn entries(setup: &Portsentry<'_>, address: &str) -> Vec<(String, String)> {
    let entries = setup.say(&format!("history --json --address {address}")).json();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let entries = entries.as_array().expect("a list").iter();
    entries.map(|entry| (text(&entry["action"]), text(&entry["reason"]))).collect()
}

#[test]
fn deeds_and_reasons_are_one_history_over_rotated_files() {
    const COMMON: &str = "rotate 9\nmissingok\ncreate 0640";
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let say = |words: &[&str]| assert_eq!(setup.say_words(words).code, 0, "{words:?}");
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    let address = source.to_string();
    rotate(&setup, &format!("{COMMON}\ncompress"));
    say(&["unblock", &address, "--reason", "a \"customer\""]);
    rotate(&setup, &format!("{COMMON}\ncompress\ndelaycompress"));
    say(&["block", &address, "--reason", "came again"]);
    rotate(&setup, COMMON);
    say(&["unblock", &address]);
    let names = fs::read_dir(lab.files()).expect("a directory");
    let names: Vec<String> =
        names.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned()).collect();
    for rotated in ["history.1", "history.2", "history.2.gz"] {
        assert!(names.iter().any(|name| name.ends_with(rotated)), "{rotated}: {names:?}");
    }
    let expected = [
        ("blocked", "-"),
        ("lifted", "an administrator asked for it: a \"customer\""),
        ("blocked", "came again"),
        ("lifted", "an administrator asked for it"),
    ];
    let expected = expected.map(words);
    assert_eq!(entries(&setup, &address), expected);
    assert_eq!(setup.say("history --limit 3").out.lines().count(), 4);
    let why = setup.say(&format!("why --json {address}")).json();
    assert_eq!(why["history"].as_array().map(Vec::len), Some(4), "{why}");
    assert_eq!(why["released"]["cause"], "administrator", "{why}");
}

#[test]
fn why_says_when_by_whom_and_why_a_source_was_released() {
    let lab = Lab::new();
    let setup =
        lab.portsentry("-stcp").with("EVIDENCE_FILE", &lab.files().join("evidence").display().to_string());
    let daemon = setup.start();
    let released = |address: &str| {
        let line = setup.say(&format!("why {address} --utc")).out;
        let line = line.lines().find(|line| line.starts_with("released ")).unwrap_or_default().to_owned();
        line.split_once("(UTC), ").map_or(line.clone(), |(_, words)| words.to_owned())
    };
    assert_eq!(setup.say("block 198.51.100.1").code, 0);
    assert_eq!(released("198.51.100.1"), "", "it is blocked");
    assert_eq!(setup.say_by("alice", "unblock 198.51.100.1 --reason a-guest").code, 0);
    assert_eq!(released("198.51.100.1"), "by an administrator: alice asked for it: a-guest");
    assert_eq!(
        entries(&setup, "198.51.100.1"),
        [("blocked", "-"), ("lifted", "alice asked for it: a-guest")].map(words)
    );
    // The end of a block that expires is an entry, too.
    assert_eq!(setup.say("block 198.51.100.2 --for 1s").code, 0);
    daemon.wait_until("it has expired", || released("198.51.100.2") == "as it had expired");
    daemon.wait_until("the history has it", || {
        entries(&setup, "198.51.100.2") == [("blocked", "-"), ("lifted", "its time is over")].map(words)
    });
    // A line that an editor removes.
    assert_eq!(setup.say("block 198.51.100.3").code, 0);
    fs::write(setup.path("BLOCKED_FILE"), "").expect("an edited file");
    daemon.wait_until("it is released", || {
        released("198.51.100.3") == "by an administrator: its line was removed from the blocked file"
    });
    // An address that is exempt from now on.
    assert_eq!(setup.say("block 198.51.100.4").code, 0);
    fs::write(setup.path("IGNORE_FILE"), "198.51.100.4\n").expect("an ignore file");
    daemon.wait_until("it is released", || {
        released("198.51.100.4") == "by PortSentry: its address is never blocked"
    });
    assert_eq!(entries(&setup, "198.51.100.4").last().map(|(action, _)| action.as_str()), Some("lifted"));
    // Without a daemon.
    assert_eq!(setup.say("block 198.51.100.5").code, 0);
    assert_eq!(setup.say("block 198.51.100.6 --for 3s").code, 0);
    let expiring =
        setup.entry("list --json", "198.51.100.6".parse().expect("an address")).expect("it is listed");
    daemon.terminate();
    assert_eq!(setup.say_by("bob", "unblock 198.51.100.5").code, 0);
    assert_eq!(released("198.51.100.5"), "by an administrator: bob asked for it");
    // A block that has expired meanwhile is released by the next daemon, as of its end.
    let why = || setup.say("why 198.51.100.6").out;
    wait_within(Duration::from_secs(30), why, || released("198.51.100.6") == "as it had expired");
    let _daemon = setup.start();
    let ends = setup.say("history --json --action lifted --address 198.51.100.6").json();
    assert_eq!(ends[0]["time"], expiring["until"], "{ends}");
}

#[test]
fn an_administrators_block_names_the_administrator() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let reason = |address: &str| entries(&setup, address).pop().map(|(_, reason)| reason).unwrap_or_default();
    assert_eq!(setup.say_by("alice", "block 198.51.100.1 --for 1h --reason a-guest").code, 0);
    assert_eq!(reason("198.51.100.1"), "alice asked for it: a-guest");
    daemon.log().wait_for("Host 198.51.100.1 is blocked: alice asked for it: a-guest");
    let entry =
        || setup.entry("list --json", "198.51.100.1".parse().expect("an address")).expect("it is listed");
    let before = entry();
    // The name alone changes no terms.
    let said = setup.say_by("bob", "block 198.51.100.1");
    assert!(said.out.contains("already blocked"), "{said:?}");
    assert_eq!(entry(), before);
    assert_eq!(setup.say_by("bob", "block 198.51.100.2").code, 0);
    assert_eq!(reason("198.51.100.2"), "bob asked for it");
    assert_eq!(setup.say("block 198.51.100.3 --reason a-guest").code, 0);
    assert_eq!(reason("198.51.100.3"), "a-guest");
    // Without a daemon.
    daemon.terminate();
    assert_eq!(setup.say_by("alice", "block 198.51.100.4 --for 1h").code, 0);
    assert_eq!(setup.say_by("bob", "block 198.51.100.6").code, 0);
    let daemon = setup.start();
    daemon.wait_until("the history has both", || {
        reason("198.51.100.4") == "alice asked for it" && reason("198.51.100.6") == "bob asked for it"
    });
}

#[test]
fn observing_lists_what_would_have_been_done() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("BLOCK_TCP", "0").with("BLOCK_UNPROVEN", "0");
    let daemon = setup.start();
    let sources = [lab.source(Family::V4), lab.source(Family::V4)];
    for source in sources {
        lab.nmap(source, "-sS -p 11");
        daemon.wait_until("it is listed", || setup.entry("list --would --json", source).is_some());
    }
    let found = setup.entry("list --would --json", sources[0]).expect("it is listed");
    assert_eq!(
        (&found["state"], &found["ports"]),
        (&"fenced".into(), &serde_json::json!(["11/TCP"])),
        "{found}"
    );
    let table = setup.say("list --would --sort address --limit 1").out;
    assert!(table.contains("WOULD BE") && table.lines().count() == 2, "{table}");
    assert!(setup.say("list --would --state blocked").out.contains("no source would have been"), "{table}");
    assert_eq!(setup.say("list").out, "no source is blocked or fenced\n");
    let blocking = setup.with("BLOCK_UNPROVEN", "1");
    blocking.write();
    assert_eq!(blocking.entry("list --would --json", sources[0]).expect("it is listed")["state"], "blocked");
}
