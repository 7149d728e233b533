//! What KILL commands did to a source that nothing proves is undone when its fence ends.

use std::net::IpAddr;

use portsentry_tests::lab::{Daemon, Family, Lab};

/// Sends one SYN in the name of a new source, which is fenced for it.
fn spoof(daemon: &Daemon<'_>) -> IpAddr {
    let source = daemon.lab().source(Family::V4);
    daemon.lab().nmap(source, "-sS -p 11");
    daemon.wait_until("it is fenced", || daemon.fenced().contains(&source));
    source
}

/// Whether the host has a blackhole route to `source`.
fn is_cut_off(lab: &Lab, source: IpAddr) -> bool {
    lab.host.run("ip", &["route", "show", "type", "blackhole"]).contains(&source.to_string())
}

#[test]
fn what_was_done_on_a_fence_ends_with_it() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("BLOCK_UNPROVEN", "0").with("FENCE_TIME", "5");
    let daemon = setup.with("KILL_ROUTE", "ip route add blackhole $TARGET$").start();
    let source = spoof(&daemon);
    daemon.log().wait_for(&format!(
        "attackalert: Host {source} has been blocked via dropped route using command: \"ip route add blackhole {source}\""
    ));
    assert!(is_cut_off(&lab, source));
    daemon.log().wait_for(&format!(
        "adminalert: Dropped route for host {source} undone using command: \"ip route del blackhole {source}\""
    ));
    assert!(!is_cut_off(&lab, source), "nothing is left of it");
}

#[test]
fn a_route_of_somebody_elses_stays() {
    let lab = Lab::new();
    let source = lab.source(Family::V4);
    lab.host.run("ip", &["route", "add", "blackhole", &source.to_string()]);
    let setup = lab.portsentry("-stcp").with("BLOCK_UNPROVEN", "0").with("FENCE_TIME", "5");
    let setup = setup.with("KILL_RUN_CMD_LIFT", "true $TARGET$");
    let daemon = setup.with("KILL_ROUTE", "ip route add blackhole $TARGET$").start();
    lab.nmap(source, "-sS -p 11");
    daemon.log().wait_for(&format!("ERROR: KILL_ROUTE for host {source}"));
    // It is run after the other, if that is.
    daemon
        .log()
        .wait_for(&format!("External command run for host: {source} using command: \"true {source}\""));
    assert_eq!(daemon.log().count("undone using command"), 0);
    assert!(is_cut_off(&lab, source));
}

#[test]
fn a_setting_says_what_undoes_a_command_of_an_administrators_own() {
    let lab = Lab::new();
    let script = lab.recorder().display().to_string();
    let setup = lab.portsentry("-stcp").with("BLOCK_UNPROVEN", "0").with("FENCE_TIME", "5");
    let setup = setup.with("KILL_ROUTE", &format!("{script} begin $TARGET$"));
    let daemon = setup.with("KILL_ROUTE_LIFT", &format!("{script} end $TARGET$")).start();
    let source = spoof(&daemon);
    let expected = ["begin", "end"].map(|word| format!("{word} {source}"));
    daemon.wait_until("it is undone", || lab.recorded() == expected);
}

#[test]
fn commands_wait_for_proof_where_there_is_a_challenge() {
    let lab = Lab::routed();
    let script = lab.recorder().display().to_string();
    let setup = lab.portsentry("-stcp").with("BLOCK_UNPROVEN", "0").with("CHALLENGE", "1");
    let setup = setup.with("XDP_MODE", "generic").with("KILL_ROUTE", &format!("{script} $TARGET$ $PROOF$"));
    let daemon = setup.start();
    let fenced = spoof(&daemon);
    let proven = lab.source(Family::V4);
    lab.nmap(proven, "-sT -p 11");
    daemon.wait_until("it is run for the proven source", || !lab.recorded().is_empty());
    daemon.settle();
    assert_eq!(lab.recorded(), [format!("{proven} cookie")], "and not for {fenced}");
    assert_eq!(daemon.file_about("WRAPPER_HOSTS_DENY", fenced), [""; 0]);
}

#[test]
fn check_says_what_becomes_of_commands_without_proof() {
    let lab = Lab::new();
    let debian = include_str!("../../portsentry/testdata/debian-1.2.conf");
    for (flags, text, expected, warns) in [
        ("-stcp", debian.to_owned(), "the actions are taken for fenced sources", false),
        (
            "-stcp",
            debian.to_owned(),
            "KILL_ROUTE_LIFT: [\"/bin/sh\", \"-c\", \"/sbin/iptables -D INPUT -s",
            false,
        ),
        ("-tcp", debian.to_owned(), "the actions wait for proof", false),
        ("-stcp", debian.to_owned() + "\nCHALLENGE=\"1\"\n", "the actions wait for proof", false),
        (
            "-stcp",
            "TCP_PORTS=\"1\"\nBLOCK_TCP=\"1\"\nKILL_ROUTE=\"/sbin/mine $TARGET$\"\n".into(),
            "the actions are taken for fenced sources",
            true,
        ),
    ] {
        let setup = lab.portsentry(flags).with_config(&text);
        let said = setup.command().arg("check").output().expect("it runs");
        let [out, err] = [said.stdout, said.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(out.contains(expected), "{flags}: {expected}\n{out}{err}");
        let warning = "warning: KILL_ROUTE is run for fenced sources";
        assert_eq!(err.contains(warning), warns, "{flags}: {err}");
    }
}
