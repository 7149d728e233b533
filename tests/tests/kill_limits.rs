//! Limits of the KILL actions: they run only on proof, at most `ACTION_RATE` times per second, and also for sources
//! whose probes were not reported.

use std::{collections::BTreeSet, fs, net::IpAddr};

use nix::sys::signal::Signal;
use portsentry_tests::lab::{Daemon, FAMILIES, Family, Lab, Portsentry, Wire};

/// Returns a configuration that requires proof, and passes sources to a script.
fn asking<'lab>(lab: &'lab Lab, on_proof: &str) -> Portsentry<'lab> {
    lab.portsentry("-stcp")
        .with("BLOCK_UNPROVEN", "0")
        .with("CHALLENGE", "1")
        .with("XDP_MODE", "generic")
        .with("KILL_ON_PROOF", on_proof)
        .with("KILL_RUN_CMD", &format!("{} $TARGET$ $PROOF$", lab.recorder().display()))
}

/// Scans from a new source, which is only fenced.
fn fence(daemon: &Daemon<'_>, family: Family) -> IpAddr {
    let source = daemon.lab().source(family);
    daemon.lab().nmap(source, "-sS -p 11");
    daemon.wait_until("it is fenced", || daemon.fenced().contains(&source));
    daemon.wait_until("and shown", || !daemon.file_about("BLOCKED_FILE", source).is_empty());
    source
}

/// Scans from a new source that completes its handshake.
fn prove(daemon: &Daemon<'_>, family: Family) -> IpAddr {
    let source = daemon.lab().source(family);
    daemon.lab().nmap(source, "-sT -p 11");
    daemon.wait_until("it is blocked", || daemon.blocked().contains(&source));
    daemon.wait_until("and denied", || !daemon.file_about("WRAPPER_HOSTS_DENY", source).is_empty());
    source
}

#[test]
fn nobody_is_denied_without_proof_however_often_it_is_begun_anew() {
    let lab = Lab::routed();
    for rate in ["1000", "1"] {
        let setup = asking(&lab, "1").with("EVENT_RATE", rate);
        let daemon = setup.start();
        let fenced = FAMILIES.map(|family| fence(&daemon, family));
        let proven = FAMILIES.map(|family| prove(&daemon, family));
        let assert_denied = |daemon: &Daemon<'_>, when: &str| {
            for source in proven {
                let lines = daemon.file_about("WRAPPER_HOSTS_DENY", source);
                assert_eq!(lines.len(), 1, "{source} is proven, {when}, EVENT_RATE={rate}");
            }
            for source in fenced {
                let lines = daemon.file_about("WRAPPER_HOSTS_DENY", source);
                assert_eq!(lines, [""; 0], "{source} isn't proven, {when}, EVENT_RATE={rate}");
            }
        };
        assert_denied(&daemon, "at first");
        daemon.signal(Signal::SIGHUP);
        daemon.log().wait_for("Configuration reloaded");
        assert_denied(&daemon, "after SIGHUP");
        fs::write(daemon.setup().path("WRAPPER_HOSTS_DENY"), "").expect("an emptied file");
        daemon.kill();
        let daemon = setup.start();
        let is_denied = |source| !daemon.file_about("WRAPPER_HOSTS_DENY", source).is_empty();
        daemon.wait_until("the proven are denied again", || proven.into_iter().all(is_denied));
        assert_denied(&daemon, "after a kill");
        daemon.terminate();
    }
}

#[test]
fn a_command_is_told_the_proof_and_waits_for_it_if_it_is_to() {
    let lab = Lab::routed();
    let daemon = asking(&lab, "0").start();
    let fenced = fence(&daemon, Family::V4);
    daemon.log().wait_for(&format!("External command run for host: {fenced}"));
    assert_eq!(lab.recorded(), [format!("{fenced} none")]);
    daemon.terminate();
    let daemon = asking(&lab, "1").start();
    let fenced = fence(&daemon, Family::V6);
    let proven = prove(&daemon, Family::V6);
    daemon.log().wait_for(&format!("External command run for host: {proven}"));
    let lines = lab.recorded();
    assert_eq!(lines[1..], [format!("{proven} cookie")], "and none for {fenced}");
}

#[test]
fn the_command_is_run_against_whom_the_daemon_was_not_told_of() {
    let lab = Lab::new();
    let daemon = lab
        .portsentry("-stcp")
        .with("EVENT_RATE", "1")
        .with("KILL_RUN_CMD", &format!("{} $TARGET$", lab.recorder().display()))
        .start();
    let sources: BTreeSet<IpAddr> = (0..12).map(|number| lab.source(FAMILIES[number % 2])).collect();
    sources.iter().for_each(|source| drop(lab.nmap(*source, "-sS -p 11")));
    daemon.wait_until("it is run for all", || lab.recorded().len() >= sources.len());
    assert!(daemon.counter("over_rate") > 0, "all were told of");
    let about: BTreeSet<IpAddr> =
        lab.recorded().iter().map(|line| line.parse().expect("an address")).collect();
    assert_eq!((lab.recorded().len(), about), (sources.len(), sources), "once for each");
}

#[test]
fn no_more_commands_a_second_are_run_than_allowed() {
    const RATE: usize = 2;
    let lab = Lab::new();
    let daemon = lab
        .portsentry("-stcp")
        .with("ACTION_RATE", &RATE.to_string())
        .with("KILL_RUN_CMD", &format!("{} $TARGET$", lab.recorder().display()))
        .start();
    let sources: Vec<IpAddr> = (0..20).map(|number| lab.source(FAMILIES[number % 2])).collect();
    let begin = std::time::Instant::now();
    let wire = Wire::mouth(&lab.scanner);
    sources.iter().for_each(|source| wire.probe(*source));
    daemon.log().wait_for("ACTION_RATE exceeded: KILL actions skipped");
    daemon.log().wait_for("KILL actions resumed; they were skipped for ");
    let resumed = daemon.log().lines();
    let resumed = resumed.iter().find(|line| line.contains("skipped for ")).expect("a line");
    let blocked: BTreeSet<IpAddr> = daemon.blocked().into_iter().collect();
    assert!(sources.iter().all(|source| blocked.contains(source)), "the kernel has no such limit");
    let run = daemon.terminate().lines.iter().filter(|line| line.contains("External command run")).count();
    let most = RATE * (1 + usize::try_from(begin.elapsed().as_secs()).expect("seconds") + 1);
    assert!((RATE..=most).contains(&run), "{run} were run");
    assert!(run < sources.len(), "all were run: {resumed}");
}
