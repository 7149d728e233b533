//! Every way into and out of a block or fence, with a real daemon: its effects are those in `docs/register.md`.

mod watch;

use std::{collections::BTreeSet, fs, net::IpAddr};

use portsentry_tests::lab::{Companion, Family, Lab, Portsentry};

use self::watch::{Watch, documented, log_word};
use crate::metrics::ADDRESS;

/// The ways that the tests below try, as `docs/register.md` names them.
const WAYS: [&str; 29] = [
    "in, block: probe",
    "in, fence: probe",
    "in, fence: scan",
    "in, block: unreported",
    "in, fence: unreported",
    "in, block: unreported, without a daemon",
    "in, fence: unreported, without a daemon",
    "in, block: taken_over",
    "in, fence: taken_over",
    "in, block: administrator",
    "in, block: trap",
    "in, fence: trap",
    "in, block: block_list",
    "in, block: peer",
    "in, fence: peer",
    "in, block: offline",
    "out, block: over",
    "out, fence: over",
    "out, block: administrator",
    "out, fence: administrator",
    "out, block: administrator, without a daemon",
    "out, fence: administrator, without a daemon",
    "out, block: exempt",
    "out, fence: exempt",
    "out, fence: crowded",
    "out, block: block_list",
    "out, block: peer",
    "out, block: fleet",
    "in, block: after a fence",
];

/// Duration in seconds of a block or fence that must expire: longer than a check of all outputs.
const TERM: &str = "8";

fn full<'lab>(lab: &'lab Lab, flags: &str) -> Portsentry<'lab> {
    let script = lab.recorder().display().to_string();
    fs::write(lab.files().join("list"), "# nobody\n").expect("a list");
    lab.portsentry(flags)
        .with("KILL_RUN_CMD", &format!("{script} kill $TARGET$"))
        .with("KILL_RUN_CMD_LIFT", &format!("{script} lift $TARGET$"))
        .with("JSON_LOG", &lab.files().join("events").display().to_string())
        .with("BLOCK_LIST", &lab.files().join("list").display().to_string())
        .with("METRICS_LISTEN", ADDRESS)
        .with("ACTION_RATE", "1000")
        .with("KILL_ON_PROOF", "0")
}

/// Probes from two hundred unused addresses.
fn flood(lab: &Lab) -> Vec<IpAddr> {
    let sources: Vec<IpAddr> = (1..=200).map(|last| [198, 51, 100, last].into()).collect();
    let probe =
        |source: &IpAddr| format!("IP(src='{source}', dst='{}')/TCP(dport=11, flags='S')", Family::V4.host());
    lab.scapy(&sources.iter().map(probe).collect::<Vec<_>>());
    sources
}

#[test]
fn the_document_has_the_ways_that_are_tried_and_no_other() {
    let documented: BTreeSet<String> = documented().into_keys().collect();
    assert_eq!(documented, WAYS.map(str::to_owned).into());
}

#[test]
fn a_probe_blocks_until_an_administrator_asks() {
    let lab = Lab::new();
    let setup = full(&lab, "-stcp");
    let daemon = setup.start();
    let mut watch = Watch::new(&setup, Family::V4);
    watch.begin(&daemon);
    watch.come();
    watch.expect(Some(&daemon), "in, block: probe");
    watch.begin(&daemon);
    watch.ask("unblock");
    watch.expect(Some(&daemon), "out, block: administrator");
}

#[test]
fn sources_beyond_the_event_rate_are_found_in_the_map() {
    for (unproven, way) in [("1", "in, block: unreported"), ("0", "in, fence: unreported")] {
        let lab = Lab::new();
        let setup = full(&lab, "-stcp").with("BLOCK_UNPROVEN", unproven).with("EVENT_RATE", "1");
        let daemon = setup.start();
        let mut watch = Watch::new(&setup, Family::V4);
        watch.begin(&daemon);
        let sources = flood(&lab);
        daemon.log().wait_for("probes not logged: EVENT_RATE exceeded");
        let is_told =
            |source: &IpAddr| daemon.log().lines_about(*source).iter().any(|line| log_word(line) == "attack");
        watch.source =
            sources.into_iter().rfind(|source| !is_told(source)).expect("one that was not reported");
        watch.wait_until("the metrics count it", || {
            watch.look(Some(&daemon)).metrics.contains_key("in unreported")
        });
        // Some probes of the flood were reported, or still are.
        watch.shared = "in probe";
        watch.expect(Some(&daemon), way);
    }
}

#[test]
fn an_unreported_block_ends_as_its_source_is_ignored() {
    let lab = Lab::new();
    let setup = full(&lab, "-stcp");
    let daemon = setup.start();
    let mut watch = Watch::new(&setup, Family::V4);
    watch.begin(&daemon);
    daemon.kill();
    watch.come();
    let daemon = setup.start();
    watch.restart();
    watch.expect(Some(&daemon), "in, block: unreported, without a daemon");
    watch.begin(&daemon);
    fs::write(setup.path("IGNORE_FILE"), format!("{}\n", watch.source)).expect("an administrator's edit");
    watch.expect(Some(&daemon), "out, block: exempt");
}

#[test]
fn an_administrators_block_is_taken_over_and_ends_without_a_daemon() {
    let lab = Lab::new();
    let setup = full(&lab, "-stcp");
    let daemon = setup.start();
    let mut watch = Watch::new(&setup, Family::V6);
    watch.begin(&daemon);
    watch.ask("block");
    watch.expect(Some(&daemon), "in, block: administrator");
    watch.begin(&daemon);
    daemon.kill();
    let daemon = setup.start();
    watch.restart();
    watch.expect(Some(&daemon), "in, block: taken_over");
    watch.begin(&daemon);
    daemon.kill();
    watch.ask("unblock");
    let daemon = setup.start();
    watch.restart();
    watch.expect(Some(&daemon), "out, block: administrator, without a daemon");
    watch.begin(&daemon);
    daemon.kill();
    watch.ask("block");
    let daemon = setup.start();
    watch.restart();
    watch.expect(Some(&daemon), "in, block: offline");
}

#[test]
fn a_block_expires() {
    let lab = Lab::new();
    let setup = full(&lab, "-stcp");
    let daemon = setup.start();
    let mut watch = Watch::new(&setup, Family::V4);
    watch.ask(&format!("block --for {TERM}s"));
    watch.wait_until_held(&daemon);
    watch.begin(&daemon);
    watch.expect(Some(&daemon), "out, block: over");
}

#[test]
fn a_block_list_holds_whom_it_names() {
    let lab = Lab::new();
    let setup = full(&lab, "-stcp");
    let list = lab.files().join("list");
    let daemon = setup.start();
    let mut watch = Watch::new(&setup, Family::V4);
    watch.begin(&daemon);
    fs::write(&list, format!("{}\n", watch.source)).expect("a list");
    watch.expect(Some(&daemon), "in, block: block_list");
    watch.begin(&daemon);
    fs::write(&list, "# nobody\n").expect("a list");
    watch.expect(Some(&daemon), "out, block: block_list");
}

#[test]
fn a_probe_fences_until_an_administrator_asks() {
    let lab = Lab::new();
    let setup = full(&lab, "-stcp").with("BLOCK_UNPROVEN", "0");
    let daemon = setup.start();
    let mut watch = Watch::new(&setup, Family::V4);
    watch.begin(&daemon);
    watch.come();
    watch.expect(Some(&daemon), "in, fence: probe");
    watch.begin(&daemon);
    watch.ask("unblock");
    watch.expect(Some(&daemon), "out, fence: administrator");
}

#[test]
fn a_scan_that_avoids_traps_fences() {
    let lab = Lab::new();
    let setup = full(&lab, "-stcp")
        .with("BLOCK_UNPROVEN", "0")
        .with("SCAN_DETECTION", "fence")
        .with("SCAN_MEMORY", "1");
    let daemon = setup.start();
    let mut watch = Watch::new(&setup, Family::V4);
    // The report comes first.
    let verdict = || setup.say(&format!("why --json {}", watch.source)).json()["suspect"]["verdict"].clone();
    let last = watch.fail_until(2000, || verdict() == "report");
    watch.wait_until("the report is recorded", || watch.look(None).history > 0);
    watch.begin(&daemon);
    watch.fail_until(last, || watch.look(None).kernel == "fenced");
    watch.expect(Some(&daemon), "in, fence: scan");
}

#[test]
fn an_unreported_fence_is_taken_over_and_ends_as_its_source_is_ignored() {
    let lab = Lab::new();
    let setup = full(&lab, "-stcp").with("BLOCK_UNPROVEN", "0");
    let daemon = setup.start();
    let mut watch = Watch::new(&setup, Family::V6);
    watch.begin(&daemon);
    daemon.kill();
    watch.come();
    let daemon = setup.start();
    watch.restart();
    watch.expect(Some(&daemon), "in, fence: unreported, without a daemon");
    watch.begin(&daemon);
    daemon.kill();
    let daemon = setup.start();
    watch.restart();
    watch.expect(Some(&daemon), "in, fence: taken_over");
    watch.begin(&daemon);
    fs::write(setup.path("IGNORE_FILE"), format!("{}\n", watch.source)).expect("an administrator's edit");
    watch.expect(Some(&daemon), "out, fence: exempt");
}

#[test]
fn a_fence_expires_and_another_ends_without_a_daemon() {
    let lab = Lab::new();
    let setup = full(&lab, "-stcp").with("BLOCK_UNPROVEN", "0").with("FENCE_TIME", TERM);
    let daemon = setup.start();
    let mut watch = Watch::new(&setup, Family::V4);
    watch.come();
    watch.wait_until_held(&daemon);
    watch.begin(&daemon);
    watch.expect(Some(&daemon), "out, fence: over");
    daemon.terminate();

    let setup = setup.with("FENCE_TIME", "300");
    let daemon = setup.start();
    let mut watch = Watch::new(&setup, Family::V4);
    watch.come();
    watch.wait_until_held(&daemon);
    watch.begin(&daemon);
    daemon.kill();
    watch.ask("unblock");
    let daemon = setup.start();
    watch.restart();
    watch.expect(Some(&daemon), "out, fence: administrator, without a daemon");
}

#[test]
fn a_trap_fences_without_proof_and_blocks_with_it() {
    let lab = Lab::new();
    let setup = full(&lab, "-tcp -udp").with("BLOCK_UNPROVEN", "0");
    let daemon = setup.start();
    let mut watch = Watch::new(&setup, Family::V4);
    watch.begin(&daemon);
    // A connection proves its source.
    watch.come();
    watch.expect(Some(&daemon), "in, block: trap");
    let mut watch = Watch::new(&setup, Family::V4);
    watch.begin(&daemon);
    lab.nmap(watch.source, "-sU -p 69");
    watch.expect(Some(&daemon), "in, fence: trap");
    // Its connection turns the fence into a block.
    watch.begin(&daemon);
    let _probe = watch.probe();
    watch.expect(Some(&daemon), "in, block: after a fence");
}

#[test]
fn a_fence_makes_room_for_others() {
    let lab = Lab::new();
    let room = [("MAX_FENCED", "16"), ("FENCE_RATE", "100000"), ("EVENT_RATE", "100000")];
    let setup = full(&lab, "-stcp").with("BLOCK_UNPROVEN", "0");
    let setup = room.into_iter().fold(setup, |setup, (key, value)| setup.with(key, value));
    let daemon = setup.start();
    let mut watch = Watch::new(&setup, Family::V4);
    watch.come();
    watch.wait_until_held(&daemon);
    watch.begin(&daemon);
    for _ in 0..50 {
        let now = watch.look(None);
        if now.kernel == "free" && !now.is_shown {
            break;
        }
        flood(&lab);
    }
    watch.expect(Some(&daemon), "out, fence: crowded");
}

#[test]
fn a_fleet_blocks_and_lifts() {
    let lab = Lab::new();
    let setup = full(&lab, "-stcp").in_fleet("gw2,gw3=fence").with("SHARE_BLOCKS", "all");
    let daemon = setup.start();
    let mut companion = Companion::join(&setup.share_socket());
    let mut watch = Watch::new(&setup, Family::V4);
    watch.begin(&daemon);
    companion.block("gw2", &[watch.source]);
    watch.expect(Some(&daemon), "in, block: peer");
    watch.begin(&daemon);
    companion.lift("gw2", watch.source);
    watch.expect(Some(&daemon), "out, block: peer");
    let mut watch = Watch::new(&setup, Family::V4);
    watch.begin(&daemon);
    companion.block("gw3", &[watch.source]);
    watch.expect(Some(&daemon), "in, fence: peer");
    let mut watch = Watch::new(&setup, Family::V4);
    watch.ask("block");
    watch.wait_until_held(&daemon);
    watch.begin(&daemon);
    companion.lift("gw2", watch.source);
    watch.expect(Some(&daemon), "out, block: fleet");
}
