//! `cargo xtask detection`: how well scans without traps are detected, on traffic that is generated from a seed.

mod capture;
mod check;
mod distributed;
mod distributed_v6;
mod figures;
mod picture;
mod rules;
mod tally;
mod trial;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use ipnet::IpNet;
use portsentry_detection::{event, honest, network, scanners};

use crate::figures::{Size, measure, panels};

#[derive(Parser)]
#[command(about = "Prints recall, contacts up to detection, and false alarms by class, beside other rules")]
struct Arguments {
    #[command(flatten)]
    size: Size,
    /// Compare a small run with the figures of docs/detection.md
    #[arg(long)]
    check: bool,
    /// Draw the part of the scanners that is found by their pace, instead of printing tables
    #[arg(long, value_name = "SVG")]
    picture: Option<PathBuf>,
    /// Read a capture of tcpdump or Wireshark instead of generating traffic
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Only count connections to this network, in a capture
    #[arg(long, value_name = "CIDR", requires = "pcap")]
    network: Option<IpNet>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.check {
        let worse = check::run()?;
        ensure!(worse.is_empty(), "worse than published:\n{}", worse.join("\n"));
        println!("no figure is worse than published");
        return Ok(());
    }
    if let Some(path) = &arguments.pcap {
        print!("{}", capture::summarize(&capture::read(path, arguments.network)?));
        return Ok(());
    }
    if let Some(path) = &arguments.picture {
        return picture::draw(&panels(&arguments.size), path);
    }
    for table in measure(&arguments.size) {
        println!("{}", table.markdown());
    }
    Ok(())
}
