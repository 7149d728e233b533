//! Frames that are fully processed: received, and dropped or passed to the network stack
//! (`BPF_F_TEST_XDP_LIVE_FRAMES`).

use anyhow::{Context, Result};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};

use crate::{
    bed::Making,
    bytecode::own,
    cases::{Floors, PASS},
    paths::{Path, paths},
    rate::{Measurement, Rate, in_turns},
    xdp_filter::XdpFilter,
};

/// The frames: one that is dropped, and one that passes to a service.
const SENT: [&str; 2] = ["a blocked source, IPv4", "UDP to a service, IPv4"];
/// Frames per run, and per batch; drivers poll batches of this size.
const FRAMES: u32 = 200_000;
const BATCH: u32 = 64;

/// Returns packets per second.
pub(crate) fn rates(blocked: u32, rounds: u32) -> Result<Vec<Rate>> {
    let bed = Making::new(blocked).load()?;
    let filter = XdpFilter::load(0)?;
    let floors = [Floors::load(crate::cases::DROP)?, Floors::load(PASS)?];
    let mut runs: Vec<Measurement<'_>> = Vec::new();
    for (name, floor) in SENT.into_iter().zip(&floors) {
        let path = paths().into_iter().find(|path| path.name == name).context("a path")?;
        let does = if path.passes { "pass" } else { "drop" };
        let mut programs = vec![("returning at once", own(&floor.frags)?), ("portsentry", bed.program()?)];
        if let Some(filter) = &filter {
            programs.push(("xdp-filter", filter.program()?));
        }
        for (who, program) in programs {
            let path = path.clone();
            runs.push((format!("{does}: {who}"), Box::new(move || live(program, &path))));
        }
    }
    in_turns(runs, rounds)
}

fn live(program: &Xdp, path: &Path) -> Result<f64> {
    let frame = path.packet.frame(0);
    let attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
    let options = TestRunOptions { data_in: Some(&frame), repeat: FRAMES, attrs, ..TestRunOptions::new() };
    let took = program.test_run(options).context("BPF_F_TEST_XDP_LIVE_FRAMES")?.duration;
    Ok(1.0 / took.as_secs_f64())
}
