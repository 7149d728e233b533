//! `portsentry why`: explains the state of an address, from the kernel's maps, the files, and the host.

use std::{collections::BTreeSet, fmt::Write, net::IpAddr};

use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{
    block, history, list, observed, options,
    show::{self, Time},
    table::{self, Align},
};
use crate::{
    cli::{Cli, History, Why},
    daemon::Options,
    exit::Exit,
    policy::State,
    sink::{
        self, Decided, blocked_file,
        evidence::{self, Seen},
        origins::{Origin, Origins},
    },
};

/// The report.
#[derive(Debug, Serialize)]
struct Report {
    address: IpAddr,
    /// The address's entry in the kernel's maps, if there is one.
    held: Option<list::Listed>,
    /// Whether the program that enforces the entry is attached.
    is_enforced: bool,
    /// The running daemon's process.
    daemon: Option<i32>,
    /// Reason why it is never blocked.
    exempt: Option<String>,
    /// Its origin; `None` without `GEOIP_COUNTRY` and `GEOIP_ASN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    /// Its line in the blocked file.
    file: Option<Line>,
    history: Vec<history::Entry>,
    /// The recorded packets that led to its blocks.
    evidence: Vec<Seen>,
}

/// A line of the blocked file.
#[derive(Debug, Serialize)]
struct Line {
    since: Time,
    until: Option<Time>,
    reason: Option<String>,
}

/// Prints the report. The exit code shows only whether all files and maps could be read.
pub(super) fn run(cli: &Cli, why: Why) -> Exit {
    let options = options::salvage(cli);
    let report = match read(&options, why.address.to_canonical()) {
        Ok(report) => report,
        Err(exit) => return exit,
    };
    let text = if why.json { observed::json(&report) } else { render(&report, &TimeZone::system()) };
    show::print(&text)
}

fn read(options: &Options, address: IpAddr) -> Result<Report, Exit> {
    let config = &options.config;
    let failed = |error: &dyn std::fmt::Display| {
        eprintln!("portsentry: {error}");
        Exit::Failure
    };
    let observer = observed::observer(config)?;
    let listed = observer.as_ref().map_or_else(|| Ok(Vec::new()), list::read);
    let mut listed = listed.map_err(|error| observed::failure(&error))?;
    list::identify(&mut listed, &config.blocked_file);
    let content = sink::read(&config.blocked_file).map_err(|error| failed(&error))?.unwrap_or_default();
    let mut reasons = blocked_file::reasons(&content);
    // A line without a time has no start.
    let (records, _) = blocked_file::parse(&content, std::time::SystemTime::now());
    let record = records.into_iter().find(|record| record.network.contains(&address));
    let reason = record.as_ref().and_then(|record| reasons.remove(&record.network));
    let file = record.map(|record| Line {
        since: Time(record.hold.since),
        until: record.hold.until.map(Time),
        reason: reason.clone(),
    });
    let wanted =
        History { address: Some(IpNet::from(address)), since: None, kind: None, action: None, json: false };
    let decided = Decided::read(config.evidence_file.as_deref()).map_err(|error| failed(&error))?;
    let (history, _) = history::read(&config.history_file, &wanted, &decided)
        .map_err(|error| failed(&format!("{} can't be read: {error}", config.history_file.display())))?;
    let evidence = config.evidence_file.as_deref().map(|path| evidence::read(path, address));
    let exempt =
        block::refuse(&BTreeSet::from([address.into()]), options).map_err(|problem| failed(&problem))?;
    // The narrowest of several entries decides, which is the host itself if it is listed.
    let held = listed.into_iter().filter(|listed| listed.address.contains(&address));
    let held = held.max_by_key(|listed| listed.address.prefix_len());
    Ok(Report {
        address,
        held: held.map(|held| list::Listed { reason, ..held }),
        is_enforced: observer.as_ref().is_some_and(|observer| !observer.links().is_empty()),
        daemon: observer.as_ref().and_then(crate::kernel::Observer::daemon),
        exempt: exempt.into_iter().next(),
        origin: Some(options::origins(config)).filter(Origins::are_any).map(|origins| origins.of(address)),
        file,
        history,
        evidence: evidence.transpose().map_err(|error| failed(&error))?.unwrap_or_default(),
    })
}

fn render(report: &Report, zone: &TimeZone) -> String {
    let mut text = String::new();
    let mut say = |what: &str, it: &str| {
        // Writing to a string never fails.
        let _ = writeln!(text, "{what:<9} {}", table::plain(it));
    };
    say("address", &report.address.to_string());
    if let Some(origin) = &report.origin {
        say("origin", &origin.to_string());
    }
    say("state", &state(report));
    let time = |time: Time| table::local(time.0, zone);
    if let Some(held) = &report.held {
        if held.address.prefix_len() < held.address.max_prefix_len() {
            say("network", &held.address.to_string());
        }
        if let Some(id) = held.id {
            say("id", &id.to_string());
        }
        say("since", &time(held.since));
        say("until", &held.until.map_or_else(|| "for good".into(), time));
        say("proof", show::proof_shown(held.proof));
        if let (Some(port), Some(protocol)) = (held.port, held.protocol) {
            say("port", &format!("{port}/{protocol}"));
        }
        if let Some(kind) = &held.kind {
            say("kind", kind);
        }
        say("hits", &held.hits.to_string());
        say("dropped", &format!("{} packets", held.dropped));
    }
    if let Some(exempt) = &report.exempt {
        say("exempt", exempt);
    }
    match &report.file {
        None => say("file", "not in the blocked file"),
        Some(line) => {
            let until = line.until.map_or_else(String::new, |until| format!(", until {}", time(until)));
            say("file", &format!("in the blocked file{until}"));
        }
    }
    if let Some(reason) = report.file.as_ref().and_then(|line| line.reason.as_ref()) {
        say("reason", reason);
    }
    text.push_str("\nHistory:\n");
    text.push_str(&history::render(&report.history, zone));
    text.push_str("\nPackets that led to it, as recorded:\n");
    text.push_str(&packets(&report.evidence));
    text
}

fn state(report: &Report) -> String {
    let Some(held) = &report.held else { return "neither blocked nor fenced".into() };
    let state = match held.state {
        State::Blocked => "blocked: all its packets are dropped",
        State::Fenced => "fenced: new connections are dropped; established ones continue",
    };
    match (report.is_enforced, report.daemon) {
        (true, Some(_)) => state.into(),
        (true, None) => format!("{state}, by the kernel alone: no daemon is running"),
        (false, _) => format!("{state}, but for now nothing is enforced: no XDP program is attached"),
    }
}

fn packets(evidence: &[Seen]) -> String {
    use Align::{Left, Right};
    if evidence.is_empty() {
        return "none\n".into();
    }
    let columns = [
        ("TIME", Left),
        ("FROM", Right),
        ("TO", Left),
        ("PORT", Right),
        ("KIND", Left),
        ("FLAGS", Left),
        ("INTERFACE", Left),
        ("LENGTH", Right),
        ("TTL", Right),
        ("HITS", Right),
        ("VERDICT", Left),
    ];
    let rows = evidence.iter().map(|seen| {
        let vlan = if seen.vlan == 0 { String::new() } else { format!(".{}", seen.vlan) };
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        [
            seen.time.clone(),
            seen.source_port.to_string(),
            seen.destination.to_string(),
            format!("{}/{}", seen.port, seen.protocol),
            seen.kind.clone(),
            flags(seen.flags),
            interface(seen.interface) + &vlan,
            or_none(seen.length.map(|length| length.to_string())),
            or_none(seen.ttl.map(|ttl| ttl.to_string())),
            seen.hits.to_string(),
            seen.verdict.clone(),
        ]
    });
    table::render(columns, &rows.collect::<Vec<_>>())
}

/// Names TCP's control bits (RFC 9293 section 3.1).
pub(super) fn flags(flags: u8) -> String {
    const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
    let set: Vec<_> =
        NAMES.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1).map(|(_, name)| *name).collect();
    if set.is_empty() { "-".into() } else { set.join(",") }
}

/// Returns the interface's current name, or its number.
fn interface(index: u32) -> String {
    if index == 0 {
        return "trap".into();
    }
    nix::net::if_::if_indextoname(index)
        .map_or_else(|_| format!("number {index}"), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Report {
        Report {
            address: [192, 0, 2, 9].into(),
            held: None,
            is_enforced: true,
            daemon: Some(1),
            exempt: None,
            origin: None,
            file: None,
            history: Vec::new(),
            evidence: Vec::new(),
        }
    }

    #[test]
    fn who_is_unknown_is_said_to_be() {
        assert_eq!(
            render(&nothing(), &TimeZone::UTC),
            "address   192.0.2.9\nstate     neither blocked nor fenced\nfile      not in the blocked file\n\n\
             History:\nno matching entries in the history\n\nPackets that led to it, as recorded:\nnone\n"
        );
        let exempt = Report { exempt: Some("192.0.2.9 is never blocked".into()), ..nothing() };
        assert!(render(&exempt, &TimeZone::UTC).contains("\nexempt    192.0.2.9 is never blocked\n"));
    }

    #[test]
    fn control_bits_have_names() {
        for (bits, expected) in
            [(0, "-"), (2, "SYN"), (0x29, "FIN,PSH,URG"), (0xff, "FIN,SYN,RST,PSH,ACK,URG,ECE,CWR")]
        {
            assert_eq!(flags(bits), expected);
        }
    }

    #[test]
    fn packets_are_shown_as_they_came() {
        let seen = Seen {
            time: "2026-11-23T06:36:19.123Z".into(),
            source: [192, 0, 2, 9].into(),
            source_port: 40000,
            destination: [192, 0, 2, 1].into(),
            port: 11,
            protocol: "TCP".into(),
            kind: "TCP SYN/Normal scan".into(),
            flags: 2,
            interface: 0,
            vlan: 0,
            length: Some(58),
            ttl: None,
            hits: 1,
            verdict: "block".into(),
            proof: "none".into(),
            prefix: 0,
        };
        let text = packets(&[seen]);
        let line = text.lines().nth(1).unwrap();
        let expected = "2026-11-23T06:36:19.123Z  40000  192.0.2.1  11/TCP  TCP SYN/Normal scan  SYN    \
            trap           58    -     1  block";
        assert_eq!(line, expected);
    }
}
