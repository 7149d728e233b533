//! A flood: every packet is counted, and neither the log nor the files nor the memory grow with it.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use portsentry_tests::lab::{Daemon, Family, INTERFACE, Lab, Probe};

/// Router solicitations and multicast reports that hosts in the lab may send meanwhile.
const STRAY: u64 = 64;

/// The packets: SYNs, or datagrams, to a watched port.
const SYNS: [&str; 3] = ["-S", "-p", "11"];
const DATAGRAMS: [&str; 3] = ["--udp", "-p", "69"];

const MAX_FENCED: usize = 1024;
const FENCE_RATE: usize = 200;
const EVENT_RATE: usize = 50;
/// Duration of a flood, in seconds.
const FLOOD: u64 = 5;
/// Maximum CPU time of the daemon: three fifths of a core. Reading every packet would take more than one.
const MOST_WORK: Duration = Duration::from_secs(FLOOD * 3 / 5);
/// Maximum growth of the daemon's memory, in KiB.
const MOST_MORE: u64 = 32 * 1024;

/// Returns the number of frames that the host's interface has received.
fn received(lab: &Lab) -> u64 {
    lab.host.frames(INTERFACE, "rx")
}

/// Sends SYNs, which the kernel handles almost without the daemon. Returns the number of frames received before.
fn flood_of_syns(lab: &Lab, daemon: &Daemon<'_>, from: &[&str]) -> u64 {
    let work = worked(daemon);
    let before = flood(lab, SYNS, from);
    daemon.settle();
    let work = worked(daemon).saturating_sub(work);
    assert!(work < MOST_WORK, "the daemon worked for {work:?} on a flood of {FLOOD} seconds");
    before
}

/// Sends probes as fast as possible. Returns the number of frames received before. A count of those that arrived is read after the
/// counters that it is compared with.
fn flood(lab: &Lab, what: [&str; 3], from: &[&str]) -> u64 {
    let before = received(lab);
    let host = Family::V4.host().to_string();
    let seconds = FLOOD.to_string();
    let flood = [seconds.as_str(), "hping3", "-n", "-q", "--flood", &host];
    let mut command = lab.scanner.command("timeout");
    let ended = command.args(flood).args(what).args(from).output().expect("timeout of coreutils");
    assert_eq!(ended.status.code(), Some(124), "{}", String::from_utf8_lossy(&ended.stderr));
    // The host's queue may still hold some packets.
    let mut arrived = received(lab);
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let now = received(lab);
        if now - arrived <= STRAY / 8 {
            return before;
        }
        arrived = now;
    }
}

fn assert_counted(arrived: u64, counted: u64) {
    assert!(arrived > 10_000, "{arrived} is no flood");
    assert!(counted <= arrived && arrived - counted <= STRAY, "{counted} of {arrived} were counted");
}

/// Returns the daemon's CPU time, in user and kernel mode (`utime` and `stime` of proc(5)'s stat).
fn worked(daemon: &Daemon<'_>) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.process())).expect("a state");
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = times.map(|time| time.parse::<u64>().expect("a number")).sum();
    // Userspace sees hundredths of a second, whatever the kernel's tick rate.
    Duration::from_millis(10 * ticks)
}

/// Returns the daemon's peak memory, in KiB.
fn peak(daemon: &Daemon<'_>) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.process())).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Returns the seconds since `begin`, rounded up, plus one for a full bucket.
fn seconds_since(begin: Instant) -> usize {
    usize::try_from(begin.elapsed().as_secs()).expect("seconds") + 2
}

/// Starts a daemon with low limits that doesn't require proof.
fn limited<'lab>(lab: &'lab Lab, flags: &str) -> Daemon<'lab> {
    let settings = [("MAX_FENCED", MAX_FENCED), ("FENCE_RATE", FENCE_RATE), ("EVENT_RATE", EVENT_RATE)];
    let setup = lab.portsentry(flags).with("BLOCK_UNPROVEN", "0");
    settings.iter().fold(setup, |setup, (key, value)| setup.with(key, &value.to_string())).start()
}

#[test]
fn a_flood_from_everywhere_is_counted_and_leaves_little_behind() {
    let lab = Lab::new();
    let daemon = limited(&lab, "-stcp");
    let small = peak(&daemon);
    let begin = Instant::now();
    let before = flood_of_syns(&lab, &daemon, &["--rand-source"]);
    let counted = ["probes", "implausible", "dropped_fenced"].map(|name| daemon.counter(name));
    let told = ["reported", "repeated", "over_rate", "ring_full"].map(|name| daemon.counter(name));
    let arrived = received(&lab) - before;
    assert_counted(arrived, counted.iter().sum());
    assert!(told.iter().sum::<u64>() <= arrived && told[2] > 0, "{told:?}");
    daemon.log().wait_for("probes not logged: EVENT_RATE exceeded");

    // The maximum applies per CPU and second.
    let cpus = std::thread::available_parallelism().expect("CPUs").get();
    let most = |rate: usize| rate * cpus * seconds_since(begin);
    // A reported probe has up to two lines, and each fence has one for hosts.deny.
    let lines = daemon.log().lines().len();
    assert!(lines <= most(EVENT_RATE) * 2 + most(FENCE_RATE) + 200, "{lines} lines");
    let blocked = daemon.file("BLOCKED_FILE").len();
    assert!(blocked <= 2 * MAX_FENCED + most(EVENT_RATE), "{blocked} lines in the blocked file");
    let history = daemon.file("HISTORY_FILE").len();
    assert!(history <= most(FENCE_RATE) + most(EVENT_RATE), "{history} lines in the history");
    let large = peak(&daemon);
    assert!(large < small + MOST_MORE, "{small} KiB became {large}");
}

#[test]
fn a_flood_from_one_is_counted_and_told_once() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").start();
    let source: IpAddr = lab.source(Family::V4);
    let (small, said) = (peak(&daemon), daemon.log().lines().len());
    let before = flood_of_syns(&lab, &daemon, &["-a", &source.to_string()]);
    let counted = ["probes", "dropped"].map(|name| daemon.counter(name));
    assert_counted(received(&lab) - before, counted.iter().sum());
    daemon.wait_for_block(source);
    assert_eq!(daemon.told_of(source).len(), 1);
    assert_eq!(daemon.file_about("BLOCKED_FILE", source).len(), 1);
    assert_eq!(daemon.file_about("HISTORY_FILE", source).len(), 1);
    // Two lines for each blocked source: the source itself, and the one that ended `settle`.
    let said = daemon.log().lines().len() - said;
    assert!(said <= 10, "{said} lines");
    let large = peak(&daemon);
    assert!(large < small + MOST_MORE, "{small} KiB became {large}");
}

#[test]
fn a_flood_of_datagrams_to_a_trap_leaves_little_behind() {
    let lab = Lab::new();
    let daemon = limited(&lab, "-udp");
    let small = peak(&daemon);
    let begin = Instant::now();
    let before = flood(&lab, DATAGRAMS, &["--rand-source"]);
    let arrived = received(&lab) - before;
    assert!(arrived > 10_000, "{arrived} is no flood");
    // Immediately after the flood the rate limit drops a datagram.
    let source = lab.source(Family::V4);
    daemon.wait_until("it is over", || {
        let _probe = Probe::udp(&lab.scanner, source, SocketAddr::new(Family::V4.host(), 69));
        !daemon.log().lines_about(source).is_empty()
    });
    daemon.log().wait_for("probes not logged: EVENT_RATE exceeded");
    daemon.log().wait_for("their sources not fenced: FENCE_RATE exceeded");
    // A reported probe has up to two lines, and each fence has one for hosts.deny.
    let lines = daemon.log().lines().len();
    assert!(lines <= (2 * EVENT_RATE + FENCE_RATE) * seconds_since(begin) + 200, "{lines} lines");
    let denied = daemon.file("WRAPPER_HOSTS_DENY").len();
    assert!(denied <= FENCE_RATE * seconds_since(begin), "{denied} lines in hosts.deny");
    let history = daemon.file("HISTORY_FILE").len();
    assert!(history <= FENCE_RATE * seconds_since(begin), "{history} lines in the history");
    let large = peak(&daemon);
    assert!(large < small + 32 * 1024, "{small} KiB became {large}");
}
