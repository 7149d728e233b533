//! CrowdSec: this gateway's blocks become decisions of a Local API, and that API's decisions the words of a peer.

mod client;
mod decision;
mod incoming;
mod outgoing;
mod pause;

use std::{path::Path, sync::Arc};

use self::{client::Client, incoming::Incoming, outgoing::Outgoing};
use crate::{
    blocks::{Blocks, Book},
    config::CrowdSec,
    daemon::Daemon,
    ways::Ways,
};

/// Starts the directions that are configured. `state` is the directory for what outlives the process, and the rate of news.
pub fn start(config: &CrowdSec, state: (&Path, u32), book: &Book, daemon: &Daemon, ways: &Ways) {
    let client = Arc::new(Client::new(config.url.clone()));
    let own = format!("portsentry/{}", book.look(|blocks| blocks.gateway().clone()));
    if let Some((machine, password)) = &config.machine {
        let outgoing = Outgoing::new(Arc::clone(&client), (machine.clone(), password.clone()), own.clone());
        tokio::spawn(outgoing.run(book.clone(), ways.clone()));
    }
    if let Some(key) = &config.key {
        let incoming = Incoming::new(client, key.clone(), own, state, book.look(Blocks::prefix));
        tokio::spawn(incoming.run(daemon.clone(), ways.clone()));
    }
}
