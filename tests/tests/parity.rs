//! Three judges agree on random frames: the kernel program, the same rules in userspace, and an oracle that parses
//! frames with etherparse and takes the rules from the documents.
//!
//! `PARITY_CASES` (default 20,000) is the number of frames, `PARITY_SEED` their seed. Every fourth frame is the
//! next combination of headers, and a million frames include all combinations. Frames on which the judges differ
//! are kept in `tests/corpus/`, which each run judges first.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs,
    path::PathBuf,
    str::FromStr,
};

use portsentry_common::counter::COUNTERS;
use portsentry_tests::{
    document,
    generate::{COMBINATIONS, Generator, combination},
    kernel::InKernel,
    model::Model,
    namespace::with_sockets,
    oracle::Oracle,
    outcome::Judge,
    scenario::{Scenario, every_way},
    test_host,
};

const CASES: u64 = 20_000;
const SEED: u64 = 0x5eed;
/// Minimum number of frames in the corpus: past findings stay.
const KEPT: usize = 21;
/// Number of frames that a loaded program judges before it is replaced. Its state is compared at the end.
const RUN: u64 = 2_000;

/// All judges, in the same initial state.
struct Bench {
    kernel: InKernel,
    model: Model,
    oracle: Oracle,
}

impl Bench {
    fn new(scenario: &Scenario) -> Self {
        Self { kernel: InKernel::new(scenario), model: Model::new(scenario), oracle: Oracle::new(scenario) }
    }

    /// Returns the differences on `frame`, as text.
    fn differ(&mut self, frame: &[u8]) -> Option<String> {
        let Self { kernel, model, oracle } = self;
        apart([kernel.judge(frame), model.judge(frame), oracle.judge(frame)])
    }

    /// Returns the differences in blocked sources, as text.
    fn differ_in_the_end(&self) -> Option<String> {
        apart([self.kernel.blocked(), self.model.blocked(), self.oracle.blocked()])
    }
}

fn apart<T: Debug + PartialEq>([kernel, model, oracle]: [T; 3]) -> Option<String> {
    let is_one = kernel == model && model == oracle;
    (!is_one).then(|| format!("kernel {kernel:?}\n model {model:?}\noracle {oracle:?}"))
}

#[test]
fn frames_are_judged_alike() {
    let (cases, seed) = (number("PARITY_CASES", CASES), number("PARITY_SEED", SEED));
    with_sockets(&test_host::sockets(), frames_on_which_the_judges_once_differed);
    at_random(cases, seed);
}

fn frames_on_which_the_judges_once_differed() {
    let frames = kept();
    assert!(frames.len() >= KEPT, "{} holds {} frames", corpus().display(), frames.len());
    for (what, scenario) in every_way() {
        let mut bench = Bench::new(&scenario);
        for (path, frame) in &frames {
            assert_eq!(bench.differ(frame), None, "{}, where {what}", path.display());
        }
        assert_eq!(bench.differ_in_the_end(), None, "where {what}");
    }
}

fn at_random(cases: u64, seed: u64) {
    let mut generator = Generator::new(seed);
    for (run, (what, scenario)) in (0..cases.div_ceil(RUN)).zip(every_way().iter().cycle()) {
        let cases = run * RUN..cases.min((run + 1) * RUN);
        // A socket in TIME-WAIT lasts a minute.
        with_sockets(&test_host::sockets(), || {
            let mut bench = Bench::new(scenario);
            let end = cases.end;
            for case in cases {
                let frame = frame(case, &mut generator);
                if let Some(difference) = bench.differ(&frame) {
                    let kept = keep(&frame, seed, case);
                    panic!("PARITY_SEED={seed}, case {case}, where {what}: {kept}\n{difference}");
                }
            }
            assert_eq!(bench.differ_in_the_end(), None, "PARITY_SEED={seed}, up to case {end}, where {what}");
        });
    }
}

/// Every fourth frame is a combination of headers; the others are random.
fn frame(case: u64, generator: &mut Generator) -> Vec<u8> {
    let number = usize::try_from(case / 4).expect("cases that can be counted");
    if case.is_multiple_of(4) { combination(number) } else { generator.frame() }
}

/// Ensures the number of frames that the top of this file states.
const _: () = assert!(COMBINATIONS <= 250_000);

#[test]
fn the_fast_path_decides_as_the_slow_path_does() {
    let seed = number("PARITY_SEED", SEED);
    for (what, scenario) in every_way() {
        let mut generator = Generator::new(seed);
        let (mut whole, mut slow_only) = (Model::new(&scenario), Model::new(&scenario));
        for case in 0..RUN {
            let frame = generator.frame();
            let (by_judge, by_slow_path) = (whole.judge(&frame), slow_only.slow_path(&frame));
            assert_eq!(by_judge, by_slow_path, "PARITY_SEED={seed}, case {case}, where {what}: {frame:02x?}");
        }
    }
}

#[test]
fn frames_at_random_reach_every_counter() {
    // Counters that need a full map, a full ring or an empty bucket.
    const FULL: [&str; 4] = ["blocked_full", "over_rate", "over_syns", "ring_full"];
    // These need outgoing packets: see tests/learned.rs.
    const LEARNED: [&str; 5] =
        ["learned_served", "learned_refused", "failed_connections", "over_failures", "withheld"];
    // These need the detection of scans.
    const SCANS: [&str; 4] = ["failed_contacts", "scan_no_room", "scan_reports", "scan_fences"];
    // No generated frame guesses a cookie; tests/challenge.rs obtains one.
    let mut reached: BTreeSet<&str> =
        FULL.into_iter().chain(LEARNED).chain(SCANS).chain(["proven"]).collect();
    for (_, scenario) in every_way() {
        let mut generator = Generator::new(SEED);
        let mut model = Model::new(&scenario);
        reached.extend((0..RUN).flat_map(|_| model.judge(&generator.frame()).counted.into_keys()));
    }
    let all: BTreeSet<&str> = COUNTERS.iter().map(|(_, name, _)| *name).collect();
    assert_eq!(reached, all);
}

/// Returns the corpus, ordered by name.
fn kept() -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(corpus()).unwrap_or_else(|error| panic!("{}: {error}", corpus().display()));
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
    document::root().join("tests/corpus")
}

/// Returns the number in an environment variable.
fn number(name: &str, default: u64) -> u64 {
    let parse = |text: String| u64::from_str(&text).unwrap_or_else(|error| panic!("{name}={text}: {error}"));
    std::env::var(name).map_or(default, parse)
}
