//! Measures every case in every round, so that a disturbance affects all cases.
//!
//! Times are the kernel's (`BPF_PROG_TEST_RUN`), in whole nanoseconds, averaged over thousands of runs.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use serde::{Deserialize, Serialize};

/// One in this many samples counts: those of the quietest moments.
const QUIETEST: usize = 3;

/// A program and a frame, and the floor to subtract.
#[derive(Clone, Debug)]
pub(crate) struct Contender<'a> {
    pub(crate) name: String,
    pub(crate) program: &'a Xdp,
    /// The program that passes frames to it, or one that returns at once.
    pub(crate) floor: &'a Xdp,
    pub(crate) frame: Vec<u8>,
    /// The expected action. It shows that the frame took the path that the case names.
    pub(crate) action: u32,
    /// For frames with a new source each time: the offset of the source's number, and the range of numbers.
    pub(crate) walk: Option<(usize, Range<u32>)>,
    /// Number of program runs in a sample.
    pub(crate) repeat: u32,
}

/// Cost of a case.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Cost {
    pub(crate) name: String,
    /// Median of the quietest samples, above the floor.
    pub(crate) above_floor_ns: f64,
    /// The first and third quartile.
    pub(crate) quartiles_ns: [f64; 2],
    /// The median of their floors.
    pub(crate) floor_ns: f64,
    /// Number of samples that counted.
    pub(crate) samples: usize,
}

/// One sample.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Time of the floor just before, which shows how quiet the machine was.
    quiet: f64,
    /// Time of the floor that is subtracted. It is measured separately: if one measurement served for both,
    /// accidentally low values would be selected and subtracted.
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
    /// Checks the action once, and twice more with a filled cache.
    fn check(&self) -> Result<()> {
        for _ in 0..3 {
            let action = run(self.program, &self.frame(0), 1)?.0;
            ensure!(action == self.action, "the program answers {action}, not {}", self.action);
        }
        Ok(())
    }

    /// The case is measured before its floor in every other round, so that a quiet moment favours neither.
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

/// Runs `program` on `frame` `repeat` times. Returns the last action and the time.
pub(crate) fn run(program: &Xdp, frame: &[u8], repeat: u32) -> Result<(u32, f64)> {
    let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
    let result = program.test_run(options).context("BPF_PROG_TEST_RUN")?;
    Ok((result.return_value, f64::from(result.duration.subsec_nanos())))
}

/// Returns the quantile: this many quarters of the values lie below it.
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
