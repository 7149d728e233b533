//! The effects of an administrator's commands, and of a block's end, on history, log, events, `why`, `hosts.deny`
//! and commands.

use std::fs;

use portsentry_tests::lab::{Family, Lab, Portsentry, Reach};

/// Starts a daemon that passes blocked and released sources to a script, and writes events.
fn telling(lab: &Lab) -> Portsentry<'_> {
    let script = lab.recorder().display().to_string();
    lab.portsentry("-stcp")
        .with("KILL_RUN_CMD", &format!("{script} held $TARGET$ $PROOF$ $REASON$"))
        .with("KILL_RUN_CMD_LIFT", &format!("{script} gone $TARGET$ $REASON$"))
        .with("JSON_LOG", &lab.files().join("events").display().to_string())
}

#[test]
fn an_administrators_word_on_hosts_and_networks_stands_everywhere() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = telling(&lab);
    let daemon = setup.start();
    let inside = lab.source(Family::V4);
    let network = format!("{inside}/30").parse::<ipnet::IpNet>().expect("a network").trunc().to_string();
    let other = lab.source(Family::V6);
    for target in [network.clone(), other.to_string()] {
        assert_eq!(setup.say(&format!("block {target} --for 1h --reason guest")).code, 0);
        daemon.wait_until("the command hears of it", || {
            lab.recorded().contains(&format!("held {target} administrator guest"))
        });
    }
    assert!(!service.answers(&lab.scanner, inside, Reach::Unexpected), "its network is blocked");
    let why = setup.say(&format!("why {inside}")).out;
    assert!(why.contains(&network) && why.contains("guest"), "{why}");
    for target in [network.clone(), other.to_string()] {
        assert_eq!(setup.say(&format!("unblock {target}")).code, 0);
        let gone = format!("gone {target} an administrator asked for it");
        daemon.wait_until("the command hears of its end", || lab.recorded().contains(&gone));
        let history = setup.say(&format!("history --address {target} --json")).json();
        let said: Vec<_> = history
            .as_array()
            .expect("lines")
            .iter()
            .map(|line| {
                (line["action"].as_str().unwrap_or_default(), line["reason"].as_str().unwrap_or_default())
            })
            .collect();
        assert_eq!(said, [("blocked", "guest"), ("lifted", "an administrator asked for it")]);
    }
    assert!(service.answers(&lab.scanner, inside, Reach::Expected), "it is free");
    daemon.terminate();
    let events = fs::read_to_string(lab.files().join("events")).expect("events");
    for action in ["block", "lift"] {
        let of_network = |line: &&str| {
            line.contains(&format!("\"event.action\":\"{action}\""))
                || line.contains(&format!("\"action\":\"{action}\""))
        };
        assert!(events.lines().filter(of_network).any(|line| line.contains(&network)), "{action}: {events}");
    }
}

#[test]
fn a_line_of_hosts_deny_goes_though_the_setting_has_changed() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("KILL_HOSTS_DENY", "ALL: $TARGET$ : DENY");
    let daemon = setup.start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    daemon.wait_until("it is shown", || !daemon.file_about("BLOCKED_FILE", source).is_empty());
    daemon.kill();
    let setup = setup.with("KILL_HOSTS_DENY", "sshd: $TARGET$");
    let daemon = setup.start();
    let expected = format!("sshd: {source}");
    daemon.wait_until("the new line takes the old one's place", || {
        daemon.file("WRAPPER_HOSTS_DENY") == [expected.clone()]
    });
    daemon.kill();
    fs::write(setup.path("BLOCKED_FILE"), "").expect("a file that tells nothing of the line");
    assert_eq!(setup.say(&format!("unblock {source}")).code, 0);
    let daemon = setup.start();
    daemon.wait_until("no line is left", || daemon.file("WRAPPER_HOSTS_DENY").is_empty());
}
