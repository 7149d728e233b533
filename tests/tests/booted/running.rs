//! What happens to the running service.

use std::fs;

use super::{Others, is_active, is_blocked, journal, property, run, wait_until};

#[ignore = "needs a machine with systemd: `cargo xtask vm --systemd` runs it"]
#[test]
fn a_daemon_that_hangs_is_killed_and_started_again() {
    let others = Others::new();
    let blocked = others.block(140);
    let (process, restarts) = (property("MainPID"), property("NRestarts"));
    others.under_traffic(blocked, || {
        run(&format!("kill -STOP {process}"));
        wait_until("systemd starts another", || property("NRestarts") != restarts && is_active());
    });
    assert_ne!(property("MainPID"), process);
    assert!(run("journalctl --boot --unit portsentry --no-pager").contains("Watchdog timeout"));
    assert!(is_blocked(blocked));
    others.block(141);
}

#[ignore = "needs a machine with systemd: `cargo xtask vm --systemd` runs it"]
#[test]
fn it_reloads_under_traffic_and_refuses_a_configuration_that_is_wrong() {
    const CONFIG: &str = "/etc/portsentry/portsentry.conf";
    let others = Others::new();
    let blocked = others.block(142);
    let process = property("MainPID");
    let before = fs::read_to_string(CONFIG).expect("a configuration");
    let set = |rate: &str| run(&format!("sed -i 's/^EVENT_RATE=.*/EVENT_RATE=\"{rate}\"/' {CONFIG}"));
    let reloads = || journal().matches("Configuration reloaded").count();
    others.under_traffic(blocked, || {
        let count = reloads();
        set("77");
        run("systemctl reload portsentry");
        wait_until("it reloads", || reloads() > count);
        set("many");
        run("! systemctl reload portsentry");
        fs::write(CONFIG, &before).expect("a configuration");
        run("systemctl reload portsentry");
        wait_until("it reloads again", || reloads() > count + 1);
    });
    assert!(is_active() && property("MainPID") == process, "{}", journal());
}

#[ignore = "needs a machine with systemd: `cargo xtask vm --systemd` runs it"]
#[test]
fn it_is_upgraded_under_traffic() {
    let others = Others::new();
    let blocked = others.block(143);
    let process = property("MainPID");
    others.under_traffic(blocked, || {
        run("dpkg --install /portsentry/debian/test-2.deb");
        wait_until("the other version runs", || is_active() && property("MainPID") != process);
    });
    assert!(run("dpkg-query --show portsentry-xdp").trim().ends_with("-2"));
    assert!(is_blocked(blocked));
}

/// A driver may forget the program while the machine sleeps.
#[ignore = "needs a machine with systemd: `cargo xtask vm --systemd` runs it"]
#[test]
fn a_machine_that_has_slept_is_watched() {
    let states = fs::read_to_string("/sys/power/state").unwrap_or_default();
    assert!(states.split_whitespace().any(|state| state == "mem"), "it can't sleep: {states}");
    let others = Others::new();
    let blocked = others.block(144);
    run("rtcwake --mode mem --seconds 5");
    wait_until("the link is up", || run("ip link show eth0").contains("LOWER_UP"));
    // Until then the card may have no program.
    wait_until("the program is replaced", || journal().contains("The machine has slept"));
    others.under_traffic(blocked, || {
        others.block(145);
    });
    assert!(is_active(), "{}", journal());
}
