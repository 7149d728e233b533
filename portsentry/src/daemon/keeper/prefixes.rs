//! Releases blocked IPv6 networks after a change of this host's networks or of the configuration.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::Keeper;
use crate::{
    policy::{
        Record, SourceState, is_host,
        register::{NEAR, OTHER_PREFIX, Release},
    },
    sink::blocked_file::is_prefix,
};

impl Keeper {
    /// Releases networks that contain this host's neighbours, because these are separate sources.
    pub(super) fn lift_neighbours(&mut self) {
        let is_near = |record: &Record| {
            self.scope.is_prefix(record.network) && is_host(self.scope.network_of(record.source()))
        };
        let near: Vec<IpNet> =
            self.register.ledger().records().filter(is_near).map(|record| record.network).collect();
        for network in near {
            self.release(Release::Exempt, network, NEAR);
        }
    }

    /// Releases networks whose length differs from `IPV6_PREFIX`, because the kernel program would not find them.
    /// Changes the maps and the `lines` of the blocked file. Single addresses and administrators' blocks stay.
    /// Returns the remaining entries.
    pub(super) fn let_go(
        &mut self,
        mut standings: BTreeMap<IpNet, SourceState>,
        lines: Option<&mut Vec<Record>>,
    ) -> BTreeMap<IpNet, SourceState> {
        let is_other = |record: &Record| {
            record.hold.port != 0 && is_prefix(record.network) && !self.scope.is_prefix(record.network)
        };
        let mut gone: BTreeMap<IpNet, Record> = BTreeMap::new();
        standings.retain(|network, standing| {
            let is_gone = is_other(&standing.record());
            gone.extend(is_gone.then(|| (*network, standing.record())));
            !is_gone
        });
        for line in lines.into_iter().flat_map(|lines| lines.extract_if(.., |line| is_other(line))) {
            gone.entry(line.network).or_insert(line);
        }
        let networks: BTreeSet<IpNet> = gone.keys().copied().collect();
        for Record { network, hold } in gone.into_values() {
            self.register.ledger_mut().replace(network, hold);
            self.release_silently(Release::Exempt, network, OTHER_PREFIX);
        }
        if let Some(first) = networks.first() {
            self.journal.note(&format!(
                "IPV6_PREFIX has changed: {} networks are no longer held, among them {first}",
                networks.len()
            ));
        }
        standings
    }
}
