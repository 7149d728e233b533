//! `portsentry review`: groups the sources in the evidence file into scanners, candidates for the ignore file, and the rest.
//! It is meant for the days before PortSentry is armed, when the administrator looks for false positives.

mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    net::IpAddr,
    path::Path,
    time::SystemTime,
};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use self::source::{Group, Source};
use super::{
    observed, options,
    show::{self, Time},
    table::{self, Align},
    zone::Zone,
};
use crate::{
    cli::{Cli, Review},
    daemon::Options,
    exit::Exit,
    host,
    kernel::connections::all_established,
    policy::{name_of, scope::Exemptions},
    sink::evidence::{self, Seen},
};

/// Scanners shown in a terminal.
const MOST: usize = 20;

/// The result.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Time of the first packet.
    since: Option<Time>,
    scanners: Vec<Row>,
    candidates: Vec<Row>,
    /// Number of sources that are neither.
    others: usize,
}

/// A source in the output.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(serialize_with = "named")]
    address: IpNet,
    /// Ports with their protocols, such as `23/TCP`.
    ports: Vec<String>,
    /// Number of recorded packets; further ones may have gone unrecorded.
    packets: usize,
    /// Number of days on which it was seen, in UTC.
    days: usize,
    reason: String,
}

fn named<S: serde::Serializer>(network: &IpNet, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&name_of(*network))
}

/// Prints the groups.
pub(super) fn run(cli: &Cli, review: Review) -> Exit {
    let options = options::salvage(cli);
    let Some(path) = options.config.evidence_file.clone() else {
        eprintln!("portsentry: EVIDENCE_FILE is not set, so that nothing was recorded");
        return Exit::Failure;
    };
    let zone = Zone::new(review.utc);
    let report = match read(&options, &path, review.since.map(|since| since.resolve(zone.zone()))) {
        Ok(report) => report,
        Err(problem) => {
            eprintln!("portsentry: {problem}");
            return Exit::Failure;
        }
    };
    let text = if review.json {
        observed::json(&report)
    } else {
        render(&report, &options.config.ignore_file, &zone)
    };
    show::print(&text)
}

fn read(options: &Options, path: &Path, since: Option<Timestamp>) -> Result<Report, String> {
    let read = host::Observer::connect().and_then(|mut observer| observer.read());
    let host = read.map_err(|problem| format!("reading this host's addresses: {problem}"))?;
    let exempt = Exemptions::new(&host, &options.ignored);
    let packets = evidence::packets(path).map_err(|error| error.to_string())?;
    let since = since.map(SystemTime::from);
    let packets = packets.into_iter().filter(|seen| !exempt.contains(seen.source)).filter(|seen| {
        let time = seen.time.parse::<Timestamp>().map(SystemTime::from);
        since.is_none_or(|since| time.is_ok_and(|time| time >= since))
    });
    let clients: BTreeSet<IpAddr> = all_established().iter().map(|connection| connection.peer.ip()).collect();
    let is_client = |network: IpNet| clients.range(network.network()..=network.broadcast()).next().is_some();
    Ok(group(packets, is_client))
}

/// Groups packets by their source. `is_client` says whether an address of a network has a connection with this host now.
fn group(packets: impl Iterator<Item = Seen>, is_client: impl Fn(IpNet) -> bool) -> Report {
    let mut sources: BTreeMap<IpNet, Source> = BTreeMap::new();
    for seen in packets {
        sources.entry(seen.network()).or_default().add(&seen);
    }
    let since = sources.values().filter_map(Source::first).min().map(Time);
    let mut report = Report { since, ..Report::default() };
    for (address, source) in sources {
        let row = |reason| Row {
            address,
            ports: source.ports(),
            packets: source.packets(),
            days: source.days(),
            reason,
        };
        match source.judge(address.addr(), is_client(address)) {
            Group::Candidate(reason) => report.candidates.push(row(reason)),
            Group::Scanner(reason) => report.scanners.push(row(reason)),
            Group::Other => report.others += 1,
        }
    }
    report.scanners.sort_by_key(|row| std::cmp::Reverse((row.ports.len(), row.packets)));
    report
}

fn render(report: &Report, ignore_file: &Path, zone: &Zone) -> String {
    let Some(since) = report.since else { return "no probe was recorded\n".into() };
    // Writing to a string never fails.
    let mut text = format!("Recorded since {} ({})\n", zone.show(since.0), zone.name());
    let _ = writeln!(text, "\nScanners: {}", report.scanners.len());
    text += &rows(report.scanners.get(..MOST).unwrap_or(&report.scanners));
    if report.scanners.len() > MOST {
        let _ = writeln!(text, "and {} more: portsentry review --json", report.scanners.len() - MOST);
    }
    let _ = writeln!(text, "\nCandidates for the ignore file: {}", report.candidates.len());
    text += &rows(&report.candidates);
    if !report.candidates.is_empty() {
        let _ = writeln!(text, "\nIf you know them, add these lines to {}:", ignore_file.display());
    }
    for row in &report.candidates {
        let _ = writeln!(text, "{}  # {}", name_of(row.address), table::plain(&row.reason));
    }
    let _ = writeln!(text, "\nOther sources: {}", report.others);
    text
}

fn rows(rows: &[Row]) -> String {
    use Align::{Left, Right};
    if rows.is_empty() {
        return String::new();
    }
    let columns =
        [("ADDRESS", Left), ("PORTS", Right), ("PACKETS", Right), ("DAYS", Right), ("REASON", Left)];
    let cells = |row: &Row| {
        [
            name_of(row.address),
            row.ports.len().to_string(),
            row.packets.to_string(),
            row.days.to_string(),
            row.reason.clone(),
        ]
    };
    table::render(columns, &rows.iter().map(cells).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample_sighting;

    fn seen(source: [u8; 4], port: u16, kind: &str, time: &str) -> Seen {
        let sighting = crate::policy::Sighting { source: source.into(), port, ..sample_sighting() };
        Seen { kind: kind.into(), time: time.into(), proof: "none".into(), ..Seen::from(&sighting) }
    }

    fn report() -> Report {
        const SYN: &str = "TCP SYN/Normal scan";
        let scanner = (1..=9).map(|port| seen([203, 0, 113, 9], port, SYN, "2026-11-23T10:00:00.000Z"));
        let odd = [seen([203, 0, 113, 8], 25, "TCP XMAS scan", "2026-11-23T10:00:00.000Z")];
        let monitoring =
            (10..=13).map(|day| seen([198, 51, 100, 7], 161, SYN, &format!("2026-11-{day}T10:00:00.000Z")));
        let own = [seen([10, 0, 0, 7], 79, SYN, "2026-11-23T10:00:00.000Z")];
        let client = [seen([203, 0, 113, 7], 79, SYN, "2026-11-23T10:00:00.000Z")];
        let once = [seen([203, 0, 113, 6], 79, SYN, "2026-11-23T10:00:00.000Z")];
        let all = scanner.chain(odd).chain(monitoring).chain(own).chain(client).chain(once);
        group(all, |network| network.contains(&IpAddr::from([203, 0, 113, 7])))
    }

    #[test]
    fn sources_are_grouped_by_what_they_did() {
        let report = report();
        let shown = |rows: &[Row]| {
            rows.iter().map(|row| (name_of(row.address), row.reason.clone())).collect::<Vec<_>>()
        };
        let expected = |rows: &[(&str, &str)]| {
            rows.iter()
                .map(|(address, reason)| ((*address).to_owned(), (*reason).to_owned()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&report.scanners),
            expected(&[("203.0.113.9", "9 ports"), ("203.0.113.8", "TCP XMAS scan")])
        );
        assert_eq!(
            shown(&report.candidates),
            expected(&[
                ("10.0.0.7", "a private address; 79/TCP"),
                ("198.51.100.7", "the same ports on 4 days, as monitoring does; 161/TCP"),
                ("203.0.113.7", "has a connection with a service; 79/TCP"),
            ])
        );
        assert_eq!(report.others, 1);
    }

    #[test]
    fn the_page_ends_with_lines_for_the_ignore_file() {
        let page = render(&report(), Path::new("/etc/portsentry/portsentry.ignore"), &Zone::utc());
        assert!(page.starts_with("Recorded since 2026-11-10 10:00:00 (UTC)\n\nScanners: 2\n"), "{page}");
        let lines =
            "add these lines to /etc/portsentry/portsentry.ignore:\n10.0.0.7  # a private address; 79/TCP\n";
        assert!(page.contains(lines), "{page}");
        assert_eq!(render(&Report::default(), Path::new("x"), &Zone::utc()), "no probe was recorded\n");
    }
}
