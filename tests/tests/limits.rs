//! Exhausted limits, and daemons killed at any moment: blocks stay in force, the log reports the limit, and all
//! files are complete in the end.
//!
//! `KILLS` (default 6) is the number of kills.

use std::{collections::BTreeSet, fs, net::IpAddr, process::Command, str::FromStr, thread, time::Duration};

use nix::sys::signal::Signal;
use portsentry_tests::lab::{Daemon, Family, INTERFACE, Lab, Reach, Wire, mentions, stranger};

const FILES: [&str; 3] = ["BLOCKED_FILE", "HISTORY_FILE", "WRAPPER_HOSTS_DENY"];

/// Waits until the map and all files name each of `sources`. No file may name a source twice, or another source.
fn assert_held_once(daemon: &Daemon<'_>, sources: &[IpAddr]) {
    let expected: BTreeSet<IpAddr> = sources.iter().copied().collect();
    daemon.wait_until("all are in the map", || expected.is_subset(&daemon.blocked().into_iter().collect()));
    for file in FILES {
        daemon.wait_until("all are in the files", || daemon.file(file).len() >= sources.len());
        let lines = daemon.file(file);
        assert_eq!(lines.len(), sources.len(), "{file} names each source once, and no other");
        for source in sources {
            assert!(lines.iter().any(|line| mentions(line, *source)), "{source} isn't in {file}");
        }
    }
}

/// Sets the soft and hard resource limit of a running process.
fn limit(daemon: &Daemon<'_>, what: &str, value: &str) {
    let process = daemon.process().to_string();
    let arguments = ["--pid", &process, &format!("--{what}={value}:")];
    let status = Command::new("prlimit").args(arguments).status().expect("prlimit of util-linux");
    assert!(status.success(), "prlimit {}: {status}", arguments.join(" "));
}

#[test]
fn no_more_files_can_be_opened() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").start();
    let wire = Wire::open(&lab.scanner);
    limit(&daemon, "nofile", "3");
    let sources: Vec<IpAddr> = (0..4).map(stranger).collect();
    sources.iter().for_each(|source| wire.probe(*source));
    for name in ["portsentry.history", "portsentry.blocked", "hosts.deny"] {
        let is_told = |line: &String| {
            line.contains("ERROR: ") && line.contains(name) && line.contains("Too many open files")
        };
        daemon.wait_until("each file was tried", || daemon.log().lines().iter().any(is_told));
    }
    let blocked: BTreeSet<IpAddr> = daemon.blocked().into_iter().collect();
    assert!(sources.iter().all(|source| blocked.contains(source)), "blocks are made all the same");
    limit(&daemon, "nofile", "1024");
    assert_held_once(&daemon, &sources);
    service.assert_open_to_bystander(&lab);
}

/// Blocks sources while no memory can be mapped, and calls `happens`. The daemon may die of it, but it must explain
/// why. Its blocks must stay in force, and all of them must be recorded in the end. Returns whether it died.
fn dies_without_memory(happens: impl FnOnce(&Daemon<'_>)) -> bool {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let wire = Wire::open(&lab.scanner);
    let mut daemon = setup.start();
    let mut sources = vec![lab.source(Family::V4)];
    wire.probe(sources[0]);
    daemon.wait_for_block(sources[0]);
    limit(&daemon, "as", "1");
    sources.extend((0..60).map(stranger));
    sources[1..].iter().for_each(|source| wire.probe(*source));
    happens(&daemon);
    assert!(!service.answers(&lab.scanner, sources[0], Reach::Unexpected), "it is blocked");
    service.assert_open_to_bystander(&lab);
    let is_written = || FILES.iter().all(|file| daemon.file(file).len() >= sources.len());
    daemon.wait_until("it catches up or ends", || daemon.has_ended() || is_written());
    let has_died = daemon.has_ended();
    if has_died {
        let text = daemon.kill().text();
        let told = ["memory allocation of", "Cannot allocate memory"];
        assert!(told.iter().any(|words| text.contains(words)), "it doesn't say what it died of:\n{text}");
        daemon = setup.start();
    } else {
        limit(&daemon, "as", "unlimited");
        daemon.signal(Signal::SIGHUP);
        daemon.log().wait_for("Configuration reloaded");
    }
    assert_held_once(&daemon, &sources);
    has_died
}

#[test]
fn no_more_memory_is_to_be_had() {
    dies_without_memory(|_| ());
}

#[test]
fn no_memory_for_a_new_session_ends_the_daemon_and_the_next_takes_over() {
    let dies = dies_without_memory(|daemon| {
        daemon.signal(Signal::SIGHUP);
        daemon.wait_until("it ends", || daemon.has_ended());
    });
    assert!(dies);
}

#[test]
fn a_ring_that_is_full_loses_words_but_no_block() {
    /// Twice the capacity of the ring: a record takes 72 bytes.
    const SOURCES: u16 = 120;
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("RING_SIZE", "4096").with("EVENT_RATE", "1000000").start();
    let wire = Wire::open(&lab.scanner);
    daemon.signal(Signal::SIGSTOP);
    let sources: Vec<IpAddr> = (0..SOURCES).map(stranger).collect();
    sources.iter().for_each(|source| wire.probe(*source));
    daemon.wait_until("all are blocked", || daemon.counter("blocked") == u64::from(SOURCES));
    let lost = daemon.counter("ring_full");
    assert!(lost > 0, "the ring was full");
    daemon.signal(Signal::SIGCONT);
    assert_held_once(&daemon, &sources);
    let told = format!("{lost} probes not logged: the ring was full: raise RING_SIZE");
    daemon.log().wait_for(&told);
    assert_eq!(daemon.log().count("EVENT_RATE"), 0, "there is nothing else to raise");
}

#[test]
fn a_map_that_is_full_keeps_whom_it_holds() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("MAX_BLOCKED", "4").start();
    let wire = Wire::open(&lab.scanner);
    let sources: Vec<IpAddr> = (0..12).map(|number| stranger(2 * number)).collect();
    let (held, late) = sources.split_at(4);
    held.iter().for_each(|source| wire.probe(*source));
    assert_held_once(&daemon, held);
    for source in late {
        wire.probe(*source);
        daemon.log().wait_for(&format!("ERROR: Could not block host {source}"));
    }
    assert_eq!(daemon.counter("blocked_full"), 8);
    assert_held_once(&daemon, held);
    // Unblocking makes room.
    let rest = daemon.file("BLOCKED_FILE")[1..].join("\n") + "\n";
    let new = daemon.setup().path("BLOCKED_FILE").with_file_name("edited");
    fs::write(&new, rest).expect("an edited file");
    fs::rename(&new, daemon.setup().path("BLOCKED_FILE")).expect("it takes the file's place");
    daemon.wait_until("one is let out", || daemon.blocked().len() == 3);
    wire.probe(late[0]);
    daemon.wait_until("another is blocked", || daemon.blocked().contains(&late[0]));
}

#[test]
fn smaller_maps_say_who_finds_no_room_in_them() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("MAX_BLOCKED", "8");
    let daemon = setup.start();
    let wire = Wire::open(&lab.scanner);
    let sources: Vec<IpAddr> = (0..8).map(|number| stranger(2 * number)).collect();
    sources.iter().for_each(|source| wire.probe(*source));
    assert_held_once(&daemon, &sources);
    setup.clone().with("MAX_BLOCKED", "3").write();
    daemon.signal(Signal::SIGHUP);
    let why = "sources are no longer blocked: MAX_BLOCKED is lower than before; raise it";
    daemon.log().wait_for(&format!("adminalert: ERROR: 5 {why}"));
    daemon.log().wait_for("Configuration reloaded");
    assert_eq!(daemon.blocked().len(), 3);
    daemon.terminate();
    let daemon = setup.clone().with("MAX_BLOCKED", "2").start();
    daemon.log().wait_for(&format!("adminalert: ERROR: 6 {why}"));
    assert_eq!(daemon.log().count("ERROR"), 1, "it is said in one line");
    daemon.terminate();
    // The remedy works.
    assert_held_once(&setup.start(), &sources);
}

#[test]
fn blocks_that_are_over_make_room() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("MAX_BLOCKED", "2").with("BLOCK_TIME", "4").start();
    let wire = Wire::open(&lab.scanner);
    let [first, second, late] = [0, 2, 4].map(stranger);
    [first, second, late].iter().for_each(|source| wire.probe(*source));
    daemon.log().wait_for(&format!("ERROR: Could not block host {late}"));
    for source in [first, second] {
        daemon.log().wait_for(&format!("Host {source} is no longer blocked: its time is over"));
    }
    wire.probe(late);
    daemon.log().wait_for(&format!("Host {late} has been blocked in the kernel"));
}

#[test]
fn killed_at_any_moment_it_forgets_nobody_and_tears_nothing() {
    let kills: u16 =
        std::env::var("KILLS").map_or(6, |text| u16::from_str(&text).expect("KILLS is a number"));
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let wire = Wire::open(&lab.scanner);
    let mut sources = Vec::new();
    let come = |sources: &mut Vec<IpAddr>| {
        let source = stranger(u16::try_from(sources.len()).expect("a few hundred"));
        wire.probe(source);
        sources.push(source);
    };
    drop(setup.start());
    for _ in 0..kills {
        let daemon = setup.start_silent();
        // During start, under load, or at rest. The clock decides, because the moment of the kill is the subject of
        // this test.
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(random.u64(..400)));
            come(&mut sources);
        }
        thread::sleep(Duration::from_millis(random.u64(..50)));
        daemon.kill();
        let link = lab.host.run("ip", &["link", "show", INTERFACE]);
        assert!(link.contains("xdp"), "seed {seed}: the program outlives the daemon: {link}");
        come(&mut sources);
    }
    println!("seed {seed}: {kills} kills, {} sources", sources.len());
    let daemon = setup.start();
    assert_held_once(&daemon, &sources);
    service.assert_open_to_bystander(&lab);
    // Temporary files of an earlier run are removed, too.
    let names: BTreeSet<_> = fs::read_dir(lab.files())
        .expect("the lab's files")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        // A block found only in the map has no evidence.
        .filter(|name| name != "portsentry.evidence")
        .collect();
    let expected = [
        "hosts.deny",
        "portsentry.blocked",
        "portsentry.blocked.denied",
        "portsentry.blocked.ids",
        "portsentry.conf",
        "portsentry.history",
        "portsentry.ignore",
        "run",
    ];
    assert_eq!(names, expected.map(str::to_owned).into(), "seed {seed}");
}
