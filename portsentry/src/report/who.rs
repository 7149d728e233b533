//! Who probed: sources by network, country and autonomous system, and those that came back.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use serde::Serialize;

use super::{
    source::{Port, Source},
    tally::Tally,
};
use crate::{
    instant::Time,
    notation,
    sink::origins::{Origin, Origins},
};

/// Number of rows in a table.
pub const ROWS: usize = 10;
/// Minimum number of sources of a network that scan together.
pub const TOGETHER: u64 = 4;
/// Number of ports that are told apart in a network.
const PORTS: usize = 64;

/// A row of a table: a name, and what it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The name.
    pub name: String,
    /// Number of blocks, fences and reports.
    pub count: u64,
    /// The same in the period before.
    pub before: u64,
}

/// Sources of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Network {
    /// A /24, or a /48 of IPv6.
    #[serde(with = "notation")]
    pub network: IpNet,
    /// Number of sources.
    pub sources: u64,
    /// Number of blocks, fences and reports.
    pub count: u64,
    /// Number of distinct ports, at least.
    pub ports: usize,
    /// Most sources probed at most two of them.
    pub is_divided: bool,
    /// Country and autonomous system of the first source.
    pub origin: Option<Origin>,
}

/// A source with what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Offender {
    /// The address, or the IPv6 network by which it is counted.
    #[serde(with = "notation")]
    pub address: IpNet,
    /// Number of blocks.
    pub blocked: u32,
    /// Number of fences.
    pub fenced: u32,
    /// Number of releases by an administrator.
    pub lifted: u32,
    /// Number of distinct days.
    pub days: u32,
    /// Its ports in words.
    pub ports: String,
    /// Its first probe.
    pub first: Time,
    /// Its last probe.
    pub last: Time,
    /// Its origin.
    pub origin: Option<Origin>,
}

/// Origins of addresses, and whether any are known.
pub struct Where<'a>(pub &'a Origins);

impl Where<'_> {
    /// Returns the origin of an address, if it is known.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Option<Origin> {
        let origin = self.0.are_any().then(|| self.0.of(address))?;
        (!origin.is_unknown()).then_some(origin)
    }
}

/// Returns the sources with a probe, without those that were only released.
pub fn active(tally: &Tally) -> impl Iterator<Item = (IpNet, &Source)> {
    tally
        .sources
        .iter()
        .filter(|(_, source)| source.actions() > 0)
        .map(|(address, source)| (*address, source))
}

/// Returns a source in the form of the report.
#[must_use]
pub fn offender(address: IpNet, source: &Source, origins: &Where<'_>) -> Offender {
    let at = |second: i64| {
        Time(SystemTime::UNIX_EPOCH + Duration::from_secs(second.try_into().unwrap_or_default()))
    };
    Offender {
        address,
        blocked: source.blocked,
        fenced: source.fenced,
        lifted: source.lifted,
        days: source.days(),
        ports: source.ports_shown(),
        first: at(source.first),
        last: at(source.last),
        origin: origins.of(address.addr()),
    }
}

/// Returns the sources for which `is_wanted`, those with the most actions first, and their number.
pub fn offenders(
    tally: &Tally,
    origins: &Where<'_>,
    is_wanted: impl Fn(IpNet, &Source) -> bool,
) -> (Vec<Offender>, u64) {
    let mut found: Vec<(IpNet, &Source)> =
        active(tally).filter(|(address, source)| is_wanted(*address, source)).collect();
    let count = found.len() as u64;
    found.sort_unstable_by_key(|(address, source)| {
        (std::cmp::Reverse((source.blocked, source.days(), source.actions())), *address)
    });
    found.truncate(ROWS);
    (found.into_iter().map(|(address, source)| offender(address, source, origins)).collect(), count)
}

/// Returns the network by which neighbours are counted together.
fn around(address: IpNet) -> IpNet {
    let length = if address.addr().is_ipv4() { 24 } else { 48 };
    IpNet::new(address.addr(), length.min(address.prefix_len())).map_or(address, |network| network.trunc())
}

/// Returns the networks with several sources, those with the most first, and their number.
#[must_use]
pub fn networks(tally: &Tally, origins: &Where<'_>) -> (Vec<Network>, u64) {
    #[derive(Default)]
    struct Group {
        sources: u64,
        narrow: u64,
        count: u64,
        ports: BTreeSet<Port>,
    }
    let mut groups: HashMap<IpNet, Group> = HashMap::new();
    for (address, source) in active(tally) {
        let group = groups.entry(around(address)).or_default();
        group.sources += 1;
        group.count += source.actions();
        let (ports, has_more) = source.ports();
        let ports: Vec<Port> = ports.collect();
        group.narrow += u64::from(!has_more && ports.len() <= 2);
        for port in ports {
            if group.ports.len() < PORTS {
                group.ports.insert(port);
            }
        }
    }
    let mut found: Vec<(IpNet, Group)> =
        groups.into_iter().filter(|(_, group)| group.sources >= TOGETHER).collect();
    let count = found.len() as u64;
    found
        .sort_unstable_by_key(|(network, group)| (std::cmp::Reverse((group.sources, group.count)), *network));
    found.truncate(ROWS);
    let rows = found.into_iter().map(|(network, group)| Network {
        network,
        sources: group.sources,
        count: group.count,
        ports: group.ports.len(),
        is_divided: group.narrow * 2 > group.sources && group.ports.len() > 2,
        origin: origins.of(network.addr()),
    });
    (rows.collect(), count)
}

/// Returns the most frequent names with their counts, and those of the period before.
#[must_use]
pub fn rows(now: impl IntoIterator<Item = (String, u64)>, before: &BTreeMap<String, u64>) -> Vec<Row> {
    let row = |(name, count): (String, u64)| Row {
        before: before.get(&name).copied().unwrap_or_default(),
        name,
        count,
    };
    let mut rows: Vec<Row> = now.into_iter().map(row).collect();
    rows.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.name.cmp(&other.name)));
    rows
}

/// Returns the numbers of sources by country, and by autonomous system.
#[must_use]
pub fn places(tally: &Tally, origins: &Where<'_>) -> [BTreeMap<String, u64>; 2] {
    let mut places = [BTreeMap::new(), BTreeMap::new()];
    for (address, _) in active(tally) {
        let Some(origin) = origins.of(address.addr()) else { continue };
        let system = origin.asn.map(|asn| match &origin.organization {
            Some(name) => format!("AS{asn} {name}"),
            None => format!("AS{asn}"),
        });
        for (place, name) in places.iter_mut().zip([origin.country, system]) {
            *place.entry(name.unwrap_or_else(|| "unknown".into())).or_default() += 1;
        }
    }
    places
}
