//! Blackholes that others put into a table, as the words of a peer.

use std::{
    io,
    os::fd::AsFd,
    path::Path,
    thread,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use nix::poll::{PollFd, PollFlags, poll};
use portsentry::{
    netlink::{Protocol, Socket},
    policy::peers::{Gateway, millis_of},
};
use tokio::{
    sync::mpsc::{Receiver, channel},
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{
    message::read,
    table::{Table, is_in},
};
use crate::{
    claims::{Claims, source},
    config::ROUTES,
    daemon::Daemon,
    ways::Ways,
};

/// Name of the way.
const NAME: &str = "routes-in";
/// Interval at which the table is read even if nothing seems to have changed.
const SCAN: Duration = Duration::from_mins(1);
/// Pause before the daemon is told more.
const REST: Duration = Duration::from_secs(1);
/// Time in which further changes are gathered.
const GATHERING: Duration = Duration::from_millis(50);
/// Interval in milliseconds at which the thread looks whether it is still wanted.
const LIFE: u16 = 1000;
/// The groups of changes to routes: `RTMGRP_IPV4_ROUTE`, `RTMGRP_IPV6_ROUTE`.
const GROUPS: u32 = 0x40 | 0x400;

/// The subscriber.
#[derive(Debug)]
pub struct Incoming {
    table: u32,
    prefix: u8,
    claims: Claims,
}

impl Incoming {
    /// Creates a subscriber of a table.
    #[must_use]
    pub fn new(table: u32, (directory, rate): (&Path, u32), prefix: u8) -> Self {
        let gateway = Gateway::try_from(ROUTES.to_owned()).unwrap_or_default();
        Self { table, prefix, claims: Claims::load(gateway, directory, rate) }
    }

    /// Subscribes for good.
    pub async fn run(mut self, daemon: Daemon, ways: Ways) {
        loop {
            let Err(error) = self.follow(&daemon, &ways).await;
            ways.fails(NAME, error.to_string());
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn follow(&mut self, daemon: &Daemon, ways: &Ways) -> io::Result<std::convert::Infallible> {
        let mut news = watch(self.table)?;
        let (mut connection, mut refused) = (daemon.connection(), daemon.refused());
        loop {
            self.scan(daemon, ways).await?;
            let wait = async {
                tokio::select! {
                    change = news.recv() => change.ok_or(io::ErrorKind::BrokenPipe.into()),
                    joined = connection.changed() => joined.map_err(io::Error::other),
                    refused = refused.changed() => refused.map_err(io::Error::other),
                }
            };
            let pause = if self.claims.is_behind() { REST } else { SCAN };
            if let Ok(waited) = timeout(pause, wait).await {
                waited?;
                sleep(GATHERING).await;
            }
        }
    }

    async fn scan(&mut self, daemon: &Daemon, ways: &Ways) -> io::Result<()> {
        let table = self.table;
        // A full table takes seconds.
        let found = spawn_blocking(move || Table::open(table)?.blackholes(false))
            .await
            .map_err(io::Error::other)??;
        let now = millis_of(SystemTime::now());
        self.claims.retain(|id| id.parse().is_ok_and(|network| found.contains(&network)));
        let mut skipped = 0;
        for network in found {
            match source(network, self.prefix) {
                // One that is gone for a while, as after a restart of a router, isn't new.
                Some(address) if self.claims.put(known_as(network), address, None, now) => {}
                _ => skipped += 1,
            }
        }
        self.claims.tell(daemon, now).await.map_err(io::Error::other)?;
        let skipped = self.claims.describe_others(skipped);
        ways.works(NAME, format!("{} blackholes in table {}{skipped}", self.claims.count(), self.table));
        Ok(())
    }
}

fn known_as(network: IpNet) -> (String, Option<String>) {
    (network.to_string(), Some(network.to_string()))
}

/// Watches a table on a thread of its own, which ends with the receiver.
fn watch(table: u32) -> io::Result<Receiver<()>> {
    let mut socket = Socket::open(Protocol::NetlinkRoute, None)?;
    socket.subscribe(GROUPS)?;
    let (sender, receiver) = channel(1);
    thread::Builder::new().name("routes".into()).spawn(move || {
        while !sender.is_closed() {
            let is_ready = poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], LIFE);
            if is_ready.is_ok_and(|count| count > 0) && concerns(&mut socket, table) {
                // One that waits says as much as two.
                let _ = sender.try_send(());
            }
        }
    })?;
    Ok(receiver)
}

/// Whether pending messages concern others' blackholes in a table, or may do so because some were lost.
fn concerns(socket: &mut Socket, table: u32) -> bool {
    let mut does = false;
    let received = socket.receive(&mut |message| {
        does |= read(message.body).is_some_and(|route| is_in(&route, table, false));
    });
    // If some are left, the socket is still readable.
    received.is_err() || does
}
