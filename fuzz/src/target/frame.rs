//! Frames for the rules: the fast path, the slow path and the oracle agree.
//!
//! An input is the number of a scenario, followed by frames, each after a byte with its length.

use std::cell::OnceCell;

use portsentry_common::parse::ETHERNET;
use portsentry_tests::{
    generate::{COMBINATIONS, Generator, combination},
    model::Model,
    oracle::Oracle,
    outcome::Judge,
    scenario::{Scenario, every_way},
};

const MOST: usize = u8::MAX as usize;

thread_local! {
    static SCENARIOS: OnceCell<Vec<Scenario>> = const { OnceCell::new() };
}

pub(super) fn check(data: &[u8]) {
    let Some((number, frames)) = data.split_first() else { return };
    SCENARIOS.with(|scenarios| {
        let scenarios =
            scenarios.get_or_init(|| every_way().into_iter().map(|(_, scenario)| scenario).collect());
        judge(&scenarios[usize::from(*number) % scenarios.len()], frames);
    });
}

fn judge(scenario: &Scenario, mut frames: &[u8]) {
    let (mut model, mut slow) = (Model::new(scenario), Model::new(scenario));
    let mut oracle = Oracle::new(scenario);
    while let Some((length, rest)) = frames.split_first() {
        let (frame, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        frames = rest;
        // The kernel accepts no shorter frame.
        if frame.len() >= ETHERNET {
            let judged = model.judge(frame);
            assert_eq!(judged, slow.slow_path(frame), "the fast path agrees with the slow path");
            assert_eq!(judged, oracle.judge(frame), "the rules agree with the oracle");
        }
    }
    assert_eq!(model.blocked(), oracle.blocked());
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut generator = Generator::new(1);
    let frames: Vec<Vec<u8>> = (0..COMBINATIONS)
        .step_by(COMBINATIONS / 400)
        .map(combination)
        .chain((0..2000).map(|_| generator.frame()))
        .filter(|frame| frame.len() <= MOST)
        .collect();
    let every = every_way().len();
    let input = |(number, frames): (usize, &[Vec<u8>])| {
        let mut input = vec![u8::try_from(number % every).unwrap_or_default()];
        for frame in frames {
            input.push(u8::try_from(frame.len()).unwrap_or_default());
            input.extend(frame);
        }
        input
    };
    frames.chunks(4).enumerate().map(input).collect()
}
