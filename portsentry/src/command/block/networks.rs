//! `unblock` for entries of the block list: edits the list, which a running daemon follows.

use std::{collections::BTreeSet, fmt::Display};

use ipnet::IpNet;

use super::{super::observed, report::Report};
use crate::{
    config::BlockList,
    daemon::Options,
    exit::Exit,
    kernel::OfflineMaps,
    policy::name_of,
    sink::{Change, edit_list},
};

/// Returns the entries of `list` that are in `networks`.
pub(super) fn listed(list: &BlockList, networks: &BTreeSet<IpNet>) -> BTreeSet<IpNet> {
    let of = |network: &IpNet| {
        let hosts = list.hosts_in(network).iter().map(|host| IpNet::from(*host));
        let inside = list.networks.range(*network..).take_while(|it| it.addr() <= network.broadcast());
        hosts.chain(inside.filter(|it| network.contains(*it)).copied()).collect::<Vec<_>>()
    };
    networks.iter().flat_map(of).collect()
}

/// Removes `networks` from the list, and from the kernel's maps if no daemon runs. Reports each.
pub(super) fn unlist(options: &Options, networks: &BTreeSet<IpNet>, report: &mut Report) -> Exit {
    let path = &options.config.block_list;
    let observer = match observed::observer(&options.config) {
        Ok(observer) => observer,
        Err(exit) => return exit,
    };
    let runs = observer.is_some_and(|observer| observer.daemon().is_some());
    let failed = |error: &dyn Display| {
        eprintln!("portsentry: {error}");
        Exit::Failure
    };
    if let Err(error) = edit_list(path, &Change::Unblock, networks) {
        return failed(&error);
    }
    if !runs {
        let maps = OfflineMaps::open(&options.config.pin_path);
        let done = maps.and_then(|maps| maps.map_or(Ok(()), |mut maps| maps.unblock_networks(networks)));
        if let Err(error) = done {
            return failed(&error);
        }
    }
    let said =
        if runs { "being unblocked by the running daemon" } else { "unblocked (no daemon is running)" };
    networks.iter().for_each(|network| report.change(name_of(*network), said));
    Exit::Success
}
