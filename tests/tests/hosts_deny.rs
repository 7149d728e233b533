//! Lines of `hosts.deny` never outlive their block or fence.

use std::{fs, net::IpAddr, thread, time::Duration};

use portsentry_tests::lab::{Daemon, Family, Lab, Portsentry};

/// A line that portsentry didn't write.
const THEIRS: &str = "sshd: 203.0.113.0/255.255.255.0\n";

/// Makes fences and blocks short enough for a test to wait for their end, and long enough for a busy machine to
/// record them.
fn setup<'lab>(lab: &'lab Lab, unproven: &str) -> Portsentry<'lab> {
    let setup = lab.portsentry("-stcp").with("KILL_HOSTS_DENY", "ALL: $TARGET$ : DENY");
    let setup = setup.with("BLOCK_UNPROVEN", unproven).with("FENCE_TIME", "9").with("BLOCK_TIME", "9");
    fs::write(setup.path("WRAPPER_HOSTS_DENY"), THEIRS).expect("a file");
    setup
}

/// Starts a daemon that blocks or fences a source, and adds it to `hosts.deny`.
fn hold<'lab>(setup: &Portsentry<'lab>) -> (Daemon<'lab>, IpAddr) {
    let (daemon, source) = (setup.start(), setup.lab().source(Family::V4));
    setup.lab().nmap(source, "-sS -p 11");
    daemon.wait_until("it is denied", || !daemon.file_about("WRAPPER_HOSTS_DENY", source).is_empty());
    daemon.wait_until("it is shown", || !daemon.file_about("BLOCKED_FILE", source).is_empty());
    (daemon, source)
}

/// Waits, without a daemon, until the kernel's last block or fence expires.
fn wait_for_the_end(setup: &Portsentry<'_>) {
    for _ in 0..1200 {
        if setup.say("list --json").json().as_array().is_some_and(Vec::is_empty) {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("it is still held: {}", setup.say("list").out);
}

fn denied(setup: &Portsentry<'_>) -> String {
    fs::read_to_string(setup.path("WRAPPER_HOSTS_DENY")).expect("it is there")
}

#[test]
fn holds_that_end_without_a_daemon_are_taken_out_by_the_next_one() {
    for (unproven, is_killed) in [("0", true), ("1", false)] {
        let lab = Lab::new();
        let setup = setup(&lab, unproven);
        let (daemon, _) = hold(&setup);
        drop(if is_killed { daemon.kill() } else { daemon.terminate() });
        wait_for_the_end(&setup);
        let daemon = setup.start();
        daemon.wait_until("the line goes", || denied(&setup) == THEIRS);
        assert_eq!(daemon.file("BLOCKED_FILE"), [""; 0]);
    }
}

#[test]
fn an_unblock_without_a_daemon_takes_out_the_line_of_a_hold_that_has_ended() {
    let lab = Lab::new();
    let setup = setup(&lab, "0");
    let (daemon, source) = hold(&setup);
    daemon.kill();
    wait_for_the_end(&setup);
    assert_eq!(setup.say(&format!("unblock {source}")).code, 0);
    assert_eq!(denied(&setup), THEIRS);
}

#[test]
fn taking_portsentry_down_leaves_no_line() {
    let lab = Lab::new();
    let setup = setup(&lab, "1").with("BLOCK_TIME", "3600");
    let (daemon, source) = hold(&setup);
    daemon.kill();
    assert_eq!(setup.say("down").code, 0);
    assert_eq!(denied(&setup), THEIRS);
    let daemon = setup.start();
    daemon.wait_until("it is denied again", || !daemon.file_about("WRAPPER_HOSTS_DENY", source).is_empty());
    assert_eq!(daemon.blocked(), [source]);
}
