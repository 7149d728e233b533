//! `portsentry why`: explains the state of an address, from the kernel's maps, the files, and the host.

use std::{fmt::Write, net::IpAddr};

use super::{
    history, looked, observed, options, show,
    table::{self, Align},
    zone::Zone,
};
use crate::{
    cli::{Cli, Why},
    config::Config,
    control::Request,
    exit::Exit,
    inspect::{
        explanation::{self, Explanation, Released},
        fleet::Claimed,
        past::Bounds,
        select::Maker,
        subject::Subject,
    },
    instant::Time,
    policy::State,
    sink::evidence::Seen,
};

/// Prints the report. The exit code shows only whether all files and maps could be read.
pub(super) fn run(cli: &Cli, why: Why) -> Exit {
    let options = options::salvage(cli);
    let subject = Subject { config: options.config, modes: options.modes, ignored: options.ignored };
    let address = why.address.to_canonical();
    let read = || explanation::read(&subject, address, Bounds::NONE);
    let mut report: Explanation = match looked::look(&subject.config, read, &Request::Why { address }) {
        Ok(report) => report,
        Err(exit) => return exit,
    };
    report.claims = claims(&subject.config, address);
    let origins = options::origins(&subject.config);
    report.origin = origins.are_any().then(|| origins.of(address));
    report.problems.iter().for_each(|problem| eprintln!("portsentry: {}", table::plain(problem)));
    let text = if why.json { observed::json(&report) } else { render(&report, &Zone::new(why.utc)) };
    show::print(&text)
}

/// Asks the daemon what the other gateways say about an address. Only a gateway of a fleet has an answer.
fn claims(config: &Config, address: IpAddr) -> Vec<Claimed> {
    let socket = config.share_socket.as_ref().and(config.control_socket.as_ref());
    let answer = socket.and_then(|socket| looked::patiently(socket, &Request::Claims { address }));
    answer.and_then(Result::ok).and_then(|claims| serde_json::from_value(claims).ok()).unwrap_or_default()
}

fn render(report: &Explanation, zone: &Zone) -> String {
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
    let time = |time: Time| zone.show(time.0);
    if let Some(held) = &report.held {
        if held.address.prefix_len() < held.address.max_prefix_len() {
            say("network", &held.address.to_string());
        }
        if held.by == Maker::Peer {
            say("gateway", held.gateway.as_deref().unwrap_or("unknown"));
        }
        if let Some(id) = held.id {
            say("id", &id.to_string());
        }
        say("since", &format!("{} ({})", time(held.since), zone.name()));
        say("until", &held.until.map_or_else(|| "for good".into(), time));
        say("proof", show::proof_shown(&held.proof));
        if let (Some(port), Some(protocol)) = (held.port, &held.protocol) {
            say("port", &format!("{port}/{protocol}"));
        }
        if let Some(kind) = &held.kind {
            say("kind", kind);
        }
        say("hits", &held.hits.to_string());
        say("dropped", &format!("{} packets", held.dropped));
    }
    for claim in &report.claims {
        say("claim", &claimed(claim, zone));
    }
    if !report.lists.is_empty() {
        say("lists", &report.lists.join(", "));
    }
    if let Some(suspect) = &report.suspect {
        if suspect.source.prefix_len() < suspect.source.max_prefix_len() {
            say("suspect", &format!("{}: {}", suspect.source, suspect.shown()));
        } else {
            say("suspect", &suspect.shown());
        }
        let span = format!("from {} to {}", time(suspect.first), time(suspect.last));
        let verdict = match suspect.verdict.as_str() {
            "fence" => "enough for a fence; further failures within a day fence it anew",
            "report" => "enough for a report",
            _ => "not enough for a report",
        };
        say("failures", &format!("{span} ({}): {verdict}", zone.name()));
        if let Some(missing) = &suspect.missing {
            say("to fence", missing);
        }
    }
    if let Some(would) = report.would {
        say("would be", &format!("{}, but PortSentry only observed", would.name()));
    }
    if let Some(released) = &report.released {
        say("released", &format!("{} ({}), {}", time(released.time), zone.name(), cause(released)));
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
    if report.is_cut {
        text.push_str("older entries are left out\n");
    }
    text.push_str("\nPackets that led to it, as recorded:\n");
    text.push_str(&packets(&report.evidence, zone));
    text
}

/// Returns what a gateway says.
fn claimed(claim: &Claimed, zone: &Zone) -> String {
    let Claimed { gateway, since, until, proof, kind, port, protocol, standing, .. } = claim;
    let [since, until] = [since, until].map(|time| zone.show(time.0));
    let at = match (port, protocol) {
        (Some(port), Some(protocol)) => format!(", port {port}/{protocol}"),
        _ => String::new(),
    };
    let kind = kind.as_ref().map_or_else(String::new, |kind| format!(", {kind}"));
    let proof = show::proof_shown(proof);
    format!("gateway {gateway}, since {since} until {until}: {proof}{at}{kind} ({standing})")
}

/// Returns the cause of a release, with the reason.
fn cause(released: &Released) -> String {
    let cause = match released.cause.as_str() {
        "over" => return "as it had expired".into(),
        "administrator" => "by an administrator",
        _ => "by PortSentry",
    };
    released.reason.as_ref().map_or_else(|| cause.into(), |reason| format!("{cause}: {reason}"))
}

fn state(report: &Explanation) -> String {
    let Some(held) = &report.held else {
        let is_down = report.daemon.is_none() && !report.is_enforced && report.file.is_some();
        let until =
            if is_down { ": PortSentry is down. Its next start restores what the file names" } else { "" };
        return format!("neither blocked nor fenced{until}");
    };
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

fn packets(evidence: &[Seen], zone: &Zone) -> String {
    use Align::{Left, Right};
    if evidence.is_empty() {
        return "none\n".into();
    }
    let times = zone.heading("TIME");
    let columns = [
        (times.as_str(), Left),
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
            zone.show_exactly(&seen.time),
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
    use crate::inspect::{explanation::Line, scans::tests::sample_record};

    fn nothing() -> Explanation {
        Explanation {
            address: [192, 0, 2, 9].into(),
            held: None,
            claims: Vec::new(),
            lists: Vec::new(),
            would: None,
            suspect: None,
            is_enforced: true,
            daemon: Some(1),
            exempt: None,
            origin: None,
            file: None,
            released: None,
            history: Vec::new(),
            is_cut: false,
            evidence: Vec::new(),
            problems: Vec::new(),
        }
    }

    #[test]
    fn who_is_unknown_is_said_to_be() {
        assert_eq!(
            render(&nothing(), &Zone::utc()),
            "address   192.0.2.9\nstate     neither blocked nor fenced\nfile      not in the blocked file\n\n\
             History:\nno matching entries in the history\n\nPackets that led to it, as recorded:\nnone\n"
        );
        let exempt = Explanation { exempt: Some("192.0.2.9 is never blocked".into()), ..nothing() };
        assert!(render(&exempt, &Zone::utc()).contains("\nexempt    192.0.2.9 is never blocked\n"));
    }

    #[test]
    fn observing_and_down_are_said() {
        let observed = Explanation { would: Some(State::Fenced), ..nothing() };
        let text = render(&observed, &Zone::utc());
        assert!(text.contains("\nwould be  fenced, but PortSentry only observed\n"), "{text}");
        let line = Line { since: Time(std::time::SystemTime::UNIX_EPOCH), until: None, reason: None };
        let down = Explanation { is_enforced: false, daemon: None, file: Some(line), ..nothing() };
        let text = render(&down, &Zone::utc());
        assert!(
            text.contains("fenced: PortSentry is down. Its next start restores what the file names\n"),
            "{text}"
        );
    }

    #[test]
    fn every_gateways_claim_is_shown() {
        let claim = |gateway: &str, standing: &str| Claimed {
            gateway: gateway.into(),
            network: "192.0.2.9".into(),
            since: Time(std::time::SystemTime::UNIX_EPOCH),
            until: Time(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(1)),
            proof: "cookie".into(),
            kind: Some("connect".into()),
            port: Some(23),
            protocol: Some("TCP".into()),
            standing: standing.into(),
        };
        let bare = Claimed { kind: None, port: None, ..claim("gw3", "covered") };
        let text =
            render(&Explanation { claims: vec![claim("gw2", "in force"), bare], ..nothing() }, &Zone::utc());
        let times = "since 1970-01-01 00:00:00 until 1970-01-01 01:00:00";
        for line in [
            format!("claim     gateway gw2, {times}: completed handshake, port 23/TCP, connect (in force)"),
            format!("claim     gateway gw3, {times}: completed handshake (covered)"),
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_suspects_record_is_shown() {
        let suspect = Some(sample_record());
        let text = render(&Explanation { suspect, ..nothing() }, &Zone::utc());
        for line in [
            "suspect   5 failed first contacts with 3 or more addresses and one port, score 11.0",
            "failures  from 1970-01-01 00:01:40 to 1970-01-01 00:02:22 (UTC): enough for a report",
            "to fence  1 further addresses or ports, a score higher by 2.8",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
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
            scan: None,
        };
        let text = packets(&[seen], &Zone::utc());
        let line = text.lines().nth(1).unwrap();
        let expected = "2026-11-23 06:36:19.123  40000  192.0.2.1  11/TCP  TCP SYN/Normal scan  SYN    \
            trap           58    -     1  block";
        assert_eq!(line, expected);
    }
}
