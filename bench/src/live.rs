//! Frames that are fully processed: received, and dropped or passed to the network stack
//! (`BPF_F_TEST_XDP_LIVE_FRAMES`).

use std::ops::Range;

use anyhow::{Context, Result};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};
use portsentry_common::settings::Settings;

use crate::{
    bed::Making,
    bytecode::{Leader, MapDefinition, own},
    cases::{DROP, Floors, PASS},
    paths::paths,
    rate::{Measurement, Rate, in_turns},
    sources::{FAMILIES, Family, HONEST},
    suspects::{DROPPED, Response, Suspect},
    xdp_filter::XdpFilter,
};

/// The frames: one that is dropped, and one that passes to a service.
const SENT: [&str; 2] = ["a blocked source, IPv4", "UDP to a service, IPv4"];
/// Frames per run, and per batch; drivers poll batches of this size.
const FRAMES: u32 = 200_000;
const BATCH: u32 = 64;
/// The map with the number of a flood's last source.
const NUMBER: &str = "NUMBER";

/// Returns packets per second.
pub(crate) fn rates(blocked: u32, rounds: u32) -> Result<Vec<Rate>> {
    let bed = Making::new(blocked).load()?;
    let filter = XdpFilter::load(0)?;
    let floors = [Floors::load(DROP)?, Floors::load(PASS)?];
    let mut runs: Vec<Measurement<'_>> = Vec::new();
    for (name, floor) in SENT.into_iter().zip(&floors) {
        let path = paths().into_iter().find(|path| path.name == name).context("a path")?;
        let does = if path.passes { "pass" } else { "drop" };
        let mut programs = vec![("returning at once", own(&floor.frags)?), ("portsentry", bed.program()?)];
        if let Some(filter) = &filter {
            programs.push(("xdp-filter", filter.program()?));
        }
        for (who, program) in programs {
            let frame = path.packet.frame(0);
            runs.push((format!("{does}: {who}"), Box::new(move || live(program, &frame))));
        }
    }
    in_turns(runs, rounds)
}

/// Returns SYNs per second to a watched port that are dropped, each from another source: by `xdp-filter`, which matches
/// their destination or, in a map of a million, their source, and by `PortSentry` as probes. It makes as many fences as
/// its default settings allow.
pub(crate) fn floods(blocked: u32, rounds: u32) -> Result<Vec<Rate>> {
    const FENCE_RATE: u32 = 1000;
    const FENCE_NS: u64 = 300_000_000_000;
    let settings = Settings { fence_rate: FENCE_RATE, fence_ns: FENCE_NS, ..Response::Drop.settings() };
    let bed = Making { settings, ..Making::new(blocked) }.load()?;
    let floors = Floors::load(DROP)?;
    let filters = [XdpFilter::load_against_all()?, XdpFilter::load(blocked)?];
    let mut leaders = Vec::new();
    for family in FAMILIES {
        let suspects = Suspect::all(family);
        let probe = suspects.iter().find(|suspect| suspect.name == DROPPED).context("a probe")?;
        let mut lead = |who: &str, program: &Xdp, takes_buffers, sources: Range<u32>| -> Result<()> {
            let code = family.flood(probe.frame.len(), NUMBER, &sources);
            let leader = Leader::load_with(code, &[MapDefinition::number(NUMBER)], program, takes_buffers)?;
            leaders.push((name(family, who), leader, probe.frame.clone()));
            Ok(())
        };
        let honest = blocked..blocked + HONEST;
        if let [Some(by_destination), Some(by_source)] = &filters {
            lead("xdp-filter, by destination", by_destination.program()?, false, honest.clone())?;
            if blocked > 0 {
                lead("xdp-filter, by source", by_source.program()?, false, 0..blocked)?;
            }
        }
        lead("portsentry", bed.program()?, true, honest.clone())?;
        lead("returning at once", own(&floors.frags)?, true, honest)?;
    }
    let mut runs: Vec<Measurement<'_>> = Vec::new();
    for (name, leader, frame) in &leaders {
        runs.push((name.clone(), Box::new(move || live(leader.program()?, frame))));
    }
    in_turns(runs, rounds)
}

fn name(family: Family, who: &str) -> String {
    format!("a flood of probes, {}: {who}", family.name())
}

fn live(program: &Xdp, frame: &[u8]) -> Result<f64> {
    let attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
    let options = TestRunOptions { data_in: Some(frame), repeat: FRAMES, attrs, ..TestRunOptions::new() };
    let took = program.test_run(options).context("BPF_F_TEST_XDP_LIVE_FRAMES")?.duration;
    Ok(1.0 / took.as_secs_f64())
}
