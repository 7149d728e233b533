//! Any of a fleet's nine processes is killed at a random moment: one of three daemons, three companions or three servers.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    env,
    net::{IpAddr, Ipv4Addr},
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use portsentry_tests::lab::{Daemon, Fleet, Lab, Portsentry, fleet::Process, wait_within};

/// Time until the states agree, on a machine that does nothing else.
const WHOLE: Duration = Duration::from_secs(5);
/// The same on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const NAMES: [&str; 3] = ["gw1", "gw2", "gw3"];

/// The gateways, the servers, and the sources that all gateways are to block.
struct Gateways<'a> {
    fleet: &'a Fleet,
    setups: Vec<Portsentry<'a>>,
    daemons: Vec<Option<Daemon<'a>>>,
    companions: Vec<Option<Process>>,
    blocked: BTreeSet<IpAddr>,
    /// Those that all gateways have heard of.
    known: Vec<IpAddr>,
    number: u32,
    random: fastrand::Rng,
}

impl<'a> Gateways<'a> {
    fn new(fleet: &'a Fleet, labs: &'a [Lab], seed: u64) -> Self {
        let setup = |(lab, name): (&'a Lab, &str)| {
            let setup = lab.portsentry("-stcp").with("XDP_MODE", "generic").in_fleet("*");
            setup.with("GATEWAY_NAME", name).with("SHARE_BLOCKS", "all").with("PEER_RATE", "10000")
        };
        let setups: Vec<_> = labs.iter().zip(NAMES).map(setup).collect();
        let mut new = Self {
            fleet,
            setups,
            daemons: NAMES.map(|_| None).into(),
            companions: NAMES.map(|_| None).into(),
            blocked: BTreeSet::new(),
            known: Vec::new(),
            number: 0,
            random: fastrand::Rng::with_seed(seed),
        };
        for index in 0..NAMES.len() {
            new.daemons[index] = Some(new.setups[index].start());
            new.start(NAMES.len() + index);
        }
        new
    }

    /// Kills a process: a daemon, a companion or a server, in this order.
    fn kill(&mut self, process: usize) {
        match (process / 3, process % 3) {
            (0, index) => drop(self.daemons[index].take().map(Daemon::kill)),
            (1, index) => self.companions[index] = None,
            (_, index) => self.fleet.kill_server(index),
        }
    }

    /// Starts a process that was killed.
    fn start(&mut self, process: usize) {
        match (process / 3, process % 3) {
            (0, index) => self.daemons[index] = Some(self.setups[index].start()),
            (1, index) => {
                let socket = self.setups[index].share_socket();
                self.companions[index] = Some(self.fleet.start_companion(index, &socket));
            }
            (_, index) => self.fleet.start_server(index),
        }
    }

    /// Has administrators at gateways block new sources, and lift the blocks of some at others.
    fn work(&mut self, times: Range<u32>) {
        for _ in 0..self.random.u32(times) {
            let running: Vec<usize> =
                (0..NAMES.len()).filter(|index| self.daemons[*index].is_some()).collect();
            let setup = &self.setups[running[self.random.usize(..running.len())]];
            let lifts = !self.known.is_empty() && self.random.u8(..) < 64;
            if lifts {
                let source = self.known.swap_remove(self.random.usize(..self.known.len()));
                assert_eq!(setup.say(&format!("unblock {source}")).code, 0);
                self.blocked.remove(&source);
            } else {
                self.number += 1;
                let source = IpAddr::from(Ipv4Addr::from(0x0b00_0000 + self.number));
                assert_eq!(setup.say(&format!("block {source}")).code, 0);
                self.blocked.insert(source);
            }
        }
    }

    /// Waits until all gateways block the same sources.
    fn agree(&mut self, what: &str) {
        let held = |daemon: &Daemon<'_>| -> BTreeSet<IpAddr> { daemon.blocked().into_iter().collect() };
        let last = RefCell::new(Vec::new());
        let agrees = || {
            let states = self.daemons.iter().flatten().map(held);
            last.replace(states.collect());
            last.borrow().iter().all(|state| *state == self.blocked)
        };
        let complaint = || {
            let differ = last.borrow();
            let differences = differ.iter().map(|state| state ^ &self.blocked);
            format!("{what}: the states differ: {:?}", differences.collect::<Vec<_>>())
        };
        wait_within(PATIENCE, complaint, agrees);
        self.known = self.blocked.iter().copied().collect();
    }
}

#[test]
fn the_states_agree_after_each_kill() {
    let kills = env::var("FLEET_KILLS").ok().map(|text| text.parse().expect("FLEET_KILLS is a number"));
    let fleet = Fleet::new(&NAMES);
    let labs = [Lab::new(), Lab::new(), Lab::new()];
    let seed =
        env::var("FLEET_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().expect("a number"));
    let mut gateways = Gateways::new(&fleet, &labs, seed);
    gateways.work(3..4);
    gateways.agree("at the beginning");
    let mut times = Vec::new();
    for round in 0..kills.unwrap_or(6) {
        // A daemon, a companion and a server in turn.
        let process = round % 3 * 3 + gateways.random.usize(..3);
        gateways.work(1..4);
        // The moment of the kill is the subject of this test.
        thread::sleep(Duration::from_millis(gateways.random.u64(..30)));
        gateways.kill(process);
        gateways.work(1..4);
        let begun = Instant::now();
        gateways.start(process);
        gateways.agree(&format!("seed {seed}, round {round}, process {process}"));
        times.push((begun.elapsed(), process));
    }
    times.sort_unstable();
    let longest = times.iter().rev().take(5).collect::<Vec<_>>();
    println!("seed {seed}: the states agree after {} kills; the longest waits: {longest:?}", times.len());
    if kills.is_some() {
        assert!(times.iter().all(|(took, _)| *took <= WHOLE), "{times:?}");
    }
}
