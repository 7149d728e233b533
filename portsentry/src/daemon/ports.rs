//! The thread that maintains the table of bound ports. It is separate from the keeper, which a slow file may delay.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender},
    thread::{self, JoinHandle},
    time::Duration,
};

use portsentry_common::bound::{Horizon, trap};

use super::{message::Message, trap::Sockets};
use crate::kernel::{self, Bound, Hooks, Pins, Source, Upkeep};

/// Prepares to maintain `bound` for the interfaces to be watched. Without a `source`, only look-ups find served
/// ports, and an error for the log is returned.
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

/// Maintains the table until the other end of `pokes` is dropped.
pub fn run(upkeep: Upkeep, pokes: Receiver<()>, keeper: SyncSender<Message>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("ports".into()).spawn(move || {
        // If the keeper is behind, the log line is dropped.
        upkeep.run(&pokes, |news| drop(keeper.try_send(Message::News(news))));
    })
}

/// Returns the ports of the daemon's own traps, in the order of [`Horizon::traps`].
#[must_use]
pub fn traps(sockets: Option<&Sockets>) -> [u32; 4] {
    let mut ports = [0; 4];
    for (protocol, address) in sockets.into_iter().flat_map(Sockets::addresses) {
        let version = if address.is_ipv4() { 4 } else { 6 };
        ports[trap(protocol, version)] = address.port().into();
    }
    ports
}
