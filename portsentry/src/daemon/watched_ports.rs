//! The ports that are watched, for each of the kernel's bitmaps.

use std::time::Duration;

use portsentry_common::{classify::Protocol, settings::Answers};

use super::Error;
use crate::{
    config::{Config, PortSet},
    kernel::{Kernel, Watched, since_boot},
    modes::Modes,
};

/// Returns the ports for each bitmap.
pub fn bitmaps(config: &Config, modes: Modes) -> [(Watched, Option<PortSet>); 5] {
    let listed = |protocol| match protocol {
        Protocol::Tcp => config.ports_tcp.clone(),
        Protocol::Udp => config.ports_udp.clone(),
    };
    [
        (Watched::ListedTcp, modes.is_listed(Protocol::Tcp).then(|| listed(Protocol::Tcp))),
        (Watched::ListedUdp, modes.is_listed(Protocol::Udp).then(|| listed(Protocol::Udp))),
        (Watched::AdvancedTcp, modes.is_advanced(Protocol::Tcp).then(|| config.advanced_tcp())),
        (Watched::AdvancedUdp, modes.is_advanced(Protocol::Udp).then(|| config.advanced_udp())),
        (Watched::ExcludedTcp, Some(config.advanced_exclude_tcp.clone())),
    ]
}

/// Returns a message if no port is watched, so that no probe can be detected. Answers need no watched port.
#[must_use]
pub fn watches_nothing(config: &Config, modes: Modes) -> Option<&'static str> {
    let is_nothing = bitmaps(config, modes)
        .iter()
        .filter(|(watched, _)| *watched != Watched::ExcludedTcp)
        .all(|(_, ports)| ports.as_ref().is_none_or(PortSet::is_empty));
    (is_nothing && config.answers == Answers::Off)
        .then_some("no port is watched: the port lists of the selected modes are empty")
}

/// Returns the time until the ports are watched, unless that is now: after the machine's boot services have yet to start, so that their
/// clients would be taken for scanners.
pub fn until_watched(config: &Config) -> Option<Duration> {
    config.served_grace.checked_sub(since_boot()).filter(|rest| !rest.is_zero())
}

/// Writes the watched ports of all processes together.
pub fn watch_ports(kernel: &mut Kernel, config: &Config, modes: Modes) -> Result<(), Error> {
    const NONE: [u64; 1024] = [0; 1024];
    for (watched, ports) in bitmaps(config, modes) {
        kernel.watch(watched, ports.as_ref().map_or(&NONE, PortSet::words))?;
    }
    Ok(())
}
