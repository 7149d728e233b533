//! All judges of frames, in the same state.

use std::{fmt::Debug, time::Duration};

use crate::{
    kernel::InKernel,
    model::Model,
    oracle::Oracle,
    outcome::{Judge, Outcome},
    scenario::Scenario,
};

/// The kernel program, the model and, unless it lacks a rule, the oracle. Each frame must have the same outcome in all.
pub struct Judges {
    kernel: InKernel,
    model: Model,
    oracle: Option<Oracle>,
}

impl Judges {
    /// Returns all judges, in the initial state of `scenario`.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        Self { oracle: Some(Oracle::new(scenario)), ..Self::without_oracle(scenario) }
    }

    /// Returns the kernel program and the model.
    #[must_use]
    pub fn without_oracle(scenario: &Scenario) -> Self {
        Self { kernel: InKernel::new(scenario), model: Model::new(scenario), oracle: None }
    }

    /// Judges a frame that comes in. `what` describes it.
    pub fn judge(&mut self, frame: &[u8], what: &dyn Debug) -> Outcome {
        let kernel = self.kernel.judge(frame);
        assert_eq!(kernel, self.model.judge(frame), "kernel and model: {what:?}");
        if let Some(oracle) = &mut self.oracle {
            assert_eq!(kernel, oracle.judge(frame), "kernel and oracle: {what:?}");
        }
        kernel
    }

    /// Lets time pass for all judges.
    pub fn pass_time(&mut self, by: Duration) {
        self.kernel.pass_time(by);
        self.model.pass_time(by);
        if let Some(oracle) = &mut self.oracle {
            oracle.pass_time(by);
        }
    }

    /// Returns the kernel program and the model.
    pub const fn two(&mut self) -> (&mut InKernel, &mut Model) {
        (&mut self.kernel, &mut self.model)
    }

    /// Judges a frame that goes out. Returns whether it leaves, and the sorted names of the counters that grew.
    pub fn leave(&mut self, frame: &[u8], is_forwarded: bool) -> (bool, Vec<&'static str>) {
        let mut kernel = self.kernel.leave(frame, is_forwarded);
        assert_eq!(kernel, self.model.leave(frame, is_forwarded), "kernel and model: {frame:02x?}");
        kernel.1.sort_unstable();
        if let Some(oracle) = &mut self.oracle {
            let mut oracle = oracle.leave(frame, is_forwarded);
            oracle.1.sort_unstable();
            assert_eq!(kernel, oracle, "kernel and oracle: {frame:02x?}");
        }
        kernel
    }
}
