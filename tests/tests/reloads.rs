//! The configuration, read again by a SIGHUP.

use std::fs;

use nix::sys::signal::Signal;
use portsentry_tests::lab::{FAMILIES, Family, Lab, Reach, Wire, stranger};

#[test]
fn a_hangup_has_the_configuration_read_again() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let blocked = daemon.block_source(Family::V4);
    setup.clone().with("TCP_PORTS", "1,7,11,5000-5010").write();
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for("Configuration reloaded");
    let [old, new] = [lab.source(Family::V4), lab.source(Family::V6)];
    lab.nmap(old, "-sS -p 15");
    lab.nmap(new, "-sS -p 5005");
    assert_eq!(daemon.lines_about(old), [""; 0]);
    let attack = format!("attackalert: TCP SYN/Normal scan from host: {new}/{new} to TCP port: 5005");
    assert_eq!(daemon.lines_about(new), [attack]);
    assert!(daemon.blocked().contains(&blocked), "who was blocked still is");
    assert_eq!(daemon.file_about("HISTORY_FILE", blocked).len(), 1);
    // An invalid configuration has no effect.
    setup.clone().with("TCP_PORTS", "1,x").write();
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for("The configuration is unchanged");
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 5006");
    assert_eq!(daemon.lines_about(source).len(), 1);
    assert_eq!(daemon.terminate().code, Some(0));
}

#[test]
fn warnings_of_files_that_are_read_again_are_in_the_log() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    setup.clone().with("NO_SUCH", "1").write();
    daemon.signal(Signal::SIGHUP);
    let config = setup.config_path().display().to_string();
    let warning = daemon.log().wait_for("warning: unknown setting NO_SUCH; ignored").len();
    let line = daemon.log().lines()[warning].clone();
    assert!(line.starts_with(&format!("adminalert: {config}:")), "{line}");
    let ignored = setup.path("IGNORE_FILE");
    fs::write(&ignored, "0.0.0.0/0\n").expect("an administrator's edit");
    daemon
        .log()
        .wait_for(&format!("adminalert: {}:1:1: warning: this ignores every source", ignored.display()));
}

#[test]
fn the_size_of_the_maps_is_reported_again_when_it_has_changed() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let said = || {
        let mut lines = daemon.log().lines();
        lines.retain(|line| line.starts_with("adminalert: Kernel maps: "));
        lines
    };
    for (round, limit) in [(1, "65536"), (2, "262144")] {
        setup.clone().with("MAX_BLOCKED", limit).write();
        daemon.signal(Signal::SIGHUP);
        let news = "Configuration reloaded";
        daemon.wait_until("it is read again", || daemon.log().count(news) == round);
    }
    daemon.wait_until("it is said again", || said().len() > 1);
    let said = said();
    assert!(said.len() == 2 && said[0] != said[1], "{said:#?}");
}

#[test]
fn no_packet_of_a_blocked_source_passes_while_it_is_reloaded() {
    let lab = Lab::new();
    let service = lab.serve_udp(8080);
    let daemon = lab.portsentry("-stcp").start();
    let source = daemon.block_source(Family::V4);
    for round in 1..=5 {
        daemon.signal(Signal::SIGHUP);
        while daemon.log().count("Configuration reloaded") < round {
            assert!(!service.answers(&lab.scanner, source, Reach::AtOnce), "round {round}");
        }
    }
    service.assert_open_to_bystander(&lab);
}

#[test]
fn no_new_source_is_missed_while_it_is_reloaded() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").start();
    let wire = Wire::mouth(&lab.scanner);
    let mut strangers = (0..).map(stranger);
    let mut sources = Vec::new();
    for round in 1..=5 {
        daemon.signal(Signal::SIGHUP);
        while daemon.log().count("Configuration reloaded") < round {
            let source = strangers.next().expect("another stranger");
            wire.probe(source);
            daemon.wait_until("its one packet blocks it", || daemon.blocked().contains(&source));
            sources.push(source);
        }
    }
    assert!(sources.len() >= 5, "some come during each: {sources:?}");
    let blocked = daemon.blocked();
    assert!(sources.iter().all(|source| blocked.contains(source)), "all still are in the end");
    daemon.wait_until("the file has them all", || daemon.file("BLOCKED_FILE").len() == sources.len());
}

#[test]
fn a_hangup_has_another_ignore_file_read() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let [freed, held] = FAMILIES.map(|family| daemon.block_source(family));
    let other = lab.files().join("other.ignore");
    fs::write(&other, format!("{freed}\n")).expect("an ignore file");
    setup.with("IGNORE_FILE", &other.display().to_string()).write();
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for(&format!("Host {freed} is no longer blocked"));
    daemon.log().wait_for("Configuration reloaded");
    lab.nmap(freed, "-sS -p 11,15");
    daemon.settle();
    assert!(!daemon.blocked().contains(&freed) && daemon.blocked().contains(&held));
}

#[test]
fn a_summary_is_logged_on_demand() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").start();
    daemon.block_source(Family::V4);
    daemon.signal(Signal::SIGUSR1);
    daemon.log().wait_for("adminalert: Summary: 1 sources blocked or fenced, 1 probes, ");
}
