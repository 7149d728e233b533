//! Honest throughput during a flood, with portsentry and without.

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use aya::programs::XdpMode;
use portsentry_tests::lab::{Family, INTERFACE, Lab};

use crate::{
    bytecode::{Code, own_mut},
    cases::PASS,
    classic::{Daemon, Which},
    paced::Paced,
    rate::{Measurement, in_turns},
    report::Report,
    turns::quantile,
};

/// Duration of one run.
const RUN: Duration = Duration::from_secs(1);
/// Time limit of the service's reads, after which it checks whether the run is over.
const GLANCE: Duration = Duration::from_millis(20);
/// An odd multiplier, so that no source repeats: the golden ratio in 32 bits, which spreads the sources over all
/// addresses.
const SPREAD: u32 = 0x9e37_79b1;
/// The port of a service, among the watched ports.
const PORT: u16 = 443;

/// The flood during the honest traffic, in SYNs per second.
#[derive(Clone, Copy, Debug)]
enum Flood {
    None,
    /// Each SYN comes from a different source. Without a rate, as many as possible are sent.
    Spoofed(Option<f64>),
    /// All SYNs come from one source, which is fenced at once.
    Single(f64),
}

/// Protocol of the honest client and the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Honest {
    Tcp,
    Udp,
}

/// Measures with and without portsentry in turns. Without it, a program that returns at once takes its place,
/// because any XDP program stops a veth pair from carrying large segments.
///
/// Both variants get the same flood: the number of SYNs per second that the machine can send without portsentry.
/// The sender runs on the same CPUs, and would send more if the host did less work.
pub(crate) fn rates(rounds: u32, report: &mut Report) -> Result<()> {
    let (without, with) = (Lab::new(), Lab::new());
    for lab in [&without, &with] {
        lab.poll_scanner();
        // Gives resets to spoofed sources a route, as on any host.
        lab.host.ip(&format!("route add default via {}", Family::V4.member(2)));
    }
    let mut nothing = Code::default().answer(PASS).load_as("xdp.frags", &[])?;
    let program = own_mut(&mut nothing)?;
    without.host.enter(|| program.attach(INTERFACE, XdpMode::Driver))?;
    let _daemon = Daemon::start(&with, Which::Ours)?;
    let pace = pace(&without)?;
    eprintln!("bench: {pace:.0} SYNs a second");
    let mut measurements: Vec<Measurement<'_>> = Vec::new();
    for honest in [Honest::Tcp, Honest::Udp] {
        for flood in [Flood::None, Flood::Spoofed(Some(pace)), Flood::Single(pace)] {
            for (lab, guard) in [(&without, "returning at once"), (&with, "portsentry")] {
                let name = format!("{}, {flood}: {guard}", honest.name());
                measurements.push((name, Box::new(move || Ok(measure(lab, honest, flood)?.honest))));
            }
        }
    }
    report.beside = in_turns(measurements, rounds)?;
    Ok(())
}

/// Returns the number of SYNs per second that the machine can send during honest traffic: the median of a few runs.
fn pace(lab: &Lab) -> Result<f64> {
    let runs = (0..5).map(|_| Ok(measure(lab, Honest::Tcp, Flood::Spoofed(None))?.flood));
    Ok(quantile(runs.collect::<Result<Vec<_>>>()?.into_iter(), 2))
}

impl fmt::Display for Flood {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("no flood"),
            Self::Spoofed(_) => formatter.write_str("SYNs from spoofed sources"),
            Self::Single(_) => formatter.write_str("SYNs from one source"),
        }
    }
}

impl Honest {
    const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP, bytes",
            Self::Udp => "UDP, bytes",
        }
    }
}

/// Result of one run.
struct Rates {
    /// Bytes per second that reached the service.
    honest: f64,
    /// SYNs per second that were sent meanwhile.
    flood: f64,
}

fn measure(lab: &Lab, honest: Honest, beside: Flood) -> Result<Rates> {
    let (client, service) = connected(lab, honest)?;
    let (is_over, bytes) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let sending = scope.spawn(|| send(&client, &is_over));
        let receiving = scope.spawn(|| receive(&service, &is_over, &bytes));
        let (begun, before) = (Instant::now(), bytes.load(Ordering::Relaxed));
        let paced = Paced::new(lab);
        let sent = match beside {
            Flood::None => {
                thread::sleep(RUN);
                0
            }
            Flood::Spoofed(pace) => {
                paced.send(pace, RUN, |count| Some(Ipv4Addr::from_bits(count.wrapping_mul(SPREAD))))
            }
            Flood::Single(pace) => paced.send(Some(pace), RUN, |_| None),
        };
        let (came, took) = (bytes.load(Ordering::Relaxed) - before, begun.elapsed());
        is_over.store(true, Ordering::Relaxed);
        for thread in [sending, receiving] {
            thread.join().map_err(|_| anyhow!("a thread of the honest traffic has died"))??;
        }
        ensure!(came > 0, "nothing comes through");
        // The bytes of a second fit easily into an f64.
        #[expect(clippy::cast_precision_loss)]
        let [honest, flood] = [came, sent].map(|count| count as f64 / took.as_secs_f64());
        Ok(Rates { honest, flood })
    })
}

/// The two ends of the honest traffic.
enum End {
    Stream(TcpStream),
    Datagrams(UdpSocket),
}

fn connected(lab: &Lab, honest: Honest) -> Result<(End, End)> {
    let at = SocketAddr::new(Family::V4.host(), PORT);
    let ends = match honest {
        Honest::Tcp => {
            let listener = lab.host.enter(|| TcpListener::bind(at))?;
            let client = lab.scanner.enter(|| TcpStream::connect(at)).context("the service")?;
            let (service, _) = listener.accept()?;
            client.set_write_timeout(Some(GLANCE))?;
            service.set_read_timeout(Some(GLANCE))?;
            (End::Stream(client), End::Stream(service))
        }
        Honest::Udp => {
            let service = lab.host.enter(|| UdpSocket::bind(at))?;
            let client = lab.scanner.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
            client.connect(at)?;
            service.set_read_timeout(Some(GLANCE))?;
            (End::Datagrams(client), End::Datagrams(service))
        }
    };
    Ok(ends)
}

fn send(client: &End, is_over: &AtomicBool) -> io::Result<()> {
    let words = vec![0; 1 << 16];
    while !is_over.load(Ordering::Relaxed) {
        let sent = match client {
            End::Stream(stream) => (&*stream).write(&words),
            End::Datagrams(socket) => socket.send(&words[..1400]),
        };
        unless_it_waits(sent)?;
    }
    Ok(())
}

fn receive(service: &End, is_over: &AtomicBool, bytes: &AtomicU64) -> io::Result<()> {
    let mut words = vec![0; 1 << 16];
    while !is_over.load(Ordering::Relaxed) {
        let came = match service {
            End::Stream(stream) => (&*stream).read(&mut words),
            End::Datagrams(socket) => socket.recv(&mut words),
        };
        bytes.fetch_add(unless_it_waits(came)? as u64, Ordering::Relaxed);
    }
    Ok(())
}

fn unless_it_waits(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(0),
        result => result,
    }
}
