//! Measures every case in every round, so that a disturbance affects all cases.
//!
//! Times are the kernel's (`BPF_PROG_TEST_RUN`), in whole nanoseconds, averaged over thousands of runs.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::runs::{Judging, Walk};

/// One in this many samples counts: those of the quietest moments.
const QUIETEST: usize = 3;

/// A program and a frame, and the floor to subtract.
#[derive(Clone, Debug)]
pub(crate) struct Contender<'a> {
    pub(crate) name: String,
    pub(crate) program: Judging<'a>,
    /// The program that passes frames to it, or one that returns at once.
    pub(crate) floor: Judging<'a>,
    pub(crate) frame: Vec<u8>,
    /// The expected action. It shows that the frame took the path that the case names.
    pub(crate) action: u32,
    /// For frames that change each time.
    pub(crate) walk: Option<Walk>,
    /// The program that receives the questions, and the first question. It receives a round's questions before each
    /// sample.
    pub(crate) questions: Option<(Judging<'a>, Vec<u8>)>,
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
            self.ask(0)?;
            let action = self.program.run(&self.frame(0), 1)?.0;
            ensure!(action == self.action, "the program answers {action}, not {}", self.action);
        }
        Ok(())
    }

    /// The case is measured before its floor in every other round, so that a quiet moment favours neither.
    fn sample(&self, round: u32) -> Result<Sample> {
        let frame = self.frame(round);
        self.ask(round)?;
        let time = |program: Judging<'_>| program.run(&frame, self.repeat).map(|(_, time)| time);
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
        if let Some(walk) = &self.walk {
            walk.start(&mut frame, walk.slot, u64::from(round) * u64::from(self.repeat));
        }
        frame
    }

    /// Asks the questions that this round's frames answer.
    fn ask(&self, round: u32) -> Result<()> {
        let (Some((program, first)), Some(walk)) = (&self.questions, &self.walk) else { return Ok(()) };
        let mut first = first.clone();
        walk.start(&mut first, walk.question_slot, u64::from(round) * u64::from(self.repeat));
        program.run(&first, self.repeat).map(drop)
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
