//! Runs the loaded program on a frame without attaching it (`BPF_PROG_TEST_RUN`), for tests and benches.
//!
//! The frame arrives on the loopback interface of this network namespace.

use std::time::Duration;

use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions, Xdp};
use portsentry_common::judge::Action;

use super::Error;

/// Result of a run of the program on a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// The verdict.
    pub action: Action,
    /// The frame after the run.
    pub frame: Vec<u8>,
    /// Average time of a run, as measured by the kernel.
    pub duration: Duration,
}

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

/// Runs `program` `times` times on `frame` (at least 14 bytes).
pub(super) fn run(program: &Xdp, frame: &[u8], times: u32) -> Result<TestRun, Error> {
    // The program may shorten a frame, but never lengthens it.
    let mut left = vec![0; frame.len()];
    let options = TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut left),
        repeat: times,
        ..TestRunOptions::new()
    };
    let result = program.test_run(options)?;
    let action = match result.return_value {
        XDP_DROP => Action::Drop,
        XDP_PASS => Action::Pass,
        XDP_TX => Action::Answer,
        other => return Err(Error::Refused(format!("the program returned {other}"))),
    };
    left.truncate(usize::try_from(result.data_size_out).unwrap_or(usize::MAX));
    Ok(TestRun { action, frame: left, duration: result.duration })
}

/// Runs the program for outgoing packets on `frame` (at least 14 bytes), which this host sent or forwarded. Returns
/// whether it leaves.
pub(super) fn leave(program: &SchedClassifier, frame: &[u8], is_forwarded: bool) -> Result<bool, Error> {
    /// `TCX_NEXT`.
    const NEXT: u32 = u32::MAX;
    /// `TC_ACT_SHOT`.
    const SHOT: u32 = 2;
    /// Index of `ingress_ifindex` in `struct __sk_buff`, and of the field after it (`include/uapi/linux/bpf.h`).
    const INGRESS: usize = 9;
    let mut context = [0_u32; INGRESS + 1];
    context[INGRESS] = is_forwarded.into();
    let mut left = vec![0; frame.len()];
    let options = TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut left),
        ctx_in: Some(bytemuck::cast_slice(&context)),
        ..TestRunOptions::new()
    };
    match program.test_run(options)?.return_value {
        NEXT => Ok(true),
        SHOT => Ok(false),
        other => Err(Error::Refused(format!("the program returned {other}"))),
    }
}
