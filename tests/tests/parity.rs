//! The kernel program and the same rules in userspace agree on frames that nobody thought of.
//!
//! `PARITY_CASES` (18,000 unless set) says how many, `PARITY_SEED` which; a frame on which they differ is kept in
//! `tests/corpus/`, and everything there is judged first in each run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use portsentry_common::{
    counter::COUNTERS,
    settings::{AckProbes, Response, Settings},
};
use portsentry_tests::{
    generate::Generator, kernel::InKernel, model::Model, namespace::with_sockets, outcome::Judge, place,
    scenario::Scenario,
};

const CASES: u64 = 18_000;
const SEED: u64 = 0x5eed;
/// Frames that a loaded program judges before it is loaded anew: what they leave behind is compared at the end.
const RUN: u64 = 2_000;
const HOUR_NS: u64 = 3_600_000_000_000;

/// Every way that the settings lead, each without the memory for sockets: the model, whose clock stands still,
/// has none.
fn scenarios() -> Vec<(&'static str, Scenario)> {
    type Change = fn(&mut Settings);
    let changes: [(&'static str, Change); 9] = [
        ("the first probe blocks", |_| {}),
        ("the third probe blocks", |settings| settings.trigger = 3),
        ("ACK probes count, and TCP is only reported", |settings| {
            settings.ack_probes = AckProbes::Count as u8;
            settings.tcp_response = Response::Report as u8;
        }),
        ("ACK probes are nothing", |settings| settings.ack_probes = AckProbes::Off as u8),
        ("the first probe fences", |settings| {
            settings.fence_ns = HOUR_NS;
            settings.fence_rate = u32::MAX;
            settings.first_ephemeral = 1900;
        }),
        ("probes fence and are challenged", |settings| {
            settings.fence_ns = HOUR_NS;
            settings.fence_rate = u32::MAX;
            settings.challenge_rate = u32::MAX;
            settings.first_ephemeral = 32_768;
            settings.trigger = 2;
        }),
        ("no fence can be made, but SYNs are challenged", |settings| {
            settings.fence_ns = HOUR_NS;
            settings.challenge_rate = u32::MAX;
        }),
        ("listed ports are traps", |settings| settings.traps = Settings::TCP_TRAPS | Settings::UDP_TRAPS),
        ("nothing is told twice", |settings| {
            settings.repeat_ns = HOUR_NS;
            settings.trigger = 2;
            settings.udp_response = Response::Report as u8;
        }),
    ];
    let scenario = |change: Change| {
        let scenario = Scenario::with(|settings| {
            settings.remembers = 0;
            change(settings);
        });
        Scenario { max_blocked: 1 << 16, ..scenario }
    };
    changes.into_iter().map(|(what, change)| (what, scenario(change))).collect()
}

/// Both judges, from one beginning.
struct Pair {
    kernel: InKernel,
    model: Model,
}

impl Pair {
    fn new(scenario: &Scenario) -> Self {
        Self { kernel: InKernel::new(scenario), model: Model::new(scenario) }
    }

    /// How the two differ on `frame`, in words.
    fn differ(&mut self, frame: &[u8]) -> Option<String> {
        let (in_kernel, in_model) = (self.kernel.judge(frame), self.model.judge(frame));
        (in_kernel != in_model).then(|| format!("kernel {in_kernel:?}\n model {in_model:?}"))
    }

    /// How those who are blocked differ, in words.
    fn differ_in_the_end(&self) -> Option<String> {
        let (in_kernel, in_model) = (self.kernel.blocked(), self.model.blocked());
        (in_kernel != in_model).then(|| format!("blocked by\nkernel {in_kernel:?}\n model {in_model:?}"))
    }
}

#[test]
fn frames_are_judged_alike() {
    let (cases, seed) = (number("PARITY_CASES", CASES), number("PARITY_SEED", SEED));
    with_sockets(&place::sockets(), || {
        what_once_differed();
        at_random(cases, seed);
    });
}

fn what_once_differed() {
    let frames = kept();
    for (what, scenario) in scenarios() {
        let mut pair = Pair::new(&scenario);
        for (path, frame) in &frames {
            assert_eq!(pair.differ(frame), None, "{}, where {what}", path.display());
        }
        assert_eq!(pair.differ_in_the_end(), None, "where {what}");
    }
}

fn at_random(cases: u64, seed: u64) {
    let mut generator = Generator::new(seed);
    for (run, (what, scenario)) in (0..cases.div_ceil(RUN)).zip(scenarios().iter().cycle()) {
        let mut pair = Pair::new(scenario);
        let end = cases.min((run + 1) * RUN);
        for case in run * RUN..end {
            let frame = generator.frame();
            if let Some(difference) = pair.differ(&frame) {
                let kept = keep(&frame, seed, case);
                panic!("PARITY_SEED={seed}, case {case}, where {what}: {kept}\n{difference}");
            }
        }
        assert_eq!(pair.differ_in_the_end(), None, "PARITY_SEED={seed}, up to case {end}, where {what}");
    }
}

#[test]
fn a_glance_tells_what_an_examination_would() {
    let seed = number("PARITY_SEED", SEED);
    for (what, scenario) in scenarios() {
        let mut generator = Generator::new(seed);
        let (mut glancing, mut examining) = (Model::new(&scenario), Model::new(&scenario));
        for case in 0..RUN {
            let frame = generator.frame();
            let (glanced, examined) = (glancing.judge(&frame), examining.examine(&frame));
            assert_eq!(glanced, examined, "PARITY_SEED={seed}, case {case}, where {what}: {frame:02x?}");
        }
    }
}

#[test]
fn frames_at_random_reach_every_counter() {
    // These take a map, a ring or an allowance that is used up.
    const FULL: [&str; 3] = ["blocked_full", "over_rate", "ring_full"];
    // No cookie is guessed; tests/challenge.rs earns one.
    let mut reached: BTreeSet<&str> = FULL.into_iter().chain(["proven"]).collect();
    for (_, scenario) in scenarios() {
        let mut generator = Generator::new(SEED);
        let mut model = Model::new(&scenario);
        reached.extend((0..RUN).flat_map(|_| model.judge(&generator.frame()).counted.into_keys()));
    }
    let all: BTreeSet<&str> = COUNTERS.iter().map(|(_, name, _)| *name).collect();
    assert_eq!(reached, all);
}

/// The corpus, in the order of its names.
fn kept() -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(corpus()).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("an entry of the corpus").path());
    let frames = paths.filter(|path| path.extension().is_some_and(|extension| extension == "frame"));
    frames.map(|path| (path.clone(), fs::read(path).expect("a frame of the corpus"))).collect()
}

/// Keeps `frame` in the corpus.
fn keep(frame: &[u8], seed: u64, case: u64) -> String {
    let path = corpus().join(format!("{seed:x}-{case}.frame"));
    match fs::create_dir_all(corpus()).and_then(|()| fs::write(&path, frame)) {
        Ok(()) => format!("kept as {}", path.display()),
        Err(error) => format!("{} can't be written ({error}): {frame:02x?}", path.display()),
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// An environment variable's number.
fn number(name: &str, default: u64) -> u64 {
    let parse = |text: String| u64::from_str(&text).unwrap_or_else(|error| panic!("{name}={text}: {error}"));
    std::env::var(name).map_or(default, parse)
}
