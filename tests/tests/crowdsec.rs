//! CrowdSec's Local API, both ways, with the real one.

use std::time::Instant;

use portsentry_tests::lab::{Daemon, Lab, Portsentry, Received, Receiver, Reply, Share, crowdsec::CrowdSec};
use tempfile::TempDir;

const OUT: &str = "portsentry/gw1";
/// The reason that `cscli decisions add` gives by default has the machine's name in it.
const REASON: &str = "a test";

fn sharing(lab: &Lab) -> Portsentry<'_> {
    lab.portsentry("-stcp")
        .in_fleet("crowdsec")
        .with("SHARE_BLOCKS", "all")
        .with("IPV6_PREFIX", "64")
        .with("KILL_HOSTS_DENY", "")
}

fn state() -> TempDir {
    TempDir::with_prefix("portsentry-state-").expect("a directory")
}

fn wait_for_banned(daemon: &Daemon<'_>, crowdsec: &CrowdSec<'_>, expected: &[&str]) {
    let mut expected: Vec<&str> = expected.to_vec();
    expected.sort_unstable();
    daemon.wait_until(&format!("decisions on {expected:?}"), || crowdsec.banned(OUT) == expected);
}

fn wait_for_blocked(daemon: &Daemon<'_>, source: &str, is_blocked: bool) {
    let address = source.parse().expect("an address");
    daemon.wait_until(&format!("{source} is blocked: {is_blocked}"), || {
        daemon.blocked().contains(&address) == is_blocked
    });
}

fn ban(crowdsec: &CrowdSec<'_>, scope: &str, value: &str) {
    crowdsec.cscli(&["decisions", "add", scope, value, "--duration", "1h", "--reason", REASON]);
}

#[test]
fn blocks_become_decisions_until_they_are_lifted_and_survive_failures() {
    let lab = Lab::new();
    let setup = sharing(&lab);
    let daemon = setup.start();
    let mut crowdsec = CrowdSec::start(&lab.host);
    // Others' decisions stay as they are.
    ban(&crowdsec, "--ip", "198.51.100.1");
    let state = state();
    let mut share = Share::start(&lab.host, &setup.share_socket(), &CrowdSec::lines(&state));
    assert_eq!(setup.say("block 203.0.113.9 2001:db8:7::/64").code, 0);
    wait_for_banned(&daemon, &crowdsec, &["203.0.113.9", "2001:db8:7::/64"]);
    assert_eq!(setup.say("unblock 2001:db8:7::/64").code, 0);
    assert_eq!(setup.say("block --for 20s 203.0.113.10").code, 0);
    wait_for_banned(&daemon, &crowdsec, &["203.0.113.9", "203.0.113.10"]);
    wait_for_banned(&daemon, &crowdsec, &["203.0.113.9"]);
    // It dies, and comes back: what happened meanwhile is made up for.
    crowdsec.kill();
    assert_eq!(setup.say("unblock 203.0.113.9").code, 0);
    assert_eq!(setup.say("block 203.0.113.11 203.0.113.12").code, 0);
    share.log().wait_for("crowdsec-out: ");
    let doctor = || setup.say("doctor").out.contains("crowdsec-out: http://127.0.0.1:8080: ");
    daemon.wait_until("doctor reports it", doctor);
    crowdsec.resume();
    wait_for_banned(&daemon, &crowdsec, &["203.0.113.11", "203.0.113.12"]);
    share.log().wait_for("crowdsec-out: works again");
    // The companion is killed.
    share.restart(&lab.host);
    assert_eq!(setup.say("unblock 203.0.113.12").code, 0);
    wait_for_banned(&daemon, &crowdsec, &["203.0.113.11"]);
    assert_eq!(crowdsec.banned(REASON), ["198.51.100.1"]);
    assert_eq!(setup.say("unblock --all --yes").code, 0);
    let many: Vec<String> =
        (0..1000).map(|number| format!("203.0.{}.{}", number / 250, number % 250 + 1)).collect();
    let begun = Instant::now();
    assert_eq!(setup.say(&format!("block {}", many.join(" "))).code, 0);
    daemon.wait_until("a thousand decisions", || crowdsec.banned(OUT).len() == many.len());
    println!("1,000 blocks are decisions after {:?}", begun.elapsed());
}

#[test]
fn decisions_are_a_peers_words_until_they_are_deleted() {
    let lab = Lab::new();
    let setup = sharing(&lab);
    let daemon = setup.start();
    let crowdsec = CrowdSec::start(&lab.host);
    let state = state();
    ban(&crowdsec, "--ip", "203.0.113.9");
    ban(&crowdsec, "--range", "198.51.100.0/24");
    ban(&crowdsec, "--ip", "10.1.2.3");
    let mut share = Share::start(&lab.host, &setup.share_socket(), &CrowdSec::lines(&state));
    wait_for_blocked(&daemon, "203.0.113.9", true);
    let summary = || {
        setup
            .say("status")
            .out
            .contains("crowdsec-in: 1 decisions of http://127.0.0.1:8080 (2 of networks or")
    };
    daemon.wait_until("status names it", summary);
    // Own decisions don't come back; those of others do, also of other gateways.
    assert_eq!(setup.say("block 203.0.113.20").code, 0);
    wait_for_banned(&daemon, &crowdsec, &["203.0.113.20"]);
    ban(&crowdsec, "--ip", "203.0.113.21");
    wait_for_blocked(&daemon, "203.0.113.21", true);
    let peers = setup.say("peers --json").json();
    assert_eq!(
        (&peers["peers"][0]["gateway"], &peers["peers"][0]["blocks"]),
        (&"crowdsec".into(), &2.into())
    );
    crowdsec.cscli(&["decisions", "delete", "--ip", "203.0.113.21"]);
    wait_for_blocked(&daemon, "203.0.113.21", false);
    // An administrator here overrules a decision, and a restart doesn't bring it back.
    assert_eq!(setup.say("unblock --here 203.0.113.9").code, 0);
    wait_for_blocked(&daemon, "203.0.113.9", false);
    share.restart(&lab.host);
    ban(&crowdsec, "--ip", "203.0.113.22");
    wait_for_blocked(&daemon, "203.0.113.22", true);
    assert!(!daemon.blocked().contains(&"203.0.113.9".parse().expect("an address")), "it stays lifted");
    // Deleted while the companion is dead.
    share.kill();
    crowdsec.cscli(&["decisions", "delete", "--ip", "203.0.113.22"]);
    share.restart(&lab.host);
    wait_for_blocked(&daemon, "203.0.113.22", false);
    // A new decision about a source that was lifted counts.
    crowdsec.cscli(&["decisions", "delete", "--ip", "203.0.113.9"]);
    ban(&crowdsec, "--ip", "203.0.113.9");
    wait_for_blocked(&daemon, "203.0.113.9", true);
}

#[test]
fn refusals_and_silence_are_reported_once() {
    let lab = Lab::new();
    let setup = sharing(&lab);
    let daemon = setup.start();
    let mut crowdsec = CrowdSec::start(&lab.host);
    let state = state();
    let wrong =
        CrowdSec::lines(&state).replace(CrowdSec::PASSWORD, "wrong").replace(CrowdSec::KEY, "nothing");
    let share = Share::start(&lab.host, &setup.share_socket(), &wrong);
    share.log().wait_for("crowdsec-out: http://127.0.0.1:8080: HTTP status 401: ");
    share.log().wait_for("crowdsec-in: http://127.0.0.1:8080: HTTP status 403: ");
    drop(share);
    let refusing = Receiver::start(&lab.host, |_, _| Reply::status(401));
    let lines = CrowdSec::lines(&state).replace("http://127.0.0.1:8080", &refusing.url());
    let share = Share::start(&lab.host, &setup.share_socket(), &lines);
    daemon.wait_until("both ways have tried again", || {
        let is_login = |it: &&Received| it.line == "POST /v1/watchers/login";
        let received = refusing.received();
        let logins = received.iter().filter(is_login).count();
        logins >= 3 && received.len() - logins >= 3
    });
    for way in ["crowdsec-out: ", "crowdsec-in: "] {
        assert_eq!(share.log().count(way), 1, "{:?}", share.log().lines());
    }
    assert!(share.log().lines().iter().all(|line| !line.contains("wrong") && !line.contains("nothing")));
    drop(share);
    // A process that is stopped accepts connections, and never answers.
    let share = Share::start(&lab.host, &setup.share_socket(), &CrowdSec::lines(&state));
    share.log().wait_for("crowdsec-out: 0 decisions");
    crowdsec.signal("STOP");
    assert_eq!(setup.say("block 203.0.113.9").code, 0);
    share.log().wait_for("crowdsec-out: http://127.0.0.1:8080: timeout");
    crowdsec.signal("CONT");
    wait_for_banned(&daemon, &crowdsec, &["203.0.113.9"]);
    crowdsec.kill();
}
