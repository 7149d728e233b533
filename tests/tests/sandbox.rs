//! The sandbox: a started daemon has just the privileges that its work needs.

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
};

use nix::{sys::signal::Signal, unistd::User};
use portsentry_tests::lab::{Daemon, FAMILIES, Family, Lab, Portsentry, Reach};

/// Bits of `capabilities(7)`.
const BPF: u64 = 1 << 39;
const PERFMON: u64 = 1 << 38;
const NET_ADMIN: u64 = 1 << 12;
const ALWAYS: u64 = BPF | PERFMON | NET_ADMIN;
const DAC_READ_SEARCH: u64 = 1 << 2;
/// `CHOWN`, `DAC_OVERRIDE`, `FOWNER`
const FOREIGN: u64 = 1 | 1 << 1 | 1 << 3;

/// Returns the status of each thread of the daemon, from `/proc`.
fn threads(daemon: &Daemon<'_>) -> Vec<BTreeMap<String, String>> {
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.process())).expect("its threads");
    let status = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status")).expect("a status");
    let fields = |text: String| {
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    };
    threads.flatten().map(status).map(fields).collect()
}

fn capabilities(thread: &BTreeMap<String, String>, set: &str) -> u64 {
    u64::from_str_radix(&thread[set], 16).expect("a bit mask")
}

/// Fails unless all threads run as `user` with exactly these capabilities and no way to gain more.
fn assert_confined(daemon: &Daemon<'_>, expected: u64, user: u32) {
    daemon.wait_until("the keeper has a thread of its own", || threads(daemon).len() > 1);
    for thread in threads(daemon) {
        for set in ["CapEff", "CapPrm", "CapBnd"] {
            assert_eq!(capabilities(&thread, set), expected, "{set}: {thread:?}");
        }
        assert_eq!(
            (thread["CapInh"].as_str(), thread["CapAmb"].as_str()),
            ("0000000000000000", "0000000000000000")
        );
        assert_eq!(thread["NoNewPrivs"], "1");
        let users: Vec<u32> = thread["Uid"].split_whitespace().filter_map(|it| it.parse().ok()).collect();
        assert_eq!(users, [user; 4]);
    }
}

/// Scans over both families; the sources must be blocked in every file and in the kernel.
fn assert_blocks(daemon: &Daemon<'_>) -> Vec<IpAddr> {
    let sources = FAMILIES.map(|family| daemon.lab().source(family));
    for source in sources {
        daemon.lab().nmap(source, "-sS -p 1-20 --max-retries 0");
        daemon.wait_for_block(source);
        assert!(daemon.blocked().contains(&source));
        for file in ["HISTORY_FILE", "BLOCKED_FILE", "WRAPPER_HOSTS_DENY"] {
            daemon.wait_until(file, || daemon.file_about(file, source).len() == 1);
        }
    }
    sources.into()
}

fn reload(daemon: &Daemon<'_>, expected: &str) {
    let before = daemon.log().count(expected);
    daemon.signal(Signal::SIGHUP);
    daemon.wait_until(expected, || daemon.log().count(expected) > before);
}

const REREAD: &str = "Configuration reloaded";
const REFUSED: &str = "The configuration is unchanged";

#[test]
fn root_keeps_three_capabilities_and_does_all_its_work() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("INTERFACES", "ALL_NLO").with("RUN_AS", "root");
    let service = lab.serve_tcp(8080);
    let daemon = setup.start();
    assert_confined(&daemon, ALWAYS, 0);
    let mut blocked = assert_blocks(&daemon);

    // The daemon loads and replaces its program, and creates maps of another size.
    setup.clone().with("MAX_BLOCKED", "1000").with("TCP_PORTS", "1,7,11,200").write();
    reload(&daemon, REREAD);
    assert_confined(&daemon, ALWAYS, 0);
    blocked.extend(assert_blocks(&daemon));
    for source in blocked {
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} gets through");
    }
    service.assert_open_to_bystander(&lab);

    // The daemon watches a new interface, and detaches from it when it is removed.
    lab.host.ip("link add late0 type veth peer name late1\nlink set late0 up\n");
    daemon.log().wait_for("late0: ");
    lab.host.ip("link del late0\n");
    daemon.log().wait_for("late0: no longer there");

    let ended = daemon.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.text());
}

#[test]
fn a_daemon_that_is_told_to_is_not_root() {
    let lab = Lab::new();
    let nobody = User::from_name("nobody").ok().flatten().expect("a user nobody");
    let (user, group) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let setup = lab.portsentry("-stcp").with("RUN_AS", "nobody");
    // Once as in the package, in a directory of the user; then with root's hosts.deny.
    let state = lab.files().join("state");
    fs::create_dir(&state).expect("a directory");
    chown(&state, Some(user), Some(group)).expect("another owner");
    let place = |name: &str| state.join(name).display().to_string();
    let own = setup
        .clone()
        .with("HISTORY_FILE", &place("history"))
        .with("BLOCKED_FILE", &place("blocked"))
        .with("EVIDENCE_FILE", &place("evidence"))
        .with("CONTROL_SOCKET", &lab.files().join("run/control.sock").display().to_string())
        .with("WRAPPER_HOSTS_DENY", &place("hosts.deny"));
    let daemon = own.start();
    assert_confined(&daemon, ALWAYS | DAC_READ_SEARCH, user);
    assert_blocks(&daemon);
    assert_eq!(fs::metadata(place("history")).expect("a history").uid(), user);
    reload(&daemon, REREAD);
    assert_blocks(&daemon);
    assert_eq!(daemon.terminate().code, Some(0));

    fs::write(lab.files().join("hosts.deny"), "ALL: 203.0.113.9\n").expect("a file of root's");
    let daemon = setup.start();
    assert_confined(&daemon, ALWAYS | DAC_READ_SEARCH | FOREIGN, user);
    assert_blocks(&daemon);
    assert_eq!(
        fs::metadata(lab.files().join("hosts.deny")).expect("hosts.deny").uid(),
        0,
        "it keeps its owner"
    );
    daemon.terminate();

    // A daemon that runs as root takes the files back.
    let daemon = setup.with("RUN_AS", "root").start();
    assert_blocks(&daemon);
}

#[test]
fn a_confined_daemon_refuses_what_takes_a_restart() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("RUN_AS", "root");
    let daemon = setup.start();
    let elsewhere = lab.files().with_extension("elsewhere");
    let history = elsewhere.join("history").display().to_string();
    for (key, value, problem) in [
        (
            "KILL_RUN_CMD",
            "/bin/true",
            "KILL_ROUTE and KILL_RUN_CMD take privileges that this process has dropped",
        ),
        ("SANDBOX", "0", "SANDBOX=\"0\" takes privileges"),
        (
            "HISTORY_FILE",
            &history,
            "is outside the directories that this process may write to: restart portsentry",
        ),
    ] {
        setup.clone().with(key, value).write();
        reload(&daemon, REFUSED);
        assert!(daemon.log().count(problem) > 0, "{key}: {:#?}", daemon.log().lines());
    }
    assert_blocks(&daemon);
    setup.write();
    reload(&daemon, REREAD);
    assert_blocks(&daemon);
}

/// The kernel itself prevents other writes, whatever the daemon's code does.
#[test]
fn writing_elsewhere_fails() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("RUN_AS", "root");
    let outside = lab.files().with_extension("outside");
    fs::create_dir_all(&outside).expect("a directory");
    let daemon = setup.start();
    // Redirects the path of one of its files.
    let deny = lab.files().join("hosts.deny");
    fs::write(outside.join("hosts.deny"), "").expect("a file");
    let _ = fs::remove_file(&deny);
    std::os::unix::fs::symlink(outside.join("hosts.deny"), &deny).expect("a link");
    lab.nmap(lab.source(Family::V4), "-sS -p 11");
    daemon.log().wait_for("hosts.deny can't be replaced: Permission denied");
    assert_eq!(fs::read_to_string(outside.join("hosts.deny")).expect("a file"), "");
    daemon.terminate();

    // Without the sandbox the same link is followed.
    let daemon = setup.with("SANDBOX", "0").start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    assert!(fs::read_to_string(outside.join("hosts.deny")).expect("a file").contains(&source.to_string()));
    fs::remove_dir_all(outside).expect("a directory of this test's");
}

/// Commands inherit all privileges that the daemon was started with.
#[test]
fn commands_are_run_with_every_privilege() {
    let lab = Lab::new();
    let privileged = fs::read_to_string("/proc/self/status").expect("a status");
    let own = privileged.lines().find(|line| line.starts_with("CapEff")).expect("capabilities").to_owned();
    let shown = lab.files().join("shown");
    let script = lab.program("show", format!("#!/bin/sh\ncat /proc/self/status > {}\n", shown.display()));
    let setup: Portsentry<'_> = lab.portsentry("-stcp").with("KILL_RUN_CMD", &script.display().to_string());
    let daemon = setup.start();
    lab.nmap(lab.source(Family::V4), "-sS -p 11");
    daemon.wait_until("the command runs", || {
        Path::new(&shown).exists() && {
            fs::read_to_string(&shown)
                .is_ok_and(|text| text.contains(&own) && text.contains("NoNewPrivs:\t0"))
        }
    });
}
