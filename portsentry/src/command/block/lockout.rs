//! Refuses blocks that would lock an administrator out, or cut this host off, unless they are forced.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::{
    command::ssh,
    host,
    policy::{lockout, scope::Exemptions},
};

/// Returns the reasons against blocking `networks`, one line each.
pub(super) fn dangers(networks: &BTreeSet<IpNet>, ignored: &[IpNet]) -> Result<Vec<String>, String> {
    let read = host::Observer::connect().and_then(|mut observer| observer.read());
    let host = read.map_err(|problem| format!("reading this host's addresses: {problem}"))?;
    Ok(lockout::dangers(networks, &Exemptions::new(&host, ignored), &ssh::peers()))
}

/// Whether one of `networks` holds a client that an SSH server has not authenticated yet, such as a guesser of passwords.
/// The daemon, which can't see other processes, would take it for a peer.
pub(super) fn hold_strangers(networks: &BTreeSet<IpNet>) -> bool {
    ssh::strangers().iter().any(|client| networks.iter().any(|network| network.contains(client)))
}
