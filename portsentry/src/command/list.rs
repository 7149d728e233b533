//! `portsentry list`: lists blocked and fenced hosts and networks from the kernel's maps.

use std::{cmp::Reverse, collections::BTreeMap, net::IpAddr, path::Path};

use ipnet::IpNet;
use jiff::tz::TimeZone;
use portsentry_common::{
    block::{Block, Proof},
    classify::{Kind, Protocol},
};
use serde::Serialize;

use super::{
    history::is_of,
    observed, options,
    show::{self, Time},
    table::{self, Align},
};
use crate::{
    cli::{Cli, List, Sort},
    config::Config,
    exit::Exit,
    kernel::{self, Observer, monotonic_ns, wall_time},
    policy::{BlockId, Ids, State, name_of, network_of},
    sink::{
        self, blocked_file, classic, id_file,
        origins::{Origin, Origins},
    },
};

/// Columns of the table if no entry has a reason.
const COLUMNS: usize = 9;

/// A listed source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Listed {
    /// A host, or a network blocked by an administrator or by the block list.
    #[serde(serialize_with = "named")]
    pub(super) address: IpNet,
    pub(super) state: State,
    pub(super) since: Time,
    /// `None` for never.
    pub(super) until: Option<Time>,
    pub(super) proof: &'static str,
    /// `None` for an administrator's block.
    pub(super) port: Option<u16>,
    pub(super) protocol: Option<&'static str>,
    pub(super) kind: Option<String>,
    pub(super) hits: u32,
    pub(super) dropped: u64,
    /// The id of the block or fence. Entries of the block list have none.
    pub(super) id: Option<BlockId>,
    /// The administrator's reason, from the blocked file.
    pub(super) reason: Option<String>,
    /// Its origin; `None` without `GEOIP_COUNTRY` and `GEOIP_ASN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Origin>,
}

/// Prints the list.
pub(super) fn run(cli: &Cli, list: &List) -> Exit {
    let read = || {
        let config = options::config(cli);
        let observer = observed::observer(&config)?;
        let sources = observer.as_ref().map_or_else(|| Ok(Vec::new()), read);
        let mut sources = sources.map_err(|error| observed::failure(&error))?;
        explain(&mut sources, &config);
        identify(&mut sources, &config.blocked_file);
        locate(&mut sources, &options::origins(&config));
        Ok(sources)
    };
    let listed = match read() {
        Ok(sources) => arrange(sources, list),
        Err(exit) => return exit,
    };
    let text = if list.json { observed::json(&listed) } else { render(&listed, &TimeZone::system()) };
    show::print(&text)
}

/// Adds the reasons in the blocked file, if it can be read.
fn explain(sources: &mut [Listed], config: &Config) {
    let content = sink::read(&config.blocked_file).unwrap_or_else(|error| {
        eprintln!("portsentry: {error}");
        None
    });
    let mut reasons = blocked_file::reasons(&content.unwrap_or_default());
    for source in sources.iter_mut().filter(|source| source.state == State::Blocked) {
        source.reason = reasons.remove(&source.address);
    }
}

/// Adds the ids, if their file can be read.
pub(super) fn identify(sources: &mut [Listed], blocked_file: &Path) {
    let ids = id_file::read(blocked_file).unwrap_or_else(|error| {
        eprintln!("portsentry: {error}");
        Ids::default()
    });
    sources.iter_mut().for_each(|source| source.id = ids.get(source.address));
}

/// Adds the origins, if any file has some.
pub(super) fn locate(sources: &mut [Listed], origins: &Origins) {
    if origins.are_any() {
        sources.iter_mut().for_each(|source| source.origin = Some(origins.of(source.address.addr())));
    }
}

fn named<S: serde::Serializer>(address: &IpNet, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&name_of(*address))
}

/// Returns every source that is blocked or fenced now.
pub(super) fn read(observer: &Observer) -> Result<Vec<Listed>, kernel::Error> {
    let now = monotonic_ns();
    let blocked = observer.sources(State::Blocked)?;
    let mut fenced = observer.sources(State::Fenced)?;
    fenced.retain(|address, _| !blocked.contains_key(address));
    let listed = |sources: BTreeMap<IpAddr, Block>, state| {
        let standing = sources.into_iter().filter(move |(_, block)| !block.is_over(now.unsigned_abs()));
        standing
            .map(move |(address, block)| Listed::new(network_of(address, block.prefix), state, &block))
            .collect::<Vec<_>>()
    };
    let networks = observer.networks()?.into_iter();
    let networks = networks.map(|(network, block)| Listed::new(network, State::Blocked, &block)).collect();
    Ok([listed(blocked, State::Blocked), listed(fenced, State::Fenced), networks].concat())
}

impl Listed {
    fn new(address: IpNet, state: State, block: &Block) -> Self {
        // An administrator's block has neither port nor kind.
        let protocol = Protocol::try_from(block.protocol).ok().filter(|_| block.port != 0);
        let until =
            (block.until_ns != 0).then(|| Time(wall_time(i64::try_from(block.until_ns).unwrap_or(i64::MAX))));
        let kind = Kind::try_from(block.kind).ok();
        Self {
            address,
            state,
            since: Time(wall_time(block.since_ns)),
            until,
            proof: Proof::try_from(block.proof).map_or("unknown", Proof::name),
            port: protocol.map(|_| block.port),
            protocol: protocol.map(Protocol::name),
            kind: kind.map(|kind| classic::scan_type(kind, block.flags).trim().to_owned()),
            hits: block.hits,
            dropped: block.dropped,
            id: None,
            reason: None,
            origin: None,
        }
    }
}

fn arrange(mut sources: Vec<Listed>, list: &List) -> Vec<Listed> {
    sources.retain(|source| {
        list.state.is_none_or(|state| source.state == state)
            && list.kind.as_ref().is_none_or(|kind| is_of(source.kind.as_deref(), kind))
            && list
                .network
                .is_none_or(|network| network.contains(&source.address) || source.address.contains(&network))
    });
    match list.sort {
        Sort::Since => sources.sort_by_key(|source| (source.since, source.address)),
        Sort::Dropped => sources.sort_by_key(|source| (Reverse(source.dropped), source.address)),
        Sort::Until => sources.sort_by_key(|source| (source.until.is_none(), source.until, source.address)),
        Sort::Hits => sources.sort_by_key(|source| (Reverse(source.hits), source.address)),
        Sort::Address => sources.sort_by_key(|source| source.address),
    }
    sources
}

fn render(listed: &[Listed], zone: &TimeZone) -> String {
    use Align::{Left, Right};
    if listed.is_empty() {
        return "no source is blocked or fenced\n".into();
    }
    let columns = [
        ("ADDRESS", Left),
        ("STATE", Left),
        ("SINCE", Left),
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

type Heading = (&'static str, Align);

/// Adds a column.
fn with<const N: usize, const M: usize>(
    columns: [Heading; N],
    rows: Vec<[String; N]>,
    (heading, cells): (Heading, Vec<String>),
) -> ([Heading; M], Vec<[String; M]>) {
    let rows = rows.into_iter().zip(cells).map(|(row, cell)| table::with_last(row, cell)).collect();
    (table::with_last(columns, heading), rows)
}

fn row(source: &Listed, zone: &TimeZone) -> [String; COLUMNS] {
    let state = match source.state {
        State::Blocked => "blocked",
        State::Fenced => "fenced",
    };
    [
        name_of(source.address),
        state.into(),
        table::local(source.since.0, zone),
        source.until.map_or_else(|| "for good".into(), |until| table::local(until.0, zone)),
        show::proof_shown(source.proof).into(),
        source
            .port
            .zip(source.protocol)
            .map_or_else(|| "-".into(), |(port, protocol)| format!("{port}/{protocol}")),
        source.kind.clone().unwrap_or_else(|| "-".into()),
        source.hits.to_string(),
        source.dropped.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn listed(address: &str, second: u64, dropped: u64) -> Listed {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        Listed {
            address: address.parse::<IpAddr>().unwrap().into(),
            state: State::Blocked,
            since: Time(since),
            until: None,
            proof: "none",
            port: Some(11),
            protocol: Some("TCP"),
            kind: Some("TCP SYN/Normal scan".into()),
            hits: 1,
            dropped,
            id: None,
            reason: None,
            origin: None,
        }
    }

    fn fenced(address: &str, second: u64) -> Listed {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let until = Some(Time(since + Duration::from_mins(5)));
        Listed { state: State::Fenced, until, ..listed(address, second, 3) }
    }

    const ALL: List = List { state: None, network: None, kind: None, sort: Sort::Since, json: false };

    fn addresses(list: &List) -> Vec<String> {
        let sources = vec![
            listed("192.0.2.9", 30, 5),
            listed("2001:db8::9", 10, 9),
            listed("192.0.2.10", 20, 7),
            fenced("198.51.100.7", 40),
        ];
        arrange(sources, list).iter().map(|source| name_of(source.address)).collect()
    }

    #[test]
    fn lists_are_filtered_and_sorted() {
        let network = |text: &str| Some(text.parse().unwrap());
        for (list, expected) in [
            (ALL, &["2001:db8::9", "192.0.2.10", "192.0.2.9", "198.51.100.7"][..]),
            (
                List { sort: Sort::Dropped, ..ALL },
                &["2001:db8::9", "192.0.2.10", "192.0.2.9", "198.51.100.7"],
            ),
            (
                List { sort: Sort::Address, ..ALL },
                &["192.0.2.9", "192.0.2.10", "198.51.100.7", "2001:db8::9"],
            ),
            (List { state: Some(State::Fenced), ..ALL }, &["198.51.100.7"]),
            (List { network: network("192.0.2.0/24"), ..ALL }, &["192.0.2.10", "192.0.2.9"]),
            (List { sort: Sort::Until, ..ALL }, &["198.51.100.7", "192.0.2.9", "192.0.2.10", "2001:db8::9"]),
            (
                List { kind: Some("SYN".into()), sort: Sort::Hits, ..ALL },
                &["192.0.2.9", "192.0.2.10", "198.51.100.7", "2001:db8::9"],
            ),
            (List { kind: Some("xmas".into()), ..ALL }, &[]),
            (List { network: network("2001:db8::9/128"), ..ALL }, &["2001:db8::9"]),
        ] {
            assert_eq!(addresses(&list), expected, "{list:?}");
        }
    }

    #[test]
    fn a_table_is_for_people() {
        let administrators = Listed {
            port: None,
            protocol: None,
            kind: None,
            proof: "administrator",
            ..listed("2001:db8::9", 0, 0)
        };
        assert_eq!(
            render(&[fenced("192.0.2.9", 0), administrators], &TimeZone::UTC),
            "ADDRESS      STATE    SINCE                UNTIL                PROOF            PORT  KIND                 HITS  DROPPED\n\
             192.0.2.9    fenced   1970-01-01 00:00:00  1970-01-01 00:05:00  none           11/TCP  TCP SYN/Normal scan     1        3\n\
             2001:db8::9  blocked  1970-01-01 00:00:00  for good             administrator       -  -                       1        0\n"
        );
        let explained = Listed { reason: Some("a guest".into()), ..fenced("192.0.2.9", 0) };
        let table = render(&[explained, fenced("192.0.2.8", 0)], &TimeZone::UTC);
        let ends: Vec<_> = table.lines().map(|line| line.rsplit("  ").next().unwrap_or_default()).collect();
        assert_eq!(ends, ["REASON", "a guest", "-"]);
        let origin =
            Origin { country: Some("DE".into()), asn: Some(64500), organization: Some("Example".into()) };
        let located =
            Listed { origin: Some(origin), reason: Some("a guest".into()), ..fenced("192.0.2.9", 0) };
        let table = render(&[located, fenced("192.0.2.8", 0)], &TimeZone::UTC);
        let ends: Vec<_> = table.lines().map(|line| line.rsplitn(3, "  ").collect::<Vec<_>>()).collect();
        assert_eq!(ends[1][..2], ["a guest", "DE AS64500 Example"], "{table}");
        assert_eq!(render(&[], &TimeZone::UTC), "no source is blocked or fenced\n");
    }

    #[test]
    fn json_is_for_programs() {
        let value: serde_json::Value =
            serde_json::from_str(&observed::json(&[fenced("192.0.2.9", 0)])).unwrap();
        let expected = serde_json::json!([{
            "address": "192.0.2.9", "state": "fenced", "since": "1970-01-01T00:00:00Z",
            "until": "1970-01-01T00:05:00Z", "proof": "none", "port": 11, "protocol": "TCP",
            "kind": "TCP SYN/Normal scan", "hits": 1, "dropped": 3, "id": null, "reason": null
        }]);
        assert_eq!(value, expected);
    }

    #[test]
    fn a_block_is_listed_as_the_map_holds_it() {
        let block = Block {
            since_ns: monotonic_ns(),
            until_ns: 0,
            dropped: 4,
            hits: 2,
            interface: 2,
            port: 69,
            protocol: 17,
            kind: Kind::Udp as u8,
            flags: 0,
            origin: 1,
            mirrored: 1,
            proof: Proof::Cookie as u8,
            prefix: 0,
            reserved: 0,
            guessed: 0,
            paced: 0,
        };
        let source = Listed::new(IpAddr::from([192, 0, 2, 9]).into(), State::Blocked, &block);
        assert_eq!(
            (source.until, source.proof, source.port, source.protocol, source.hits, source.dropped),
            (None, "cookie", Some(69), Some("UDP"), 2, 4)
        );
        assert_eq!(source.kind.as_deref(), Some("UDP scan"));
        let odd = Listed::new(
            "203.0.113.0/24".parse().unwrap(),
            State::Blocked,
            &Block { kind: 99, proof: 99, port: 0, ..block },
        );
        assert_eq!(name_of(odd.address), "203.0.113.0/24");
        assert_eq!((odd.kind, odd.proof, odd.protocol), (None, "unknown", None));
    }
}
