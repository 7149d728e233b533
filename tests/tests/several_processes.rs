//! Several processes with the same maps, stopped together, as by Debian's init script for 1.2.

use nix::sys::signal::Signal;
use portsentry_tests::lab::{Daemon, Lab, Portsentry};

/// Pauses between the two signals in milliseconds. A stop takes several of these.
const APART_MS: [u64; 8] = [0, 1, 3, 8, 20, 50, 120, 300];

fn stop_together(mut daemons: Vec<Daemon<'_>>, apart: std::time::Duration) {
    for daemon in &daemons {
        daemon.signal(Signal::SIGTERM);
        // The test's subject is a race, so no event shows how far the first has got.
        std::thread::sleep(apart);
    }
    while let Some(daemon) = daemons.pop() {
        let ended = daemon.terminate();
        assert_eq!(ended.code, Some(0), "{}", ended.text());
    }
}

#[test]
fn processes_that_are_stopped_together_detach() {
    for (number, apart) in APART_MS.into_iter().enumerate() {
        let lab = Lab::new();
        let owner = lab.portsentry("-atcp").start();
        let standby = lab.portsentry("-audp").start();
        owner.log().wait_for("Watching for all processes together");
        assert!(lab.is_attached());
        let daemons = if number % 2 == 0 { vec![owner, standby] } else { vec![standby, owner] };
        stop_together(daemons, std::time::Duration::from_millis(apart));
        assert!(!lab.is_attached(), "signals {apart} ms apart");
    }
}

#[test]
fn one_process_that_stops_leaves_the_rest_at_work() {
    let lab = Lab::new();
    let owner = lab.portsentry("-atcp").start();
    let standby = lab.portsentry("-audp").start();
    owner.log().wait_for("Watching for all processes together");
    assert_eq!(standby.terminate().code, Some(0));
    assert!(lab.is_attached(), "the owner goes on");
    let next = lab.portsentry("-audp").start();
    assert_eq!(owner.terminate().code, Some(0));
    assert!(lab.is_attached(), "the other process goes on");
    next.log().wait_for("replaced the program of an earlier run");
    assert_eq!(next.terminate().code, Some(0));
    assert!(!lab.is_attached(), "the last one detaches");
}

#[test]
fn three_processes_that_are_stopped_together_remove_everything_if_asked_to() {
    let lab = Lab::new();
    let setups = ["-atcp", "-audp", "-tcp"].map(|flags| lab.portsentry(flags).with("ON_STOP", "remove"));
    let daemons: Vec<_> = setups.iter().map(Portsentry::start).collect();
    stop_together(daemons, std::time::Duration::ZERO);
    assert!(!lab.is_attached());
    let left = std::fs::read_dir(lab.pins()).map_or(0, Iterator::count);
    assert_eq!(left, 0, "no pin is left");
}
