//! `portsentry block` and `portsentry unblock`, with a running daemon and without one.

use std::{fs, net::IpAddr};

use portsentry_tests::lab::{FAMILIES, Family, Lab, Reach};
use serde_json::Value;

#[test]
fn a_running_daemon_follows_block_and_unblock() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    for source in FAMILIES.map(|family| lab.source(family)) {
        let blocked = setup.say(&format!("block {source}"));
        assert_eq!((blocked.out, blocked.code), (format!("{source}: blocked\n"), 0));
        daemon.wait_until("the kernel follows", || daemon.blocked().contains(&source));
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
        let found = setup.entry("list --json", source).expect("it is listed");
        assert_eq!((&found["proof"], &found["port"]), (&"administrator".into(), &Value::Null));
        daemon
            .wait_until("hosts.deny follows", || !daemon.file_about("WRAPPER_HOSTS_DENY", source).is_empty());

        let freed = setup.say(&format!("unblock {source}"));
        assert_eq!((freed.out, freed.code), (format!("{source}: unblocked\n"), 0));
        daemon.wait_until("the kernel follows", || !daemon.blocked().contains(&source));
        assert!(service.answers(&lab.scanner, source, Reach::Expected));
    }
}

#[test]
fn programs_are_told_what_a_block_and_an_unblock_changed() {
    let lab = Lab::new();
    let list = lab.files().join("list");
    fs::write(&list, "").expect("a block list");
    let setup = lab.portsentry("-stcp").with("BLOCK_LIST", &list.display().to_string());
    let [source, other] = FAMILIES.map(|family| lab.source(family).to_string());
    let network = "198.51.100.0/24";
    let told = |words: &str, changed: &[&str], unchanged: &[&str], code| {
        let said = setup.say(words);
        let expected = serde_json::json!({"changed": changed, "unchanged": unchanged});
        assert_eq!((said.json(), said.code), (expected, code), "{words}: {}", said.errors);
    };
    let daemon = setup.start();
    told(&format!("block --json {source}"), &[&source], &[], 0);
    told(&format!("block --json {source} {other} {network}"), &[&other, network], &[&source], 0);
    told(&format!("block --json {source} {}", Family::V4.host()), &[], &[], 1);
    daemon.kill();
    told(&format!("unblock --json {source} {network}"), &[&source, network], &[], 0);
    told(&format!("unblock --json {source} {other}"), &[&other], &[&source], 0);
}

#[test]
fn requests_without_a_daemon_take_effect_at_once() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let [freed, added] = [lab.source(Family::V4), lab.source(Family::V6)];
    lab.nmap(freed, "-sS -p 11");
    daemon.wait_for_block(freed);
    daemon.wait_until("hosts.deny follows", || !daemon.file_about("WRAPPER_HOSTS_DENY", freed).is_empty());
    daemon.kill();
    let said = setup.say(&format!("unblock {freed}"));
    assert!(said.code == 0 && said.out.contains("unblocked (no daemon is running)"), "{}", said.out);
    assert!(service.answers(&lab.scanner, freed, Reach::Expected));
    let said = setup.say(&format!("block {added}"));
    assert!(said.code == 0 && said.out.contains("blocked (no daemon is running;"), "{}", said.out);
    assert!(!service.answers(&lab.scanner, added, Reach::Unexpected));
    let daemon = setup.start();
    assert_eq!(daemon.blocked(), [added]);
    daemon.wait_until("hosts.deny follows", || !daemon.file_about("WRAPPER_HOSTS_DENY", added).is_empty());
    assert_eq!(daemon.file_about("WRAPPER_HOSTS_DENY", freed), [""; 0]);
}

#[test]
fn earlier_lines_of_hosts_deny_survive_an_unblock_without_a_daemon() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let [theirs, ours] = FAMILIES.map(|family| lab.source(family));
    let line = format!("ALL: {theirs} : DENY\n");
    fs::write(setup.path("WRAPPER_HOSTS_DENY"), &line).expect("an administrator's line");
    let daemon = setup.start();
    for source in [theirs, ours] {
        lab.nmap(source, "-sS -p 11");
    }
    daemon.wait_for_block(ours);
    daemon.wait_until("both are in the file", || daemon.file("BLOCKED_FILE").len() == 2);
    daemon.terminate();
    let said = setup.say(&format!("unblock {theirs} {ours}"));
    assert_eq!(said.code, 0, "{}", said.out);
    let left = fs::read_to_string(setup.path("WRAPPER_HOSTS_DENY")).expect("it is there");
    assert_eq!(left, line);
}

#[test]
fn exempt_addresses_are_refused_and_nothing_else_is_done() {
    let lab = Lab::new();
    let ignored = lab.source(Family::V4);
    let setup = lab.portsentry("-stcp").ignoring(ignored);
    let daemon = setup.start();
    let other = lab.source(Family::V4);
    for (refused, why) in [
        (Family::V4.host(), "it is an address of this host"),
        (Family::V6.host(), "it is an address of this host"),
        (ignored, "ignores"),
        ([127, 0, 0, 1].into(), "can't be the address of another host"),
        ([224, 0, 0, 5].into(), "can't be the address of another host"),
    ] {
        let said = setup.say(&format!("block {other} {refused}"));
        assert_eq!((said.out.as_str(), said.code), ("", 1));
        assert!(said.errors.contains(&refused.to_string()) && said.errors.contains(why), "{}", said.errors);
    }
    assert_eq!(daemon.file("BLOCKED_FILE"), [""; 0]);
    assert_eq!(daemon.blocked(), [] as [IpAddr; 0]);
    let said = setup.say(&format!("unblock {other}"));
    assert!(said.code == 0 && said.out.contains("is not blocked"), "{}", said.out);
}

#[test]
fn a_block_for_a_time_has_its_reason_and_ends() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let assert_blocked_for_a_while = |source: IpAddr| {
        let source_text = source.to_string();
        let said = setup.say_words(&["block", &source_text, "--for", "2s", "--reason", "a b"]);
        assert_eq!(said.code, 0, "{said:?}");
        let held = setup.entry("list --json", source).expect("it is listed");
        assert_eq!((&held["reason"], &held["proof"]), (&"a b".into(), &"administrator".into()), "{held}");
        assert!(held["until"].is_string(), "{held}");
        let why = setup.say(&format!("why {source}")).out;
        assert!(why.contains("a b") && !why.contains("for good"), "{why}");
    };
    let let_in = |source: IpAddr| service.answers(&lab.scanner, source, Reach::Expected);
    let sources = FAMILIES.map(|family| lab.source(family));
    assert_blocked_for_a_while(sources[0]);
    daemon.log().wait_for(&format!("Host {} is no longer blocked: its time is over", sources[0]));
    assert!(let_in(sources[0]), "its time is over");
    daemon.kill();
    assert_blocked_for_a_while(sources[1]);
    assert!(let_in(sources[1]), "the kernel knows the time without a daemon");
}
