//! `portsentry history`: what the history file tells, in either format. It must not write to it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind},
    net::IpAddr,
    path::Path,
    time::SystemTime,
};

use jiff::tz::TimeZone;
use serde::Serialize;

use super::{
    observed,
    show::{self, Time},
    table::{self, Align},
};
use crate::{
    cli::{self, Cli, History},
    exit::Exit,
    sink::{Deed, Past},
};

/// A line as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Entry {
    time: Time,
    address: IpAddr,
    name: Option<String>,
    /// `None` where an administrator named the source.
    port: Option<u16>,
    protocol: Option<&'static str>,
    kind: Option<String>,
    deed: Deed,
}

/// Prints those lines that are asked for.
pub(super) fn run(cli: &Cli, history: &History) -> Exit {
    let config = match observed::config(cli) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let path = &config.history_file;
    let (entries, torn) = match read(path, history) {
        Ok(read) => read,
        Err(error) => {
            eprintln!("portsentry: {} can't be read: {error}", path.display());
            return Exit::Failure;
        }
    };
    if torn > 0 {
        eprintln!("portsentry: {}: {torn} lines are of neither format, and are left out", path.display());
    }
    let text = if history.json { observed::json(&entries) } else { render(&entries, &TimeZone::system()) };
    show::print(&text)
}

/// What is asked for, and how many lines say nothing. A file that isn't there is one without lines.
pub(super) fn read(path: &Path, history: &History) -> io::Result<(Vec<Entry>, usize)> {
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((Vec::new(), 0)),
        file => select(BufReader::new(file?), history),
    }
}

fn select(lines: impl BufRead, history: &History) -> io::Result<(Vec<Entry>, usize)> {
    let (mut entries, mut torn) = (Vec::new(), 0);
    for line in lines.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        match Past::read(&line) {
            Some(past) if is_wanted(&past, history) => entries.push(past.into()),
            Some(_) => {}
            None => torn += usize::from(!line.trim().is_empty()),
        }
    }
    Ok((entries, torn))
}

fn is_wanted(past: &Past, history: &History) -> bool {
    history.address.is_none_or(|network| network.contains(&past.source))
        && history.kind.as_ref().is_none_or(|kind| is_of(past.kind.as_deref(), kind))
        && history.deed.is_none_or(|deed| past.deed == deed.into())
        && history.since.is_none_or(|since| past.time >= SystemTime::from(since))
}

/// Whether a kind's name has `part` in it, in any case.
pub(super) fn is_of(kind: Option<&str>, part: &str) -> bool {
    kind.is_some_and(|kind| kind.to_lowercase().contains(&part.to_lowercase()))
}

impl From<cli::Deed> for Deed {
    fn from(deed: cli::Deed) -> Self {
        match deed {
            cli::Deed::Blocked => Self::Blocked,
            cli::Deed::Fenced => Self::Fenced,
            cli::Deed::Reported => Self::Reported,
        }
    }
}

impl From<Past> for Entry {
    fn from(past: Past) -> Self {
        let Past { time, source, name, port, protocol, kind, deed } = past;
        let is_probe = port != 0;
        Self {
            time: Time(time),
            address: source,
            name,
            port: is_probe.then_some(port),
            protocol: is_probe.then(|| protocol.name()),
            kind,
            deed,
        }
    }
}

pub(super) fn render(entries: &[Entry], zone: &TimeZone) -> String {
    use Align::{Left, Right};
    if entries.is_empty() {
        return "the history has no such line\n".into();
    }
    let columns =
        [("TIME", Left), ("ADDRESS", Left), ("DEED", Left), ("PORT", Right), ("KIND", Left), ("NAME", Left)];
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let rows = entries.iter().map(|entry| {
        [
            table::local(entry.time.0, zone),
            entry.address.to_string(),
            entry.deed.name().into(),
            or_none(entry.port.zip(entry.protocol).map(|(port, protocol)| format!("{port}/{protocol}"))),
            or_none(entry.kind.clone()),
            or_none(entry.name.clone()),
        ]
    });
    table::render(columns, &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "1795389179 - 11/22/2026 23:12:59 Host: a.example/192.0.2.9 Port: 1 TCP Blocked\n\
         1795389180 - 11/22/2026 23:13:00 Host: 192.0.2.10/192.0.2.10 Port: 0 TCP Blocked\n\
         1795389181 - 11/22/2026 23:13:01 Host: 192.0.2\n\
         2026-11-22T23:40:12.990+0000 Scan from: [2001:db8::9] (2001:db8::9) protocol: [UDP] port: [69] type: [UDP] \
         IP opts: [not set] ignored: [false] triggered: [true] noblock: [true] blocked: [false]\n";

    const ALL: History = History { address: None, since: None, kind: None, deed: None, json: false };

    fn selected(address: Option<&str>, since: Option<&str>) -> (Vec<Entry>, usize) {
        let history = History {
            address: address.map(|text| text.parse().unwrap()),
            since: since.map(|text| text.parse().unwrap()),
            ..ALL
        };
        select(FILE.as_bytes(), &history).unwrap()
    }

    #[test]
    fn lines_are_chosen_by_address_and_time() {
        for (address, since, expected) in [
            (None, None, &["192.0.2.9", "192.0.2.10", "2001:db8::9"][..]),
            (Some("192.0.2.9/32"), None, &["192.0.2.9"]),
            (Some("192.0.2.0/24"), None, &["192.0.2.9", "192.0.2.10"]),
            (None, Some("2026-11-22T23:13:00Z"), &["192.0.2.10", "2001:db8::9"]),
            (Some("192.0.2.0/24"), Some("2026-11-22T23:13:01Z"), &[]),
        ] {
            let (entries, torn) = selected(address, since);
            let found: Vec<_> = entries.iter().map(|entry| entry.address.to_string()).collect();
            assert_eq!(
                (found.as_slice(), torn),
                (&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..], 1)
            );
        }
    }

    #[test]
    fn lines_are_chosen_by_kind_and_deed() {
        for (kind, deed, expected) in [
            (Some("udp"), None, &["2001:db8::9"][..]),
            (Some("xmas"), None, &[]),
            (None, Some(cli::Deed::Blocked), &["192.0.2.9", "192.0.2.10"]),
            (None, Some(cli::Deed::Reported), &["2001:db8::9"]),
            (Some("UDP"), Some(cli::Deed::Fenced), &[]),
        ] {
            let history = History { kind: kind.map(Into::into), deed, ..ALL };
            let (entries, _) = select(FILE.as_bytes(), &history).unwrap();
            let found: Vec<_> = entries.iter().map(|entry| entry.address.to_string()).collect();
            assert_eq!(found, expected, "{kind:?} {deed:?}");
        }
    }

    #[test]
    fn a_table_is_for_people() {
        assert_eq!(
            render(&selected(None, None).0, &TimeZone::UTC),
            "TIME                 ADDRESS      DEED        PORT  KIND  NAME\n\
             2026-11-22 23:12:59  192.0.2.9    blocked    1/TCP  -     a.example\n\
             2026-11-22 23:13:00  192.0.2.10   blocked        -  -     -\n\
             2026-11-22 23:40:13  2001:db8::9  reported  69/UDP  UDP   -\n"
        );
    }

    #[test]
    fn json_is_for_programs() {
        let (entries, _) = selected(Some("192.0.2.9/32"), None);
        let value: serde_json::Value = serde_json::from_str(&observed::json(&entries)).unwrap();
        let expected = serde_json::json!([{
            "time": "2026-11-22T23:12:59Z", "address": "192.0.2.9", "name": "a.example", "port": 1,
            "protocol": "TCP", "kind": null, "deed": "blocked"
        }]);
        assert_eq!(value, expected);
    }

    #[test]
    fn a_history_that_is_not_there_has_no_lines() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(&directory.path().join("history"), &ALL).unwrap(), (Vec::new(), 0));
        assert_eq!(render(&[], &TimeZone::UTC), "the history has no such line\n");
    }
}
