//! Many words: after a long cut, for a new gateway, and as news. The sources are in the kernels in the end, whatever that takes;
//! `docs/fleet.md` says how its figures are measured with more of them.

use std::{
    env,
    net::{IpAddr, Ipv4Addr},
    thread,
    time::{Duration, Instant},
};

use portsentry_tests::lab::{
    Daemon, Fleet, Lab, Portsentry,
    fleet::{Gateway, Process},
    wait_within,
};

/// Far longer than a million words take.
const PATIENCE: Duration = Duration::from_mins(10);
/// A look is a process and an answer of the daemon, and takes time from both.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Sources at a time.
const AT_ONCE: usize = 200;

/// A gateway with a daemon.
struct Member<'a> {
    setup: Portsentry<'a>,
    _daemon: Daemon<'a>,
    _companion: Process,
}

impl<'a> Member<'a> {
    /// Starts the daemon and the companion of a gateway that has room for `count` sources.
    fn start(fleet: &Fleet, lab: &'a Lab, index: usize, count: usize) -> Self {
        let [most, all] = [count + 1, 2 * count + 1000].map(|count| count.to_string());
        let setup = lab.portsentry("-stcp").with("XDP_MODE", "generic").in_fleet("*");
        let setup = setup.with("GATEWAY_NAME", &format!("gw{}", index + 1)).with("PEER_RATE", "1000000");
        let setup =
            setup.with("MAX_PER_PEER", &most).with("MAX_PEER_BLOCKED", &most).with("MAX_BLOCKED", &all);
        let daemon = setup.start();
        let companion = fleet.start_companion(index, &setup.share_socket());
        Self { setup, _daemon: daemon, _companion: companion }
    }

    /// Returns the number of sources that it blocks because the first gateway says so.
    fn in_force(&self) -> usize {
        let report = self.setup.say("peers --json").json();
        let peers = report["peers"].as_array().into_iter().flatten();
        let peer = peers.filter(|peer| peer["gateway"] == "gw1").map(|peer| peer["in_force"].as_u64());
        usize::try_from(peer.flatten().sum::<u64>()).expect("a count")
    }

    fn wait_for(&self, count: usize) {
        let complaint = || format!("in vain: {count} sources in force; there are {}", self.in_force());
        wait_within(PATIENCE, complaint, || {
            thread::sleep(BETWEEN_LOOKS);
            self.in_force() == count
        });
    }
}

/// Returns the number in an environment variable, and whether it is set.
fn number(name: &str, default: usize) -> (usize, bool) {
    let text = env::var(name).ok();
    let number = text.as_ref().map_or(default, |text| text.parse().expect("a number"));
    (number, text.is_some())
}

fn sources(count: usize) -> Vec<IpAddr> {
    let numbers = 0..u32::try_from(count).expect("fewer than addresses");
    numbers.map(|number| Ipv4Addr::from(0x0b00_0000 + number).into()).collect()
}

fn wait_until_stored(gateway: &Gateway<'_>) {
    let is_stored = || gateway.heard(|words| words.report["waiting"] == 0);
    // The first report may be older than the words.
    for _ in 0..2 {
        gateway.clear();
        wait_within(PATIENCE, || "in vain: the state has all words".into(), is_stored);
    }
}

#[test]
fn a_gateway_that_was_cut_off_for_long_has_all_words_soon() {
    let (seconds, is_measured) = number("FLEET_CUT", 2);
    let fleet = Fleet::new(&["gw1", "gw2"]);
    let lab = Lab::new();
    let speaker = fleet.gateway(0);
    let sources = sources(seconds * 1000);
    let member = Member::start(&fleet, &lab, 1, sources.len());
    speaker.wait_until_ready(2);
    speaker.wait_for_beat("gw2");
    fleet.wire("g1", true);
    let lines: Vec<String> = sources.chunks(10).map(|some| speaker.line(some)).collect();
    let begun = Instant::now();
    for (number, line) in (0..).zip(&lines) {
        let due = Duration::from_millis(number * 10);
        thread::sleep(due.saturating_sub(begun.elapsed()));
        speaker.tell_line(line);
    }
    wait_until_stored(&speaker);
    assert!(member.in_force() < sources.len() / 2, "it was cut off");
    let mended = Instant::now();
    fleet.wire("g1", false);
    member.wait_for(sources.len());
    let whole = mended.elapsed();
    println!("{seconds} s cut off at 1000/s: {} sources in the kernel {whole:?} after", sources.len());
    assert!(!is_measured || whole <= Duration::from_millis(1500), "{whole:?}");
}

#[test]
fn a_new_gateway_has_the_whole_state_in_its_kernel() {
    let (count, is_measured) = number("FLEET_STATE", 5000);
    let fleet = Fleet::new(&["gw1", "gw2"]);
    let lab = Lab::new();
    let speaker = fleet.gateway(0);
    speaker.wait_until_ready(2);
    let (sources, begun) = (sources(count), Instant::now());
    // The state stores a few thousand words per second. More of them at a time are only more memory.
    for some in sources.chunks(20_000) {
        some.chunks(AT_ONCE).for_each(|some| speaker.block_all(some));
        wait_until_stored(&speaker);
    }
    println!("{count} words are in the state after {:?}", begun.elapsed());
    let begun = Instant::now();
    let member = Member::start(&fleet, &lab, 1, count);
    let (started, begun) = (begun.elapsed(), Instant::now());
    member.wait_for(count);
    let whole = begun.elapsed();
    println!(
        "{count} sources in the kernel {whole:?} after the start of the companion, {started:?} after the daemon's"
    );
    assert!(!is_measured || whole <= Duration::from_secs(8), "{whole:?}");
}

#[test]
fn many_news_are_in_every_kernel() {
    let (count, is_measured) = number("FLEET_NEWS", 2000);
    let fleet = Fleet::new(&["gw1", "gw2", "gw3"]);
    let labs = [Lab::new(), Lab::new()];
    (0..3).for_each(|index| fleet.configure(index, "NEWS_RATE=\"100000\"\n"));
    let speaker = fleet.gateway(0);
    let members = [1, 2].map(|index| Member::start(&fleet, &labs[index - 1], index, count));
    speaker.wait_until_ready(2);
    ["gw2", "gw3"].iter().for_each(|name| speaker.wait_for_beat(name));
    let sources = sources(count);
    let lines: Vec<String> = sources.chunks(AT_ONCE).map(|some| speaker.line(some)).collect();
    let begun = Instant::now();
    lines.iter().for_each(|line| speaker.tell_line(line));
    members.iter().for_each(|member| member.wait_for(count));
    let whole = begun.elapsed();
    println!("{count} news are in every kernel after {whole:?}");
    assert!(!is_measured || whole <= Duration::from_secs(3), "{whole:?}");
}
