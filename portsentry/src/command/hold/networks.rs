//! `block` and `unblock` of networks, by editing the block list, which a running daemon follows.
//!
//! It must not touch the kernel's maps while a daemon runs.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::{
    config::block_list::is_too_much,
    daemon::Options,
    exit::Exit,
    kernel::Unattended,
    sink::{Change, edit_list},
};

/// What is in the way of blocking `networks`.
pub(super) fn refused(networks: &BTreeSet<IpNet>) -> Vec<String> {
    networks.iter().filter_map(is_too_much).collect()
}

/// Does it; returns a line for each network.
pub(super) fn hold(
    options: &Options,
    change: Change,
    networks: &BTreeSet<IpNet>,
    runs: bool,
) -> Result<Vec<String>, Exit> {
    let path = &options.config.block_list;
    let failed = |error: &dyn std::fmt::Display| {
        eprintln!("portsentry: {error}");
        Exit::Failure
    };
    let changed = edit_list(path, change, networks).map_err(|error| failed(&error))?;
    if !runs
        && let Some(mut maps) = Unattended::open(&options.config.pin_path).map_err(|error| failed(&error))?
    {
        match change {
            Change::Block => maps.block_networks(&changed),
            Change::Unblock => maps.unblock_networks(networks),
        }
        .map_err(|error| failed(&error))?;
    }
    let path = path.display();
    let said = |network: &IpNet| match (change, changed.contains(network), runs) {
        (Change::Block, true, true) => "is being blocked by the running daemon".into(),
        (Change::Block, true, false) => "is blocked; no daemon runs".into(),
        (Change::Block, false, _) => format!("is blocked already, {path} says"),
        (Change::Unblock, true, true) => "is being unblocked by the running daemon".into(),
        (Change::Unblock, true, false) => "is unblocked; no daemon runs".into(),
        (Change::Unblock, false, _) => format!("is not in {path}"),
    };
    Ok(networks.iter().map(|network| format!("{network}: {}\n", said(network))).collect())
}
