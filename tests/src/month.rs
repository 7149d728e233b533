//! A generated history of two months on a host: single scanners, repeat offenders, networks that scan together, slow
//! scans, monitoring, and hosts of the administrator. The same seed gives the same history.

use std::{
    fmt::Write,
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use fastrand::Rng;
use serde_json::json;

use crate::mmdb::{countries, systems};

const DAY: u64 = 86_400;
/// Days of a month.
pub const DAYS: u64 = 30;
/// Ports with their shares.
const PORTS: [(u16, &str, u32); 14] = [
    (23, "TCP", 30),
    (22, "TCP", 16),
    (3389, "TCP", 11),
    (445, "TCP", 9),
    (8080, "TCP", 7),
    (5060, "UDP", 6),
    (1433, "TCP", 5),
    (6379, "TCP", 4),
    (2323, "TCP", 3),
    (5900, "TCP", 3),
    (123, "UDP", 2),
    (9200, "TCP", 2),
    (111, "TCP", 1),
    (69, "UDP", 1),
];
/// Share of each hour, in UTC.
const HOURS: [u32; 24] = [9, 9, 8, 7, 6, 5, 4, 4, 5, 6, 7, 8, 8, 8, 7, 7, 8, 9, 10, 12, 13, 13, 12, 10];
/// Networks of the documentation and for benchmarks (RFC 5737, 2544), with a country and a system.
const PLACES: [(&str, &str, u32, &str); 8] = [
    ("198.18.0.0/18", "CN", 64_496, "Example Cloud East"),
    ("198.18.64.0/18", "US", 64_497, "Example Hosting"),
    ("198.18.128.0/18", "NL", 64_498, "Example Servers <b>&amp;</b> Sons"),
    ("198.18.192.0/18", "RU", 64_499, "Example Telecom"),
    ("198.19.0.0/17", "BR", 64_500, "Example Cable"),
    ("198.19.128.0/17", "IN", 64_501, "Example Mobile"),
    ("203.0.113.0/24", "DE", 64_502, "Example Scanning Research"),
    ("198.51.100.0/24", "FR", 64_503, "Example Data Centre"),
];

/// A line of the history.
struct Line {
    second: u64,
    source: Ipv4Addr,
    port: u16,
    protocol: &'static str,
    done: &'static str,
    reason: Option<String>,
}

/// Writes a configuration, its history with `events` entries in the last month and half as many in the one before, and
/// evidence of the last ones. `end` is in seconds since 1970. Returns the configuration's path.
pub fn write(directory: &Path, events: usize, end: u64) -> io::Result<PathBuf> {
    let mut rng = Rng::with_seed(2026);
    let mut lines = month(&mut rng, events / 2, end - 2 * DAYS * DAY, false);
    lines.extend(month(&mut rng, events, end - DAYS * DAY, true));
    lines.sort_by_key(|line| line.second);
    let path = |name: &str| directory.join(name);
    let cut = lines.len() * 2 / 3;
    fs::write(path("history.1"), text(&lines[..cut]))?;
    fs::write(path("history"), text(&lines[cut..]))?;
    fs::write(path("evidence"), evidence(&mut rng, &lines[lines.len().saturating_sub(8000)..]))?;
    fs::write(path("country.mmdb"), countries(&PLACES.map(|(network, country, ..)| (network, country))))?;
    fs::write(path("asn.mmdb"), systems(&PLACES.map(|(network, _, number, name)| (network, number, name))))?;
    let mut config = String::new();
    for (key, name) in [
        ("HISTORY_FILE", "history"),
        ("EVIDENCE_FILE", "evidence"),
        ("GEOIP_COUNTRY", "country.mmdb"),
        ("GEOIP_ASN", "asn.mmdb"),
        ("PIN_PATH", "pins"),
        ("BLOCKED_FILE", "blocked"),
        ("IGNORE_FILE", "ignore"),
    ] {
        // Writing to a string never fails.
        let _ = writeln!(config, "{key}=\"{}\"", path(name).display());
    }
    let conf = path("portsentry.conf");
    fs::write(&conf, config + "CONTROL_SOCKET=\"off\"\n")?;
    Ok(conf)
}

fn month(rng: &mut Rng, events: usize, begin: u64, is_last: bool) -> Vec<Line> {
    let mut lines = Vec::with_capacity(events);
    while lines.len() + 400 < events {
        let second = begin + moment(rng);
        let (port, protocol) = port(rng);
        let source = match rng.u32(..100) {
            // Repeat offenders.
            0..12 => Ipv4Addr::from(0xc612_0000 + rng.u32(..300) * 211),
            // Networks that scan together.
            12..30 => Ipv4Addr::from(0xc612_4000 + rng.u32(..6) * 256 + rng.u32(1..250)),
            _ => Ipv4Addr::from(0xc612_0000 + rng.u32(..0x1_ffff)),
        };
        fence(&mut lines, rng, (second, source), (port, protocol));
    }
    // A sweep on one evening, of a port that is new.
    if is_last {
        for _ in 0..events / 12 {
            let second = begin + 21 * DAY + 19 * 3600 + rng.u64(..7200);
            let source = Ipv4Addr::from(0xc613_8000 + rng.u32(..0x7000));
            fence(&mut lines, rng, (second, source), (11434, "TCP"));
        }
    }
    special(&mut lines, rng, begin);
    lines
}

/// Adds a fence, and sometimes the block after its proof and the end of the block.
fn fence(
    lines: &mut Vec<Line>,
    rng: &mut Rng,
    (second, source): (u64, Ipv4Addr),
    (port, protocol): (u16, &'static str),
) {
    let line = |second, done, reason| Line { second, source, port, protocol, done, reason };
    lines.push(line(second, "Fenced", None));
    if protocol == "TCP" && rng.u32(..10) < 3 {
        lines.push(line(second + 1, "Blocked", None));
        lines.push(Line { port: 0, ..line(second + 3601, "Lifted", Some("its time is over".into())) });
    }
}

/// Adds what deserves a decision, or is easily missed.
fn special(lines: &mut Vec<Line>, rng: &mut Rng, begin: u64) {
    let mut add = |second, source, port, done, reason: Option<&str>| {
        lines.push(Line { second, source, port, protocol: "TCP", done, reason: reason.map(Into::into) });
    };
    for day in 0..DAYS {
        let second = begin + day * DAY + 6 * 3600 + rng.u64(..600);
        // Monitoring that nobody has entered in the ignore file.
        add(second, Ipv4Addr::new(203, 0, 113, 10), 161, "Fenced", None);
        if day % 3 == 0 {
            let reason = "slow scan: 7 failed first contacts within 19 h, score 16.2";
            add(second + 9000, Ipv4Addr::new(198, 51, 100, 77), 8443, "Fenced", Some(reason));
        }
    }
    let printer = Ipv4Addr::new(10, 0, 0, 23);
    add(begin + 4 * DAY, printer, 515, "Fenced", None);
    let guest = Ipv4Addr::new(203, 0, 113, 99);
    for (day, done) in [(5, "Blocked"), (5, "Lifted"), (12, "Blocked"), (12, "Lifted")] {
        let reason = (done == "Lifted").then_some("alice asked for it: a customer");
        let second = begin + day * DAY + if done == "Lifted" { 1800 } else { 0 };
        add(second, guest, if done == "Lifted" { 0 } else { 22 }, done, reason);
    }
    let reason = "sweep: 9 failed first contacts within 40 s, score 21.0";
    add(begin + 15 * DAY, Ipv4Addr::new(198, 51, 100, 9), 443, "Fenced", Some(reason));
}

/// Returns a second of a month: more in the evening, fewer at weekends.
fn moment(rng: &mut Rng) -> u64 {
    loop {
        let (day, hour) = (rng.u64(..DAYS), rng.usize(..24));
        let weekend = if day % 7 > 4 { 2 } else { 0 };
        if rng.u32(..14) < HOURS[hour].saturating_sub(weekend) {
            return day * DAY + hour as u64 * 3600 + rng.u64(..3590);
        }
    }
}

fn port(rng: &mut Rng) -> (u16, &'static str) {
    let all: u32 = PORTS.iter().map(|(_, _, share)| share).sum();
    let mut ticket = rng.u32(..all);
    for (port, protocol, share) in PORTS {
        if ticket < share {
            return (port, protocol);
        }
        ticket -= share;
    }
    (PORTS[0].0, PORTS[0].1)
}

fn text(lines: &[Line]) -> String {
    let mut text = String::with_capacity(lines.len() * 90);
    for Line { second, source, port, protocol, done, reason } in lines {
        let begin = if *done == "Lifted" { "Released" } else { "Host" };
        // The date is for people; programs read the seconds.
        let _ = write!(
            text,
            "{second} - 01/01/2026 00:00:00 {begin}: {source}/{source} Port: {port} {protocol} {done}"
        );
        if let Some(reason) = reason {
            let _ = write!(text, " # because {}", json!(reason));
        }
        text.push('\n');
    }
    text
}

fn evidence(rng: &mut Rng, lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines.iter().filter(|line| line.done != "Lifted") {
        let kind = match (line.protocol, rng.u32(..20)) {
            ("UDP", _) => "UDP scan",
            (_, 0) => "TCP XMAS scan",
            (_, 1) => "TCP FIN scan",
            (_, 2..4) => "TCP NULL scan",
            _ => "TCP SYN/Normal scan",
        };
        let (verdict, proof) = match line.done {
            "Blocked" if rng.u32(..5) == 0 => ("block", "connection"),
            "Blocked" => ("block", "cookie"),
            _ => ("fence", "none"),
        };
        let time = stamp(line.second);
        let seen = json!({
            "time": time, "source": line.source, "source_port": 40_000, "destination": "192.0.2.1", "port": line.port,
            "protocol": line.protocol, "kind": kind, "flags": 2, "interface": 2, "vlan": 0, "length": 58, "ttl": 52,
            "hits": 1, "verdict": verdict, "proof": proof,
        });
        let _ = writeln!(text, "{seen}");
    }
    text
}

fn stamp(second: u64) -> String {
    portsentry::instant::universal(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second))
}
