//! `portsentry list`: lists blocked and fenced hosts and networks.

mod export;
mod firewall;
mod stix;
mod would;

use super::{
    looked, observed, options, show,
    table::{self, Align},
    zone::Zone,
};
use crate::{
    cli::{Cli, List},
    control::Request,
    exit::Exit,
    inspect::{
        held::{self, Held, Listed},
        select::{Selection, Sort},
    },
    instant::Time,
    policy::name_of,
    sink::origins::Origins,
};

/// Columns of the table if no entry has a reason.
const COLUMNS: usize = 9;

/// Prints the list.
pub(super) fn run(cli: &Cli, list: &List) -> Exit {
    let config = options::config(cli);
    if list.selection.would {
        return would::run(&config, list);
    }
    let read = || held::read(&config, &list.selection, usize::MAX);
    let Held { mut sources, left_out, problems } =
        match looked::look(&config, read, &Request::List(list.selection.clone())) {
            Ok(held) => held,
            Err(exit) => return exit,
        };
    locate(&mut sources, &options::origins(&config));
    problems.iter().for_each(|problem| eprintln!("portsentry: {}", table::plain(problem)));
    looked::tell_left_out(&list.selection, sources.len(), left_out);
    let text = match list.format {
        Some(format) => export::text(format, &sources, Time::now()),
        None if list.json => observed::json(&sources),
        None => render(&sources, &Zone::new(list.utc)),
    };
    show::print(&text)
}

/// Adds the origins, if any file has some.
fn locate(sources: &mut [Listed], origins: &Origins) {
    if origins.are_any() {
        sources.iter_mut().for_each(|source| source.origin = Some(origins.of(source.address.addr())));
    }
}

/// Prints the addresses alone, for completions: no errors, and at most as many as anybody looks at.
pub(super) fn addresses(cli: &Cli) -> Exit {
    const MOST: usize = 1000;
    let (options, _) = options::salvaged(cli);
    let selection = Selection { sort: Sort::Address, limit: Some(MOST), ..Selection::default() };
    let read = || held::read(&options.config, &selection, MOST);
    let held = looked::try_look(&options.config, read, &Request::List(selection.clone()));
    let sources = held.map(|held| held.sources).unwrap_or_default();
    show::print(&sources.iter().map(|source| name_of(source.address) + "\n").collect::<String>())
}

fn render(listed: &[Listed], zone: &Zone) -> String {
    use Align::{Left, Right};
    if listed.is_empty() {
        return "no source is blocked or fenced\n".into();
    }
    let times = zone.heading("SINCE");
    let columns = [
        ("ADDRESS", Left),
        ("STATE", Left),
        (times.as_str(), Left),
        ("UNTIL", Left),
        ("PROOF", Left),
        ("PORT", Right),
        ("KIND", Left),
        ("HITS", Right),
        ("DROPPED", Right),
    ];
    let rows: Vec<_> = listed.iter().map(|source| row(source, zone)).collect();
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let origins = listed.iter().any(|source| source.origin.is_some()).then(|| {
        let origin = |source: &Listed| or_none(source.origin.as_ref().map(ToString::to_string));
        (("ORIGIN", Left), listed.iter().map(origin).collect::<Vec<_>>())
    });
    let reasons = listed.iter().any(|source| source.reason.is_some()).then(|| {
        let reasons = listed.iter().map(|source| or_none(source.reason.clone()));
        (("REASON", Left), reasons.collect::<Vec<_>>())
    });
    match (origins, reasons) {
        (None, None) => table::render(columns, &rows),
        (Some(last), None) | (None, Some(last)) => {
            let (columns, rows) = with::<COLUMNS, { COLUMNS + 1 }>(columns, rows, last);
            table::render(columns, &rows)
        }
        (Some(origins), Some(reasons)) => {
            let (columns, rows) = with::<COLUMNS, { COLUMNS + 1 }>(columns, rows, origins);
            let (columns, rows) = with::<{ COLUMNS + 1 }, { COLUMNS + 2 }>(columns, rows, reasons);
            table::render(columns, &rows)
        }
    }
}

type Heading<'a> = (&'a str, Align);

/// Adds a column.
fn with<'a, const N: usize, const M: usize>(
    columns: [Heading<'a>; N],
    rows: Vec<[String; N]>,
    (heading, cells): (Heading<'a>, Vec<String>),
) -> ([Heading<'a>; M], Vec<[String; M]>) {
    let rows = rows.into_iter().zip(cells).map(|(row, cell)| table::with_last(row, cell)).collect();
    (table::with_last(columns, heading), rows)
}

fn row(source: &Listed, zone: &Zone) -> [String; COLUMNS] {
    [
        name_of(source.address),
        source.state.name().into(),
        zone.show(source.since.0),
        source.until.map_or_else(|| "for good".into(), |until| zone.show(until.0)),
        show::proof_shown(&source.proof).into(),
        source
            .port
            .zip(source.protocol.as_deref())
            .map_or_else(|| "-".into(), |(port, protocol)| format!("{port}/{protocol}")),
        source.kind.clone().unwrap_or_else(|| "-".into()),
        source.hits.to_string(),
        source.dropped.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use std::{
        net::IpAddr,
        time::{Duration, SystemTime},
    };

    use super::*;
    use crate::inspect::select::Maker;
    use crate::policy::State;
    use crate::sink::origins::Origin;

    pub(super) fn fenced(address: &str) -> Listed {
        let time = |seconds| Time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        Listed {
            address: address.parse::<IpAddr>().unwrap().into(),
            state: State::Fenced,
            since: time(0),
            until: Some(time(300)),
            proof: "none".into(),
            port: Some(11),
            protocol: Some("TCP".into()),
            kind: Some("TCP SYN/Normal scan".into()),
            hits: 1,
            dropped: 3,
            id: None,
            reason: None,
            by: Maker::Own,
            gateway: None,
            origin: None,
        }
    }

    #[test]
    fn a_table_is_for_people() {
        let administrators = Listed {
            state: State::Blocked,
            until: None,
            port: None,
            protocol: None,
            kind: None,
            proof: "administrator".into(),
            dropped: 0,
            ..fenced("2001:db8::9")
        };
        assert_eq!(
            render(&[fenced("192.0.2.9"), administrators], &Zone::utc()),
            "ADDRESS      STATE    SINCE (UTC)          UNTIL                PROOF            PORT  KIND                 HITS  DROPPED\n\
             192.0.2.9    fenced   1970-01-01 00:00:00  1970-01-01 00:05:00  none           11/TCP  TCP SYN/Normal scan     1        3\n\
             2001:db8::9  blocked  1970-01-01 00:00:00  for good             administrator       -  -                       1        0\n"
        );
        let explained = Listed { reason: Some("a guest".into()), ..fenced("192.0.2.9") };
        let table = render(&[explained, fenced("192.0.2.8")], &Zone::utc());
        let ends: Vec<_> = table.lines().map(|line| line.rsplit("  ").next().unwrap_or_default()).collect();
        assert_eq!(ends, ["REASON", "a guest", "-"]);
        let origin =
            Origin { country: Some("DE".into()), asn: Some(64500), organization: Some("Example".into()) };
        let located = Listed { origin: Some(origin), reason: Some("a guest".into()), ..fenced("192.0.2.9") };
        let table = render(&[located, fenced("192.0.2.8")], &Zone::utc());
        let ends: Vec<_> = table.lines().map(|line| line.rsplitn(3, "  ").collect::<Vec<_>>()).collect();
        assert_eq!(ends[1][..2], ["a guest", "DE AS64500 Example"], "{table}");
        assert_eq!(render(&[], &Zone::utc()), "no source is blocked or fenced\n");
    }
}
