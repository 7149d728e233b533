//! A long run of honest traffic, scans, blocks and floods. No resource may grow, and no block may remain or get
//! lost.
//!
//! `SOAK` is the duration in seconds; the default is a few seconds.

use std::{
    collections::VecDeque,
    env, fs,
    net::IpAddr,
    time::{Duration, Instant},
};

use portsentry_tests::lab::{Daemon, FAMILIES, Family, Lab, Probe, Reach, Service};

/// Duration of fences and blocks.
const TERM: Duration = Duration::from_secs(10);
/// Maximum delay until the end of a block is visible: the files are updated twice a second, and a client retries
/// after one, three and seven seconds.
const LATE: Duration = Duration::from_secs(8);
/// Rounds between two floods.
const FLOODS: usize = 20;
/// Scanners, which return in turn.
const SCANNERS: usize = 40;
const KINDS: [&str; 9] = ["syn", "fin", "null", "xmas", "unknown", "maimon", "ack", "fragment", "udp"];
const TOLD: [&str; 5] = ["reported", "repeated", "over_rate", "ring_full", "over_fences"];

/// The daemon's resources at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    resident_kib: u64,
    files: usize,
}

impl Sample {
    fn take(daemon: &Daemon<'_>) -> Self {
        let process = format!("/proc/{}", daemon.process());
        let status = fs::read_to_string(format!("{process}/status")).expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        Self {
            resident_kib: line.trim().trim_end_matches(" kB").parse().expect("a number"),
            files: fs::read_dir(format!("{process}/fd")).expect("open files").count(),
        }
    }
}

/// The blocked or fenced sources, with their end times.
struct Held {
    source: IpAddr,
    since: Instant,
}

fn sum(daemon: &Daemon<'_>, names: &[&str]) -> u64 {
    names.iter().map(|name| daemon.counter(name)).sum()
}

/// Scans, or blocks by command. Either way the source is held from then on.
fn hold(lab: &Lab, daemon: &Daemon<'_>, source: IpAddr, round: usize) -> Held {
    const SCANS: [&str; 5] =
        ["-sS -p 1,7,11", "-sF -p 11", "-sN -p 7", "-sX -p 1", "-sS -T5 --min-rate 2000 -p 1-200"];
    if round % 6 == 5 {
        let command = format!("block {source} --for {}s", TERM.as_secs());
        // During a flood the daemon may report that it is too busy to answer.
        daemon.wait_until("it is blocked by command", || {
            let said = daemon.setup().say(&command);
            assert!(said.code == 0 || said.errors.contains("busy"), "{said:?}");
            said.out.contains("blocked")
        });
    } else {
        lab.nmap(source, SCANS[round % 6]);
    }
    Held { source, since: Instant::now() }
}

/// Sends SYNs for a second, from random addresses or from one unused address.
fn flood(lab: &Lab, round: usize) {
    let host = Family::V4.host().to_string();
    let from: &[&str] =
        if round.is_multiple_of(2 * FLOODS) { &["--rand-source"] } else { &["-a", "192.0.2.250"] };
    let flood = ["1", "hping3", "-n", "-q", "--flood", "-S", "-p", "11", &host];
    lab.scanner.command("timeout").args(flood).args(from).output().expect("timeout of coreutils");
}

/// Waits until sources whose block has expired get through again.
fn let_in(lab: &Lab, service: &Service, daemon: &Daemon<'_>, held: &mut VecDeque<Held>) {
    while held.front().is_some_and(|held| held.since.elapsed() > TERM) {
        let Some(Held { source, .. }) = held.pop_front() else { break };
        let asked = Instant::now();
        assert!(service.answers(&lab.scanner, source, Reach::Expected), "{source} is still held");
        assert!(asked.elapsed() < LATE, "{source} was held for {:?} too long", asked.elapsed());
        daemon.wait_until("the files follow", || daemon.file_about("BLOCKED_FILE", source).is_empty());
    }
}

#[test]
fn nothing_grows_or_stays_or_gets_lost() {
    let seconds = env::var("SOAK").map_or(25, |text| text.parse().expect("SOAK is a number of seconds"));
    let end = Instant::now() + Duration::from_secs(seconds);
    let lab = Lab::new();
    let services = [lab.serve_tcp(8080), lab.serve_udp(5300)];
    let term = TERM.as_secs().to_string();
    let settings = [("FENCE_TIME", term.as_str()), ("BLOCK_TIME", &term), ("MAX_FENCED", "4096")];
    let setup = lab.portsentry("-stcp").with("BLOCK_UNPROVEN", "0").with("REPEAT_WINDOW", "1");
    let setup = settings.into_iter().fold(setup, |setup, (key, value)| setup.with(key, value));
    let daemon = setup.start();
    let scanners: Vec<_> = (0..SCANNERS).map(|number| lab.source(FAMILIES[number % 2])).collect();
    let friend = lab.source(Family::V4);
    let (mut held, mut samples, mut connection) = (VecDeque::new(), Vec::new(), None);
    // The first flood allocates the resources that floods need; they are no growth later.
    flood(&lab, 0);
    let mut round = 0;
    while Instant::now() < end {
        let source = scanners[round % SCANNERS];
        if !held.iter().any(|held: &Held| held.source == source) {
            held.push_back(hold(&lab, &daemon, source, round));
            assert!(!services[0].answers(&lab.scanner, source, Reach::Unexpected), "{source} gets through");
        }
        for service in &services {
            assert!(service.answers(&lab.scanner, friend, Reach::Expected), "a friend is kept out");
            service.assert_open_to_bystander(&lab);
        }
        // An honest connection to an unwatched port stays open for a while.
        connection = Some(Probe::tcp(&lab.scanner, friend, (Family::V4.host(), 8080).into())).or(connection);
        if round % FLOODS == FLOODS - 1 {
            flood(&lab, round + 1);
        }
        let_in(&lab, &services[0], &daemon, &mut held);
        samples.push(Sample::take(&daemon));
        round += 1;
    }
    drop(connection);
    // The last blocks expire, too, as do those of the floods.
    while !held.is_empty() {
        let_in(&lab, &services[0], &daemon, &mut held);
        std::thread::yield_now();
    }
    let ended = || {
        let held = [daemon.blocked(), daemon.fenced()].concat();
        held.is_empty()
            && ["BLOCKED_FILE", "WRAPPER_HOSTS_DENY"].iter().all(|file| daemon.file(file).is_empty())
    };
    daemon.wait_until("every block and fence has ended, in the files as well", ended);

    assert_eq!(daemon.counter("probes"), sum(&daemon, &KINDS), "kinds of probes");
    assert_eq!(daemon.counter("probes"), sum(&daemon, &TOLD), "probes told, or not and why");
    let (first, second) = samples.split_at(samples.len() / 2);
    let most = |samples: &[Sample]| {
        let files = samples.iter().map(|sample| sample.files).max();
        (samples.iter().map(|sample| sample.resident_kib).max().unwrap_or(0), files.unwrap_or(0))
    };
    let (before, after) = (most(first), most(second));
    println!("{seconds} s, {round} rounds: KiB resident and open files {before:?}, then {after:?}");
    let [probes, fenced, blocked] = ["probes", "dropped_fenced", "dropped"].map(|name| daemon.counter(name));
    println!("{probes} probes; dropped: {fenced} of fenced, {blocked} of blocked sources");
    assert!(after.0 <= before.0 + before.0 / 10 + 2048, "{} KiB became {}", before.0, after.0);
    assert!(after.1 <= before.1 + 1, "{} open files became {}", before.1, after.1);
    let errors: Vec<_> = daemon.log().lines().into_iter().filter(|line| line.contains("ERROR")).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}
