//! `portsentry history`: prints the history, in either format, over rotated files.

use super::{
    looked, observed, options, show,
    table::{self, Align},
    zone::Zone,
};
use crate::{
    cli::{Cli, History},
    control::Request,
    exit::Exit,
    inspect::{
        past::{self, Bounds, Entry, Past},
        select::Wanted,
    },
    instant::Time,
    policy::name_of,
};

/// Prints the requested entries.
pub(super) fn run(cli: &Cli, history: &History) -> Exit {
    let config = options::config(cli);
    let path = config.history_file.display();
    let zone = Zone::new(history.utc);
    let wanted = Wanted {
        address: history.address,
        since: history.since.map(|since| Time(since.resolve(zone.zone()).into())),
        kind: history.kind.clone(),
        action: history.action,
        limit: history.limit,
    };
    let read = || past::read(&config, &wanted, Bounds::NONE);
    let past = match looked::look(&config, read, &Request::History(wanted.clone())) {
        Ok(past) => past,
        Err(exit) => return exit,
    };
    tell(&past, history.limit);
    if past.torn > 0 {
        eprintln!("portsentry: {path}: {} lines are of neither format; skipped", past.torn);
    }
    let entries = past.entries;
    let text = if history.json { observed::json(&entries) } else { render(&entries, &zone) };
    show::print(&text)
}

/// Reports what is missing, on standard error.
pub(super) fn tell(past: &Past, limit: Option<usize>) {
    past.problems.iter().for_each(|problem| eprintln!("portsentry: {}", table::plain(problem)));
    if past.is_cut && limit.is_none_or(|limit| past.entries.len() < limit) {
        eprintln!(
            "portsentry: older entries are left out; root can read all, --since and --address narrow them"
        );
    }
}

pub(super) fn render(entries: &[Entry], zone: &Zone) -> String {
    use Align::{Left, Right};
    if entries.is_empty() {
        return "no matching entries in the history\n".into();
    }
    let times = zone.heading("TIME");
    let columns = [
        (times.as_str(), Left),
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
            zone.show(entry.time.0),
            name_of(entry.address),
            entry.action.name().into(),
            entry.proof.as_deref().map_or("-", show::proof_shown).into(),
            or_none(
                entry
                    .port
                    .zip(entry.protocol.as_deref())
                    .map(|(port, protocol)| format!("{port}/{protocol}")),
            ),
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
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::policy::register::HistoryAction;

    #[test]
    fn a_table_is_for_people() {
        let entry = |second, address: &str, action| Entry {
            time: Time(SystemTime::UNIX_EPOCH + Duration::from_secs(second)),
            address: address.parse().unwrap(),
            name: None,
            port: None,
            protocol: None,
            kind: None,
            proof: None,
            action,
            id: None,
            reason: None,
        };
        let entries = [
            Entry {
                port: Some(1),
                protocol: Some("TCP".into()),
                name: Some("a.example".into()),
                ..entry(1_795_389_179, "192.0.2.9/32", HistoryAction::Blocked)
            },
            Entry {
                proof: Some("administrator".into()),
                ..entry(1_795_389_180, "192.0.2.10/32", HistoryAction::Blocked)
            },
            Entry {
                port: Some(69),
                protocol: Some("UDP".into()),
                kind: Some("UDP".into()),
                ..entry(1_795_390_813, "2001:db8::9/128", HistoryAction::Reported)
            },
        ];
        assert_eq!(
            render(&entries, &Zone::utc()),
            "TIME (UTC)           ADDRESS      ACTION    PROOF            PORT  KIND  NAME       ID\n\
             2026-11-22 23:12:59  192.0.2.9    blocked   -               1/TCP  -     a.example  -\n\
             2026-11-22 23:13:00  192.0.2.10   blocked   administrator       -  -     -          -\n\
             2026-11-22 23:40:13  2001:db8::9  reported  -              69/UDP  UDP   -          -\n"
        );
        assert_eq!(render(&[], &Zone::utc()), "no matching entries in the history\n");
    }
}
