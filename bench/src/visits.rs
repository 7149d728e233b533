//! CPU time of a daemon in connect mode whose traps are visited many times a second, by the number of ignored networks.

use std::{
    fmt::Write,
    io::{self, Read},
    net::{IpAddr, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};
use portsentry_tests::lab::{Family, Lab, Namespace};
use socket2::{Domain, Socket, Type};

use crate::{classic::cpu_seconds, figures::Load, report::Report, turns::quantile};

/// Maximum share of a core.
pub(crate) const TARGET: f64 = 0.1;
/// Connections per second, and their senders.
pub(crate) const RATE: u32 = 3000;
const SENDERS: u32 = 8;
/// Duration of a measurement.
const SPAN: Duration = Duration::from_secs(10);
/// Ports of traps, visited in turn.
const PORTS: [u16; 9] = [1, 7, 11, 15, 79, 80, 111, 119, 143];
/// Maximum time that a visitor waits for the daemon.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the visitors are ignored, and the number of other ignored networks.
struct Case {
    name: &'static str,
    /// Number of ignored networks besides the visitors' own.
    ignored: u32,
    visitors_are_ignored: bool,
}

const CASES: [Case; 3] = [
    Case { name: "ignored sources, 10,000 ignored networks", ignored: 10_000, visitors_are_ignored: true },
    Case { name: "ignored sources, no other ignored network", ignored: 0, visitors_are_ignored: true },
    Case { name: "other sources, 10,000 ignored networks", ignored: 10_000, visitors_are_ignored: false },
];

/// Measures all cases in turns.
pub(crate) fn loads(rounds: u32, report: &mut Report) -> Result<()> {
    let mut taken: [Vec<(f64, f64)>; CASES.len()] = Default::default();
    for _ in 0..rounds.max(1) {
        for (taken, case) in taken.iter_mut().zip(&CASES) {
            taken.push(case.measure()?);
        }
    }
    let loads = CASES.iter().zip(taken).map(|(case, taken)| Load {
        name: case.name.into(),
        rate: quantile(taken.iter().map(|(rate, _)| *rate), 2),
        cores: [2, 0, 4].map(|quarters| quantile(taken.iter().map(|(_, cores)| *cores), quarters)),
    });
    report.visits = loads.collect();
    Ok(())
}

impl Case {
    /// Returns connections per second, and cores.
    fn measure(&self) -> Result<(f64, f64)> {
        let lab = Lab::new();
        let visitors = [(); SENDERS as usize].map(|()| lab.source(Family::V4));
        let mut ignored = String::new();
        for number in 0..self.ignored {
            let [_, _, a, b] = number.to_be_bytes();
            writeln!(ignored, "45.{a}.{b}.0/{}", 24 + number % 9)?;
        }
        if self.visitors_are_ignored {
            visitors.iter().try_for_each(|visitor| writeln!(ignored, "{visitor}"))?;
        }
        // Log-only, so that a source can visit again and again.
        let daemon = lab.portsentry("-tcp").with("BLOCK_TCP", "0").ignoring(ignored).start();
        let before = cpu_seconds(daemon.process())?;
        let begun = Instant::now();
        let done = visit_all(&lab.scanner, &visitors)?;
        let seconds = begun.elapsed().as_secs_f64();
        let cores = (cpu_seconds(daemon.process())? - before) / seconds;
        Ok((f64::from(done) / seconds, cores))
    }
}

/// Returns the number of connections.
fn visit_all(namespace: &Namespace, visitors: &[IpAddr]) -> Result<u32> {
    thread::scope(|scope| {
        let senders = visitors.iter().map(|visitor| scope.spawn(|| namespace.enter(|| visit(*visitor))));
        let senders: Vec<_> = senders.collect();
        let counts = senders.into_iter().map(|sender| sender.join().expect("a sender doesn't panic"));
        counts.sum::<io::Result<u32>>().context("a visit")
    })
}

/// Connects at a sender's share of [`RATE`], and reads the trap's data. Returns the number of connections.
fn visit(source: IpAddr) -> io::Result<u32> {
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < SPAN {
        let due = Duration::from_secs(u64::from(count)) * SENDERS / RATE;
        thread::sleep(due.saturating_sub(begun.elapsed()));
        let port = PORTS[count as usize % PORTS.len()];
        let to = SocketAddr::new(Family::V4.host(), port);
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        // The port is chosen with the destination, so that a source has enough of them.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect_timeout(&to.into(), PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        TcpStream::from(socket).read_to_end(&mut Vec::new())?;
        count += 1;
    }
    Ok(count)
}
