//! Comparison with Debian's PortSentry 1.2: CPU time during a flood, and results of a fast scan.
//!
//! Both watch every TCP port below 1024 in advanced stealth mode.

mod daemon;

use std::time::{Duration, Instant};

use anyhow::Result;
use portsentry_common::classify::Protocol;
use portsentry_tests::{
    frames::{SYN, tcp},
    lab::{Family, Lab, Service},
};

pub(crate) use self::daemon::{Daemon, cpu_seconds};
use crate::{figures::Classic, report::Report, sender::Sender, turns::quantile};

/// Well-known ports with services, spread over the scanned range.
const SERVED: [u16; 6] = [22, 80, 110, 443, 587, 993];
/// Duration of the flood.
const FLOOD: Duration = Duration::from_secs(5);
/// The host's Ethernet address in a lab.
const HOST: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Number of scans, each from a different source.
const SCANS: usize = 7;

/// The daemon to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Debian,
    Ours,
}

/// Measures both daemons.
pub(crate) fn measure(report: &mut Report) {
    for (which, name) in [(Which::Debian, "PortSentry 1.2 (Debian)"), (Which::Ours, "portsentry")] {
        match classic(which, name) {
            Ok(classic) => report.classic.push(classic),
            Err(error) => report.missing.push(format!("flood and leak of {name}: {error:#}")),
        }
    }
}

fn classic(which: Which, name: &str) -> Result<Classic> {
    let lab = Lab::new();
    lab.poll_scanner();
    let services = SERVED.map(|port| Service::start(&lab.host, Protocol::Tcp, port));
    let daemon = Daemon::start(&lab, which)?;
    let mut found = Vec::new();
    for _ in 0..SCANS {
        found.push(scan(&lab)?);
    }
    let (before, begun) = (daemon.cpu_seconds()?, Instant::now());
    let flood_sent = flood(&lab, Some(u32::MAX / 2), FLOOD)?;
    let flood_cpu = (daemon.cpu_seconds()? - before) / begun.elapsed().as_secs_f64();
    let memory_mib = daemon.memory_mib()?;
    drop(services);
    let leaked = [2, 0, 4].map(|quarters| quantile(found.iter().copied(), quarters));
    Ok(Classic { name: name.into(), flood_sent, flood_cpu, memory_mib, leaked })
}

/// Returns the number of services that a fast scan finds.
fn scan(lab: &Lab) -> Result<f64> {
    let source = lab.source(Family::V4);
    let found = lab.nmap(source, "-sS -T5 --min-rate 5000 -p 1-1023");
    let found = SERVED.iter().filter(|port| found.contains(&format!("{port}/open/")));
    Ok(f64::from(u32::try_from(found.count())?))
}

/// Sends SYNs to a watched port as fast as the kernel can, from the first `sources` sources or from one. Returns
/// the number sent.
pub(crate) fn flood(lab: &Lab, sources: Option<u32>, time: Duration) -> Result<u64> {
    const AT_ONCE: u32 = 50_000;
    let syn = tcp(SYN).from("192.0.2.99:40000").to(&format!("{}:7", Family::V4.host()));
    let mut frame = syn.frame(0);
    frame[..6].copy_from_slice(&HOST);
    let sender = Sender::new(&lab.scanner, frame, sources)?;
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < time {
        sender.send(AT_ONCE)?;
        sent += u64::from(AT_ONCE);
    }
    Ok(sent)
}
