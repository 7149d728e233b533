//! IPv6 networks that are held where those of this host or of the configuration have changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;

use super::Keeper;
use crate::policy::{Record, SourceState, network_of};

impl Keeper {
    /// Lifts networks in which this host's neighbours are: those are held each alone.
    pub(super) fn lift_neighbours(&mut self) {
        let is_near = |record: &Record| record.hold.prefix != 0 && self.prefix_of(record.source) == 0;
        let near: Vec<IpAddr> = self.ledger.records().filter(is_near).map(|record| record.source).collect();
        for source in near {
            self.lift(source, "this host is in that network now");
        }
    }

    /// Lets go networks of another length than `IPV6_PREFIX`, which the kernel program doesn't look for, in the maps and in
    /// the `lines` of the blocked file. Single addresses stay held. Returns what still stands.
    pub(super) fn let_go(
        &mut self,
        mut standings: BTreeMap<IpAddr, SourceState>,
        lines: Option<&mut Vec<Record>>,
    ) -> BTreeMap<IpAddr, SourceState> {
        let prefix = if self.prefix >= 128 { 0 } else { self.prefix };
        let is_other = |other: u8| other != 0 && other != prefix;
        let mut gone: BTreeSet<IpNet> = standings
            .values()
            .filter(|standing| is_other(standing.hold.prefix))
            .map(|standing| network_of(standing.source, standing.hold.prefix))
            .collect();
        for network in &gone {
            let source = network.addr();
            standings.remove(&source);
            let removed = self.kernel.blocked.remove(source).and_then(|()| self.kernel.fenced.remove(source));
            if let Err(error) = removed {
                self.journal.error(&error);
            }
        }
        if let Some(lines) = lines {
            gone.extend(lines.iter().filter(|line| is_other(line.hold.prefix)).map(Record::network));
            lines.retain(|line| !is_other(line.hold.prefix));
        }
        if let Some(first) = gone.first() {
            self.files.rewrite();
            self.journal.note(&format!(
                "IPV6_PREFIX has changed: {} networks are no longer held, among them {first}",
                gone.len()
            ));
        }
        standings
    }
}
