//! The blocked file: writing and reading again preserves its content, and an administrator's edit leaves other
//! lines unchanged.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::SystemTime,
};

use ipnet::IpNet;
use jiff::tz::TimeZone;
use portsentry::{
    policy::Record,
    sink::{Change, annotation::Annotation, blocked_file, rewrite},
};
use portsentry_common::classify::Protocol;

use crate::seeds::texts;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

pub(super) fn check(data: &[u8]) {
    let (records, faults) = blocked_file::parse(data, NOW);
    assert!(records.len() + faults.len() <= data.len());
    assert!(records.iter().all(|record| blocked_file::is_host(record.source())));
    let text = blocked_file::render(
        records.iter().copied(),
        &blocked_file::reasons(data),
        &blocked_file::denied_before(data),
        &TimeZone::UTC,
    );
    let (again, faults) = blocked_file::parse(text.as_bytes(), NOW);
    assert_eq!(faults, [], "{text}");
    assert_eq!(said(&again), said(&records), "reading returns the written records:\n{text}");
    edit(data, &records);
}

/// Returns the data that the file can express. It has no field for a proof, and no times after the year 9999.
fn said(records: &[Record]) -> Vec<(IpNet, u16, Protocol, bool)> {
    let said =
        |record: &Record| (record.network, record.hold.port, record.hold.protocol, record.hold.is_fence);
    records.iter().map(said).collect()
}

fn edit(data: &[u8], records: &[Record]) {
    let Some(first) = records.first() else { return };
    let sources = BTreeSet::from([first.network, IpAddr::from([192, 0, 2, 99]).into()]);
    for change in [Change::Block(Annotation::default()), Change::Unblock] {
        let (new, edited) = rewrite(data, &change, &sources);
        assert_eq!(edited.changed.len() + edited.unchanged.len(), sources.len());
        let (after, _) = blocked_file::parse(&new, NOW);
        let is_named = |record: &Record, source: &IpNet| match change {
            Change::Block(_) => record.network == *source,
            Change::Unblock => {
                source.contains(&record.network)
                    || blocked_file::is_prefix(record.network) && record.network.contains(source)
            }
        };
        let others = |records: &[Record]| -> BTreeMap<IpNet, usize> {
            let others = records.iter().filter(|record| !sources.iter().any(|it| is_named(record, it)));
            others.fold(BTreeMap::new(), |mut counts, record| {
                *counts.entry(record.network).or_default() += 1;
                counts
            })
        };
        assert_eq!(others(records), others(&after), "no other record is changed");
        for source in &sources {
            let holds: Vec<_> = after.iter().filter(|record| record.network == *source).collect();
            match change {
                Change::Block(_) => assert!(holds.iter().any(|record| !record.hold.is_fence)),
                Change::Unblock => assert!(holds.is_empty()),
            }
        }
        assert!(rewrite(&new, &change, &sources).1.changed.is_empty(), "nothing is left to do");
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut revival = 2_u16.to_ne_bytes().to_vec();
    revival.extend([192, 0, 2, 9]);
    revival.extend(10_u16.to_ne_bytes());
    revival.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    let mut seeds = texts(&[
        "# mine\n1795389179 - 11/22/2026 23:12:59 Host: a.example/192.0.2.9 Port: 1 TCP Blocked\n",
        "1795389180 - 11/22/2026 23:13:00 Host: 192.0.2.8/192.0.2.8 Port: 7 UDP Fenced\n2001:db8::9 # a guest\n",
        "192.0.2.5 # until 2026-11-23T12:00:00Z because \"a # guest\" # denied before\n",
        "::ffff:192.0.2.4\n192.0.2.3\r\n\t192.0.2.2\n0.0.0.0\nff02::1\nnonsense 192.0.2.1",
    ]);
    seeds.push(revival);
    seeds
}
