//! The command line of the bench.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use portsentry_tests::{namespace::with_sockets, sockets::Socket};

use crate::{
    answers::Leavers, baseline, beside, cases::Cases, classic, curve, forwarding, live, picture,
    report::Report, run::Run, scale, table::Tables, turns, veth, visits,
};

/// Measures the cost of a packet, side by side with other programs, in one run.
#[derive(Parser)]
#[command(name = "cargo xtask bench", about)]
pub(crate) struct Arguments {
    /// Blocked sources per address family during the measurements
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    blocked: u32,
    /// Rounds in which everything is measured once
    #[arg(long, default_value_t = 30, value_name = "N")]
    rounds: u32,
    /// Run only these parts; nothing is written
    #[arg(long, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// Measure only packets whose names contain this; nothing is written
    #[arg(long, value_name = "TEXT")]
    packet: Option<String>,
    /// Directory for the figures and the picture
    #[arg(long, default_value = "docs/bench", value_name = "DIRECTORY")]
    out: PathBuf,
    /// Compare the figures in two files, which must be from one run
    #[arg(long, num_args = 2, value_name = "FILE")]
    compare: Vec<PathBuf>,
    /// Count the instructions on each path, as in `bench/paths.txt`; needs no root
    #[arg(long)]
    paths: bool,
}

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Cost of each packet
    Costs,
    /// The costs with zero to four million blocked sources
    Curve,
    /// Live frames
    Live,
    /// Through a veth pair, compared with nftables
    Veth,
    /// Through a gateway
    Forward,
    /// Honest throughput during a flood
    Beside,
    /// Many sources, loaded and taken over
    Scale,
    /// CPU time of the daemon under visits to its traps
    Visits,
    /// Comparison with PortSentry 1.2
    Classic,
}

impl Arguments {
    /// Runs the bench.
    pub(crate) fn run(&self) -> Result<()> {
        if self.paths {
            print!("{}", baseline::text()?);
            return Ok(());
        }
        if let [one, other] = &self.compare[..] {
            return compare(one, other);
        }
        ensure!(nix::unistd::geteuid().is_root(), "the bench loads programs into the kernel: run it as root");
        let mut report = Report::new(Run::begin(self.blocked, self.rounds));
        self.measure(&mut report)?;
        print!("{}", Tables(&report));
        if self.only.is_empty() && self.packet.is_none() {
            std::fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
            report.write(&self.out.join("bench.json"))?;
            picture::draw(&report, &self.out.join("curve.svg"))?;
        }
        Ok(())
    }

    fn has(&self, part: Part) -> bool {
        let wanted = if self.only.is_empty() {
            self.packet.is_none() || part == Part::Costs
        } else {
            self.only.contains(&part)
        };
        if wanted {
            eprintln!("bench: {part:?}");
        }
        wanted
    }

    fn measure(&self, report: &mut Report) -> Result<()> {
        let (blocked, rounds) = (self.blocked, self.rounds);
        let any = "[::]:443".parse().context("an address")?;
        with_sockets(&[Socket::Listener(any), Socket::Bound(any)], || -> Result<()> {
            if self.has(Part::Costs) {
                let cases = Cases::load(blocked)?;
                let leavers = Leavers::load()?;
                let mut contenders = cases.contenders()?;
                contenders.extend(leavers.contenders()?);
                if let Some(packet) = &self.packet {
                    contenders.retain(|contender| contender.name.contains(packet.as_str()));
                }
                report.costs = turns::measure(&contenders, rounds)?;
            }
            if self.has(Part::Curve) {
                report.by_blocked = curve::by_blocked(rounds / 2)?;
                report.by_others = curve::by_others(rounds / 2)?;
            }
            if self.has(Part::Live) {
                report.live = live::rates(blocked, rounds / 3)?;
                report.floods = live::floods(blocked, rounds / 3)?;
            }
            Ok(())
        })?;
        if self.has(Part::Veth) {
            veth::rates(blocked, rounds / 5, report)?;
        }
        if self.has(Part::Forward) {
            forwarding::rates(rounds / 3, report)?;
        }
        if self.has(Part::Beside) {
            beside::rates(rounds / 5, report)?;
        }
        if self.has(Part::Scale) {
            scale::spans(blocked, rounds / 10, report)?;
        }
        if self.has(Part::Visits) {
            visits::loads(rounds / 10, report)?;
        }
        if self.has(Part::Classic) {
            classic::measure(report);
        }
        Ok(())
    }
}

/// Compares the figures in two files of one run.
fn compare(one: &std::path::Path, other: &std::path::Path) -> Result<()> {
    let (one, other) = (Report::read(one)?, Report::read(other)?);
    one.run.ensure_same(&other.run)?;
    for cost in &one.costs {
        if let Some(other) = other.cost(&cost.name) {
            println!("{}: {:+.1} and {:+.1} ns", cost.name, cost.above_floor_ns, other.above_floor_ns);
        }
    }
    Ok(())
}
