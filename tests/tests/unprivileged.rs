//! Looking without root: members of `CONTROL_GROUP` get the same output from the daemon, other users an error that
//! names the setting. Nobody but root changes anything.

use portsentry_tests::lab::{Daemon, Family, Lab, Portsentry};
use serde_json::Value;

/// A user whose only group has the same number.
const MEMBER: u32 = 4242;
/// A user outside of that group.
const OUTSIDER: u32 = 65534;

fn guarded(lab: &Lab) -> Portsentry<'_> {
    lab.portsentry("-stcp").with("CONTROL_GROUP", &MEMBER.to_string())
}

/// Removes the members of an output in JSON that change while nobody does anything, and the other programs for outgoing
/// packets, for which the daemon has given up the privilege.
fn steady(mut value: Value) -> Value {
    for path in ["/maps/silence", "/maps/bound_ports/dump_age", "/interfaces/0/outgoing/after"] {
        if let Some(found) = value.pointer_mut(path) {
            *found = Value::Null;
        }
    }
    value
}

/// Asserts that `words` print the same for a member as for root.
fn assert_same(daemon: &Daemon<'_>, words: &str) {
    let setup = daemon.setup();
    daemon.wait_until(&format!("{words} is the same for a member"), || {
        let [root, member] = [setup.say(words), setup.say_as(MEMBER, words)];
        assert_eq!(member.errors, "", "{words}");
        if words.contains("--json") {
            (root.code, steady(root.json())) == (member.code, steady(member.json()))
        } else {
            (root.code, root.out) == (member.code, member.out)
        }
    });
}

#[test]
fn members_of_the_group_see_what_root_sees() {
    let lab = Lab::new();
    let setup = guarded(&lab);
    let daemon = setup.start();
    let sources = [lab.source(Family::V4), lab.source(Family::V6)];
    for source in sources {
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
    }
    assert_eq!(setup.say_words(&["block", "198.51.100.0/24", "--reason", "guesses passwords"]).code, 0);
    let [source, _] = sources;
    for words in [
        "status --json",
        "list --json",
        "list --sort address --limit 1",
        "list --json --network 198.51.100.7",
        "history",
        "history --json --action blocked --limit 2",
        &format!("why {source}"),
        &format!("why --json {source}"),
        "why --json 198.51.100.7",
    ] {
        assert_same(&daemon, words);
    }
    let listed = setup.say_as(MEMBER, "list --json").json();
    assert_eq!(listed.as_array().map(Vec::len), Some(3), "{listed}");
    assert!(setup.say_as(MEMBER, "why 198.51.100.7").out.contains("guesses passwords"));
    let frames = [setup.say("top --once --json"), setup.say_as(MEMBER, "top --once --json")];
    let [root, member] = frames.map(|frame| frame.json());
    for part in ["interfaces", "mode", "daemon", "ports"] {
        assert_eq!(member[part], root[part], "{part}");
    }
    assert_eq!(
        member["sources"].as_array().map(Vec::len),
        root["sources"].as_array().map(Vec::len),
        "{member}"
    );
}

#[test]
fn nobody_but_root_changes_anything() {
    let lab = Lab::new();
    let setup = guarded(&lab);
    let daemon = setup.start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    for user in [MEMBER, OUTSIDER] {
        for words in
            [&format!("unblock {source}"), "unblock --all --yes", "block 198.51.100.9", "reload", "down"]
        {
            let said = setup.say_as(user, words);
            assert_ne!(said.code, 0, "{user}: {words}: {}{}", said.out, said.errors);
            assert_ne!(said.errors, "", "{user}: {words}");
        }
    }
    assert!(setup.say_as(MEMBER, &format!("unblock {source}")).errors.contains("only root may make changes"));
    assert_eq!(daemon.blocked(), [source]);
    assert!(lab.is_attached());
    let status = setup.say("status --json").json();
    assert_eq!(status["daemon"], daemon.process());
}

#[test]
fn others_are_told_which_setting_lets_them_look() {
    let lab = Lab::new();
    let setup = guarded(&lab);
    let daemon = setup.start();
    let looks = ["status", "list", "list --would", "history", "why 192.0.2.9", "top --once"];
    for words in looks {
        let said = setup.say_as(OUTSIDER, words);
        assert!([1, 4].contains(&said.code) && said.out.is_empty(), "{words}: {}{}", said.code, said.out);
        assert!(
            said.errors.contains("members of the group 4242 (CONTROL_GROUP)"),
            "{words}: {}",
            said.errors
        );
    }
    daemon.kill();
    for words in looks {
        let said = setup.say_as(MEMBER, words);
        assert!([1, 4].contains(&said.code), "{words}: {}{}", said.code, said.out);
        assert!(said.errors.contains("no daemon answers at"), "{words}: {}", said.errors);
    }
}

#[test]
fn without_a_group_other_users_see_only_the_status() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let status = setup.say_as(OUTSIDER, "status");
    assert!(status.code == 0 && status.out.contains("attached to eth0"), "{}{}", status.out, status.errors);
    assert_same_status(&daemon);
    for words in ["list", "why 192.0.2.9"] {
        let said = setup.say_as(OUTSIDER, words);
        assert_eq!(said.code, 4, "{words}: {}", said.errors);
        assert!(said.errors.contains("only root can read the pinned maps here"), "{words}: {}", said.errors);
        assert!(said.errors.contains("CONTROL_GROUP"), "{words}: {}", said.errors);
    }
    drop(daemon);
    let setup = setup.with("CONTROL_SOCKET", "off");
    let _daemon = setup.start();
    let said = setup.say_as(OUTSIDER, "status");
    assert!(said.code == 4 && said.errors.contains("CONTROL_SOCKET is off"), "{}", said.errors);
}

fn assert_same_status(daemon: &Daemon<'_>) {
    let setup = daemon.setup();
    daemon.wait_until("the status is the same", || {
        steady(setup.say("status --json").json()) == steady(setup.say_as(OUTSIDER, "status --json").json())
    });
}
