//! The thread that maintains the table of bound ports, separate from the keeper's, which a slow file write may delay.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender},
    thread::{self, JoinHandle},
    time::Duration,
};

use portsentry_common::bound::{Horizon, trap};

use super::{message::Message, trap::Sockets};
use crate::kernel::{self, Bound, Hooks, Pins, Source, Upkeep};

/// Begins to keep `bound`, for the interfaces that are going to be watched. Without a `source` only look-ups tell what is
/// served; then an error for the log comes along.
pub fn start(
    (mut bound, hooks): (Bound, Hooks),
    source: io::Result<Source>,
    pins: &Pins,
    watched: impl IntoIterator<Item = u32>,
    (grace, traps): (Duration, [u32; 4]),
) -> Result<Result<Upkeep, String>, kernel::Error> {
    match source {
        Ok(source) => Upkeep::start((bound, hooks), source, pins, watched, (grace, traps)).map(Ok),
        Err(error) => {
            bound.publish(&Horizon { traps, ..Horizon::NONE })?;
            Ok(Err(format!(
                "bound sockets can't be listed ({error}): services bound to a bridge, VLAN device or VRF, \
                    and restarting services, look like traps. Load the kernel modules tcp_diag and udp_diag"
            )))
        }
    }
}

/// Keeps the table until nobody holds the other end of `pokes`.
pub fn run(upkeep: Upkeep, pokes: Receiver<()>, keeper: SyncSender<Message>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("ports".into()).spawn(move || {
        // A keeper that is behind isn't waited for: nobody's safety depends on a line of the log.
        upkeep.run(&pokes, |news| drop(keeper.try_send(Message::Note(news))));
    })
}

/// The ports of the daemon's own traps, as [`Horizon::traps`] has them.
#[must_use]
pub fn traps(sockets: Option<&Sockets>) -> [u32; 4] {
    let mut ports = [0; 4];
    for (protocol, address) in sockets.into_iter().flat_map(Sockets::addresses) {
        let version = if address.is_ipv4() { 4 } else { 6 };
        ports[trap(protocol, version)] = address.port().into();
    }
    ports
}
