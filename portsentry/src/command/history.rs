//! `portsentry history`: prints the history file, in either format.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind},
    path::Path,
    time::SystemTime,
};

use ipnet::IpNet;
use jiff::tz::TimeZone;
use portsentry_common::block::Proof;
use serde::Serialize;

use super::{
    observed, options,
    show::{self, Time},
    table::{self, Align},
};
use crate::{
    cli::{Cli, History},
    exit::Exit,
    policy::{BlockId, name_of, register::HistoryAction},
    sink::{Decided, HistoryLine},
};

/// A line as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Entry {
    time: Time,
    /// A host or a network.
    #[serde(serialize_with = "named")]
    address: IpNet,
    name: Option<String>,
    /// `None` for an administrator's block.
    port: Option<u16>,
    protocol: Option<&'static str>,
    kind: Option<String>,
    /// The proof of the source, if it is known.
    proof: Option<&'static str>,
    action: HistoryAction,
    /// The id of the block or fence, if the evidence has it.
    id: Option<BlockId>,
    /// The reason, if the line has one.
    reason: Option<String>,
}

fn named<S: serde::Serializer>(network: &IpNet, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&name_of(*network))
}

/// Prints the requested entries.
pub(super) fn run(cli: &Cli, history: &History) -> Exit {
    let config = options::config(cli);
    let path = &config.history_file;
    let decided = Decided::read(config.evidence_file.as_deref()).unwrap_or_else(|error| {
        eprintln!("portsentry: {error}; kinds and proofs are shown only where the history has them");
        Decided::default()
    });
    let (entries, torn) = match read(path, history, &decided) {
        Ok(read) => read,
        Err(error) => {
            eprintln!("portsentry: {} can't be read: {error}", path.display());
            return Exit::Failure;
        }
    };
    if torn > 0 {
        eprintln!("portsentry: {}: {torn} lines are of neither format; skipped", path.display());
    }
    let text = if history.json { observed::json(&entries) } else { render(&entries, &TimeZone::system()) };
    show::print(&text)
}

/// Returns the requested entries, and the number of unreadable lines. A missing file counts as empty. `decided`
/// supplies details that lines lack.
pub(super) fn read(path: &Path, history: &History, decided: &Decided) -> io::Result<(Vec<Entry>, usize)> {
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((Vec::new(), 0)),
        file => select(BufReader::new(file?), history, decided),
    }
}

fn select(lines: impl BufRead, history: &History, decided: &Decided) -> io::Result<(Vec<Entry>, usize)> {
    let (mut entries, mut torn) = (Vec::new(), 0);
    for line in lines.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        match HistoryLine::read(&line) {
            Some(past) => {
                let entry = Entry::new(past, decided);
                if is_wanted(&entry, history) {
                    entries.push(entry);
                }
            }
            None => torn += usize::from(!line.trim().is_empty()),
        }
    }
    Ok((entries, torn))
}

fn is_wanted(entry: &Entry, history: &History) -> bool {
    history.address.is_none_or(|network| network.contains(&entry.address) || entry.address.contains(&network))
        && history.kind.as_ref().is_none_or(|kind| is_of(entry.kind.as_deref(), kind))
        && history.action.is_none_or(|action| entry.action == action)
        && history.since.is_none_or(|since| entry.time.0 >= SystemTime::from(since))
}

/// Whether a kind's name contains `part`, in any case.
pub(super) fn is_of(kind: Option<&str>, part: &str) -> bool {
    kind.is_some_and(|kind| kind.to_lowercase().contains(&part.to_lowercase()))
}

impl Entry {
    fn new(past: HistoryLine, decided: &Decided) -> Self {
        let HistoryLine { time, network, name, port, protocol, kind, action, reason } = past;
        let is_probe = port != 0;
        let at = |is_fence| decided.at(network, time, is_fence);
        // 2.x's lines call a fence a block.
        let decision = match action {
            HistoryAction::Blocked => at(false).or_else(|| kind.as_ref().and_then(|_| at(true))),
            HistoryAction::Fenced => at(true),
            HistoryAction::Reported | HistoryAction::Lifted => None,
        };
        let proof = if is_probe { decision.map(|it| it.proof) } else { Some(Proof::Administrator) };
        let proof = proof.filter(|_| action != HistoryAction::Lifted);
        Self {
            time: Time(time),
            address: network,
            name,
            port: is_probe.then_some(port),
            protocol: is_probe.then(|| protocol.name()),
            kind: kind.or_else(|| decision.map(|it| it.kind.clone())),
            proof: proof.map(Proof::name),
            action,
            id: decided.id_at(network, time, action == HistoryAction::Lifted),
            reason,
        }
    }
}

pub(super) fn render(entries: &[Entry], zone: &TimeZone) -> String {
    use Align::{Left, Right};
    if entries.is_empty() {
        return "no matching entries in the history\n".into();
    }
    let columns = [
        ("TIME", Left),
        ("ADDRESS", Left),
        ("ACTION", Left),
        ("PROOF", Left),
        ("PORT", Right),
        ("KIND", Left),
        ("NAME", Left),
        ("ID", Left),
    ];
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let rows = entries.iter().map(|entry| {
        [
            table::local(entry.time.0, zone),
            name_of(entry.address),
            entry.action.name().into(),
            entry.proof.map_or("-", show::proof_shown).into(),
            or_none(entry.port.zip(entry.protocol).map(|(port, protocol)| format!("{port}/{protocol}"))),
            or_none(entry.kind.clone()),
            or_none(entry.name.clone()),
            or_none(entry.id.map(String::from)),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if entries.iter().all(|entry| entry.reason.is_none()) {
        return table::render(columns, &rows);
    }
    let reasons = entries.iter().map(|entry| or_none(entry.reason.clone()));
    let rows: Vec<[String; 9]> =
        rows.into_iter().zip(reasons).map(|(row, reason)| table::with_last(row, reason)).collect();
    table::render(table::with_last(columns, ("REASON", Left)), &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "1795389179 - 11/22/2026 23:12:59 Host: a.example/192.0.2.9 Port: 1 TCP Blocked\n\
         1795389180 - 11/22/2026 23:13:00 Host: 192.0.2.10/192.0.2.10 Port: 0 TCP Blocked\n\
         1795389181 - 11/22/2026 23:13:01 Host: 192.0.2\n\
         2026-11-22T23:40:12.990+0000 Scan from: [2001:db8::9] (2001:db8::9) protocol: [UDP] port: [69] type: [UDP] \
         IP opts: [not set] ignored: [false] triggered: [true] noblock: [true] blocked: [false]\n";

    const ALL: History = History { address: None, since: None, kind: None, action: None, json: false };

    fn selected(address: Option<&str>, since: Option<&str>) -> (Vec<Entry>, usize) {
        let history = History {
            address: address.map(|text| text.parse().unwrap()),
            since: since.map(|text| text.parse().unwrap()),
            ..ALL
        };
        select(FILE.as_bytes(), &history, &Decided::default()).unwrap()
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
            let found: Vec<_> = entries.iter().map(|entry| name_of(entry.address)).collect();
            assert_eq!(
                (found.as_slice(), torn),
                (&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..], 1)
            );
        }
    }

    #[test]
    fn lines_are_chosen_by_kind_and_deed() {
        for (kind, action, expected) in [
            (Some("udp"), None, &["2001:db8::9"][..]),
            (Some("xmas"), None, &[]),
            (None, Some(HistoryAction::Blocked), &["192.0.2.9", "192.0.2.10"]),
            (None, Some(HistoryAction::Reported), &["2001:db8::9"]),
            (Some("UDP"), Some(HistoryAction::Fenced), &[]),
        ] {
            let history = History { kind: kind.map(Into::into), action, ..ALL };
            let (entries, _) = select(FILE.as_bytes(), &history, &Decided::default()).unwrap();
            let found: Vec<_> = entries.iter().map(|entry| name_of(entry.address)).collect();
            assert_eq!(found, expected, "{kind:?} {action:?}");
        }
    }

    #[test]
    fn a_table_is_for_people() {
        assert_eq!(
            render(&selected(None, None).0, &TimeZone::UTC),
            "TIME                 ADDRESS      ACTION    PROOF            PORT  KIND  NAME       ID\n\
             2026-11-22 23:12:59  192.0.2.9    blocked   -               1/TCP  -     a.example  -\n\
             2026-11-22 23:13:00  192.0.2.10   blocked   administrator       -  -     -          -\n\
             2026-11-22 23:40:13  2001:db8::9  reported  -              69/UDP  UDP   -          -\n"
        );
    }

    #[test]
    fn json_is_for_programs() {
        let (entries, _) = selected(Some("192.0.2.9/32"), None);
        let value: serde_json::Value = serde_json::from_str(&observed::json(&entries)).unwrap();
        let expected = serde_json::json!([{
            "time": "2026-11-22T23:12:59Z", "address": "192.0.2.9", "name": "a.example", "port": 1,
            "protocol": "TCP", "kind": null, "proof": null, "action": "blocked", "id": null,
            "reason": null
        }]);
        assert_eq!(value, expected);
    }

    #[test]
    fn a_history_that_is_not_there_has_no_lines() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(
            read(&directory.path().join("history"), &ALL, &Decided::default()).unwrap(),
            (Vec::new(), 0)
        );
        assert_eq!(render(&[], &TimeZone::UTC), "no matching entries in the history\n");
    }
}
