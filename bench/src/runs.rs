//! Runs of a program on frames that are received, or that leave.

use std::ops::Range;

use anyhow::{Context, Result};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions, Xdp};

/// A program, and the frames that it gets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Judging<'a> {
    /// Frames that are received.
    Received(&'a Xdp),
    /// Frames that leave.
    Leaving {
        program: &'a SchedClassifier,
        /// Whether this host forwards them.
        is_forwarded: bool,
    },
}

impl<'a> From<&'a Xdp> for Judging<'a> {
    fn from(program: &'a Xdp) -> Self {
        Self::Received(program)
    }
}

impl Judging<'_> {
    /// Runs the program on `frame` `repeat` times. Returns the last result and the time of a run in nanoseconds.
    pub(crate) fn run(&self, frame: &[u8], repeat: u32) -> Result<(u32, f64)> {
        /// Index of `ingress_ifindex` in `struct __sk_buff` (`include/uapi/linux/bpf.h`).
        const INGRESS: usize = 9;
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        let result = match *self {
            Self::Received(program) => program.test_run(options),
            Self::Leaving { program, is_forwarded } => {
                let mut context = [0_u32; INGRESS + 1];
                context[INGRESS] = is_forwarded.into();
                let context = Some(bytemuck::cast_slice(&context));
                program.test_run(TestRunOptions { ctx_in: context, ..options })
            }
        };
        let result = result.context("BPF_PROG_TEST_RUN")?;
        Ok((result.return_value, f64::from(result.duration.subsec_nanos())))
    }
}

/// Numbers in frames, which the program before the measured one increases from frame to frame.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    /// Offset of the number in the frame, and in the frame that it answers. It is little-endian.
    pub(crate) slot: usize,
    pub(crate) question_slot: usize,
    /// Its length in bytes.
    pub(crate) width: usize,
    pub(crate) numbers: Range<u32>,
}

impl Walk {
    /// A walk through sources, by a number in the payload.
    pub(crate) const fn sources(slot: usize, numbers: Range<u32>) -> Self {
        Self { slot, question_slot: slot, width: 4, numbers }
    }

    /// Writes the number after `steps` steps into the frame, at this offset.
    pub(crate) fn start(&self, frame: &mut [u8], slot: usize, steps: u64) {
        let length = u64::from(self.numbers.end - self.numbers.start).max(1);
        let number = self.numbers.start + u32::try_from(steps % length).unwrap_or(0);
        frame[slot..slot + self.width].copy_from_slice(&number.to_le_bytes()[..self.width]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_begins_anew_after_its_last_number() {
        let walk = Walk { slot: 1, question_slot: 0, width: 2, numbers: 300..310 };
        for (steps, expected) in [(0, 300_u16), (9, 309), (10, 300), (23, 303)] {
            let mut frame = [7; 4];
            walk.start(&mut frame, walk.slot, steps);
            assert_eq!((frame[0], u16::from_le_bytes([frame[1], frame[2]]), frame[3]), (7, expected, 7));
        }
    }
}
