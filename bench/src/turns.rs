//! Measuring in turns: everything in every round, so that what disturbs one disturbs all.
//!
//! Times are nanoseconds that the kernel itself took (`BPF_PROG_TEST_RUN`), whole ones, on average of a run of some
//! thousands.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use serde::{Deserialize, Serialize};

/// Of the samples, those count before which the machine was quietest: one of so many.
const QUIETEST: usize = 3;

/// A program and a frame, and what is to be subtracted.
#[derive(Clone, Debug)]
pub(crate) struct Contender<'a> {
    pub(crate) name: String,
    pub(crate) program: &'a Xdp,
    /// What leads to the program, or a program that returns at once.
    pub(crate) floor: &'a Xdp,
    pub(crate) frame: Vec<u8>,
    /// The answer that shows that the frame took the way that it is named after.
    pub(crate) action: u32,
    /// For frames that come from the next source each time: where in them its number stands, and which there are.
    pub(crate) walk: Option<(usize, Range<u32>)>,
    /// Runs of the program in a sample.
    pub(crate) repeat: u32,
}

/// What a contender costs.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Cost {
    pub(crate) name: String,
    /// Median of the quietest samples, above the floor.
    pub(crate) above_floor_ns: f64,
    /// The quarter of them that is lowest ends here, and the one that is highest begins there.
    pub(crate) quartiles_ns: [f64; 2],
    /// The median of their floors.
    pub(crate) floor_ns: f64,
    /// How many samples counted.
    pub(crate) samples: usize,
}

/// One sample.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// What the floor took before, by which the machine was quiet or not.
    quiet: f64,
    /// What it took beside the contender. Were it the same run, one that is low by chance would count, and be subtracted.
    floor: f64,
    above: f64,
}

/// Measures all contenders, `rounds` times in turns.
pub(crate) fn measure(contenders: &[Contender<'_>], rounds: u32) -> Result<Vec<Cost>> {
    for contender in contenders {
        contender.check().context(contender.name.clone())?;
    }
    let mut samples = vec![Vec::new(); contenders.len()];
    for round in 0..rounds {
        for (contender, samples) in contenders.iter().zip(&mut samples) {
            samples.push(contender.sample(round)?);
        }
    }
    Ok(contenders.iter().zip(samples).map(|(contender, samples)| contender.cost(samples)).collect())
}

impl Contender<'_> {
    /// Once for the answer, and twice more for what is remembered of the first.
    fn check(&self) -> Result<()> {
        for _ in 0..3 {
            let action = run(self.program, &self.frame(0), 1)?.0;
            ensure!(action == self.action, "the program answers {action}, not {}", self.action);
        }
        Ok(())
    }

    /// The contender comes first in every other round, so that a moment's quiet favours neither.
    fn sample(&self, round: u32) -> Result<Sample> {
        let frame = self.frame(round);
        let time = |program| run(program, &frame, self.repeat).map(|(_, time)| time);
        let quiet = time(self.floor)?;
        let (floor, own) = if round.is_multiple_of(2) {
            let own = time(self.program)?;
            (time(self.floor)?, own)
        } else {
            (time(self.floor)?, time(self.program)?)
        };
        Ok(Sample { quiet, floor, above: own - floor })
    }

    fn frame(&self, round: u32) -> Vec<u8> {
        let mut frame = self.frame.clone();
        if let Some((slot, sources)) = &self.walk {
            let length = u64::from(sources.end - sources.start).max(1);
            let steps = u64::from(round) * u64::from(self.repeat) % length;
            let number = sources.start + u32::try_from(steps).unwrap_or(0);
            frame[*slot..slot + 4].copy_from_slice(&number.to_le_bytes());
        }
        frame
    }

    fn cost(&self, mut samples: Vec<Sample>) -> Cost {
        samples.sort_by(|one, other| one.quiet.total_cmp(&other.quiet));
        samples.truncate(samples.len().div_ceil(QUIETEST));
        let floor_ns = quantile(samples.iter().map(|sample| sample.floor), 2);
        let above = || samples.iter().map(|sample| sample.above);
        Cost {
            name: self.name.clone(),
            above_floor_ns: quantile(above(), 2),
            quartiles_ns: [quantile(above(), 1), quantile(above(), 3)],
            floor_ns,
            samples: samples.len(),
        }
    }
}

/// Runs `program` on `frame` `repeat` times over: its last answer, and how long it took.
pub(crate) fn run(program: &Xdp, frame: &[u8], repeat: u32) -> Result<(u32, f64)> {
    let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
    let result = program.test_run(options).context("BPF_PROG_TEST_RUN")?;
    Ok((result.return_value, f64::from(result.duration.subsec_nanos())))
}

/// The value below which so many quarters of the others lie.
pub(crate) fn quantile(values: impl Iterator<Item = f64>, quarters: usize) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = (values.len().saturating_sub(1) * quarters + 2) / 4;
    values.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_in_order() {
        for (values, expected) in
            [(&[3.0, 1.0, 2.0][..], "2 2 3"), (&[5.0, 4.0, 3.0, 2.0, 1.0], "2 3 4"), (&[7.0], "7 7 7")]
        {
            let found = [1, 2, 3].map(|quarters| quantile(values.iter().copied(), quarters).to_string());
            assert_eq!(found.join(" "), expected, "{values:?}");
        }
    }
}
