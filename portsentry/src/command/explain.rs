//! `portsentry explain`: says what would happen to a packet now, and by which rules, without sending it.

mod outcome;
mod packet;
mod words;

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
};

use portsentry_common::{classify::Protocol, decide::is_proven, judge::Action, parse::TcpFlags};
use serde::Serialize;

use self::{outcome::Outcome, packet::Packet, words::Context};
use super::{observed, options, show, table, zone::Zone};
use crate::{
    cli::{Cli, Explain},
    config::Config,
    daemon::Options,
    exit::Exit,
    host,
    kernel::{DryRun, Fact, Framing, Judgement, Observer},
    policy::{Ids, State},
    sink::id_file,
};

/// Source port of the packet unless another one is given: one that hosts choose for their own connections.
const SOURCE_PORT: u16 = 40_000;

/// The report.
#[derive(Debug, Serialize)]
struct Report {
    source: IpAddr,
    source_port: u16,
    destination: IpAddr,
    port: u16,
    protocol: &'static str,
    /// TCP's control bits.
    flags: u8,
    interface: String,
    /// `pass`, `drop` or `answer`.
    action: &'static str,
    outcome: Outcome,
    #[serde(skip)]
    words: &'static str,
    /// The facts by which it was decided, in order.
    because: Vec<String>,
    /// What a completed handshake would do.
    next: Vec<String>,
}

/// Prints the report.
pub(super) fn run(cli: &Cli, explain: &Explain) -> Exit {
    let options = options::salvage(cli);
    match report(&options, explain, &Zone::new(explain.utc)) {
        Ok(report) if explain.json => show::print(&observed::json(&report)),
        Ok(report) => show::print(&render(&report)),
        Err(exit) => exit,
    }
}

fn failed(problem: impl std::fmt::Display) -> Exit {
    eprintln!("portsentry: {problem}");
    Exit::Failure
}

fn report(options: &Options, explain: &Explain, zone: &Zone) -> Result<Report, Exit> {
    let config = &options.config;
    let observer = observed::observer(config)?;
    let source = explain.address.to_canonical();
    let links = observer.as_ref().map(Observer::links).unwrap_or_default();
    let (interface, packet) = arriving(source, explain, &links).map_err(failed)?;
    let name = nix::net::if_::if_indextoname(interface)
        .map_or_else(|_| format!("interface {interface}"), |name| name.to_string_lossy().into_owned());
    let shown = |judgement: Option<&Judgement>, because, next| {
        let action = judgement.map_or(Action::Pass, |judgement| judgement.action);
        let outcome = judgement.map_or(Outcome::Unwatched, Outcome::of);
        Report {
            source,
            source_port: packet.from.port(),
            destination: packet.to.ip(),
            port: packet.to.port(),
            protocol: packet.protocol.name(),
            flags: packet.flags,
            interface: name.clone(),
            action: match action {
                Action::Pass => "pass",
                Action::Drop => "drop",
                Action::Answer => "answer",
            },
            outcome,
            words: outcome.words(action),
            because,
            next,
        }
    };
    let Some(observer) = observer.filter(|_| links.contains(&interface)) else {
        let why =
            format!("no program is attached to {name}; `portsentry status` shows the watched interfaces");
        return Ok(shown(None, vec![why], Vec::new()));
    };
    let is_bare = matches!(Framing::of_interface(interface), Ok(Framing::Bare));
    let kernel = |error| observed::failure(&error);
    let run = observer.dry_run(interface).map_err(kernel)?;
    let judgement = run.judge(&packet.bytes(is_bare), is_bare).map_err(kernel)?;
    let ids = ids(config);
    let context = Context {
        packet: &packet,
        settings: run.settings(),
        ignore_file: &config.ignore_file,
        ids: &ids,
        zone,
    };
    let next = next(&run, &packet, &judgement, is_bare, &context).map_err(kernel)?;
    Ok(shown(Some(&judgement), context.lines(&judgement.facts), next))
}

/// Returns the interface at which the packet would arrive, and the packet. Packets are assumed to arrive where answers
/// leave.
fn arriving(source: IpAddr, explain: &Explain, links: &[u32]) -> Result<(u32, Packet), String> {
    let path = host::path(source).map_err(|error| format!("asking for the route to {source}: {error}"))?;
    let interface = match &explain.interface {
        Some(name) => nix::net::if_::if_nametoindex(name.as_str())
            .map_err(|_| format!("there is no interface {name}"))?,
        None => path
            .map(|path| path.interface)
            .or_else(|| links.first().copied())
            .ok_or_else(|| format!("there is no route to {source}: name the interface with --on"))?,
    };
    let destination = match explain.to {
        Some(address) => address.to_canonical(),
        None => path
            .and_then(|path| path.own)
            .or_else(|| own_address(source))
            .ok_or_else(|| format!("there is no route to {source}: name this host's address with --to"))?,
    };
    if destination.is_ipv4() != source.is_ipv4() {
        return Err(format!("{source} and {destination} are of different IP versions"));
    }
    let (port, protocol) = explain.port;
    let from = SocketAddr::new(source, explain.source_port.unwrap_or(SOURCE_PORT));
    let flags = if protocol == Protocol::Tcp { explain.flags.unwrap_or(TcpFlags::SYN) } else { 0 };
    Ok((interface, Packet { from, to: SocketAddr::new(destination, port), protocol, flags }))
}

/// Returns an address of this host of the same IP version as `source`.
fn own_address(source: IpAddr) -> Option<IpAddr> {
    let host = host::Observer::connect().and_then(|mut observer| observer.read()).ok()?;
    host.addresses.into_iter().find(|address| address.is_ipv4() == source.is_ipv4() && !address.is_loopback())
}

/// Reads the ids of blocks, if their file can be read.
fn ids(config: &Config) -> Ids {
    id_file::read(&config.blocked_file).unwrap_or_else(|error| {
        eprintln!("portsentry: {error}");
        Ids::default()
    })
}

/// Returns the consequences of a completed handshake, judged in the state that the packet leaves.
fn next(
    run: &DryRun,
    packet: &Packet,
    judgement: &Judgement,
    is_bare: bool,
    context: &Context<'_>,
) -> Result<Vec<String>, crate::kernel::Error> {
    if judgement.facts.contains(&Fact::Steered) && packet.protocol == Protocol::Tcp {
        let handshakes = run.handshakes(packet.from.ip(), packet.to);
        let is_proof = is_proven(handshakes.traps, handshakes.is_connected, run.settings());
        let mut lines = context.lines(&[Fact::Handshakes(handshakes)]);
        lines.push(if is_proof || !run.settings().fences() {
            "that suffices to block its source, if SCAN_TRIGGER is reached and BLOCK_TCP allows it".into()
        } else {
            "its source stays fenced until it completes more".into()
        });
        return Ok(lines);
    }
    let Some(segment) =
        packet.acknowledging(&judgement.frame, is_bare).filter(|_| judgement.action == Action::Answer)
    else {
        return Ok(Vec::new());
    };
    let after = run.judge(&segment, is_bare)?;
    let told = |fact: &&Fact| {
        matches!(fact, Fact::Handshakes(_) | Fact::Entered(..) | Fact::Accepted | Fact::Exhausted(_))
    };
    let facts: Vec<Fact> = after.facts.iter().filter(told).cloned().collect();
    let mut lines = context.lines(&facts);
    let is_blocked = facts.iter().any(|fact| matches!(fact, Fact::Entered(State::Blocked, ..)));
    lines.push(match after.action {
        Action::Pass => "the connection reaches the service, like any other".into(),
        _ if is_blocked => "all its packets are dropped from then on".into(),
        _ => "the acknowledgement is dropped; its source stays fenced".into(),
    });
    Ok(lines)
}

fn render(report: &Report) -> String {
    let source = SocketAddr::new(report.source, report.source_port);
    let destination = SocketAddr::new(report.destination, report.port);
    let what = match report.protocol {
        "TCP" => format!("TCP {}", super::why::flags(report.flags)),
        protocol => protocol.to_owned(),
    };
    let mut text = format!("packet    {what} from {source} to {destination} on {}\n", report.interface);
    let mut say = |heading: &str, line: &str| {
        // Writing to a string never fails.
        let _ = writeln!(text, "{heading:<9} {line}");
    };
    say("outcome", report.words);
    for (heading, lines) in [("because", &report.because), ("handshake", &report.next)] {
        for (number, line) in lines.iter().enumerate() {
            let heading = if number == 0 { heading } else { "" };
            say(heading, &table::plain(line));
        }
    }
    text
}
