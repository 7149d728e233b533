//! `block` and `unblock` of networks: edits the block list, which a running daemon follows.

use std::{collections::BTreeSet, fmt::Display};

use ipnet::IpNet;

use super::{super::observed, Report};
use crate::{
    config::block_list::is_too_much,
    daemon::Options,
    exit::Exit,
    kernel::OfflineMaps,
    sink::{Change, edit_list},
};

/// Returns the reasons against blocking `networks`.
pub(super) fn refused(change: &Change, networks: &BTreeSet<IpNet>) -> Vec<String> {
    let has_terms = matches!(change, Change::Block(remark) if !remark.is_empty());
    let termless = networks.iter().filter(|_| has_terms).map(|network| {
        format!(
            "{network} is a network: the block list holds neither an end nor a reason (omit --for and \
            --reason)"
        )
    });
    networks.iter().filter_map(is_too_much).chain(termless).collect()
}

/// Edits the list, and reports on each network.
pub(super) fn hold(
    options: &Options,
    change: &Change,
    networks: &BTreeSet<IpNet>,
    report: &mut Report,
) -> Exit {
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
    let changed = match edit_list(path, change, networks) {
        Ok(changed) => changed,
        Err(error) => return failed(&error),
    };
    if !runs {
        let done = OfflineMaps::open(&options.config.pin_path).and_then(|maps| match (maps, change) {
            (None, _) => Ok(()),
            (Some(mut maps), Change::Block(_)) => maps.block_networks(&changed),
            (Some(mut maps), Change::Unblock) => maps.unblock_networks(networks),
        });
        if let Err(error) = done {
            return failed(&error);
        }
    }
    let path = path.display();
    let said = |network: &IpNet| match (change, changed.contains(network), runs) {
        (Change::Block(_), true, true) => "being blocked by the running daemon".into(),
        (Change::Block(_), true, false) => "blocked (no daemon is running)".into(),
        (Change::Block(_), false, _) => format!("already blocked, according to {path}"),
        (Change::Unblock, true, true) => "being unblocked by the running daemon".into(),
        (Change::Unblock, true, false) => "unblocked (no daemon is running)".into(),
        (Change::Unblock, false, _) => format!("is not in {path}"),
    };
    for network in networks {
        if changed.contains(network) {
            report.change(network, said(network));
        } else {
            report.leave(network, said(network));
        }
    }
    Exit::Success
}
