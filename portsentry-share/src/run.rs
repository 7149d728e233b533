//! The companion: connects to the daemon and to the servers, and carries words between them.

use std::{sync::Arc, time::SystemTime};

use portsentry::{
    exit::Exit,
    policy::peers::{Gateway, Millis, millis_of},
};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::mpsc::{Receiver, channel, unbounded_channel},
};

use crate::{
    certificate,
    config::Config,
    daemon::{self, Daemon, Told},
    fleet::{Links, Mailboxes, Own, Peer, keep, wire},
    log::LOG,
    nats::{Identity, Session},
};

/// Number of messages of a peer that wait for the daemon.
const MAILBOX: usize = 1024;
/// Days before the end of the certificate at which the companion warns.
const WARNING: Millis = 30;
const DAY: Millis = 86_400_000;

/// Runs until a signal ends it.
pub fn run(config: Config, identity: &Identity) -> Exit {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            LOG.error(&error.to_string());
            return Exit::Failure;
        }
    };
    runtime.block_on(async {
        let mut signals = [SignalKind::terminate(), SignalKind::interrupt()].map(|kind| signal(kind).ok());
        let [terminate, interrupt] = &mut signals;
        let ended = async |signal: &mut Option<tokio::signal::unix::Signal>| match signal {
            Some(signal) => signal.recv().await,
            None => std::future::pending().await,
        };
        tokio::select! {
            exit = carry(config, identity) => exit,
            _ = ended(terminate) => Exit::Success,
            _ = ended(interrupt) => Exit::Success,
        }
    })
}

async fn carry(config: Config, identity: &Identity) -> Exit {
    let end = certificate::end(&identity.certificate);
    warn(end);
    let (daemon, mut told) = daemon::follow(config.socket.clone());
    let Some(gateway) = name(&mut told).await else { return Exit::Failure };
    if !config.gateways.contains(&gateway) {
        LOG.error(&format!("the daemon calls this gateway {gateway}, and GATEWAYS doesn't name it"));
        return Exit::Configuration;
    }
    start(config, identity, gateway, (daemon, told), end).await;
    Exit::Failure
}

/// Waits for the daemon, and returns its name for this gateway.
async fn name(told: &mut Receiver<Told>) -> Option<Gateway> {
    loop {
        if let Told::Hello(gateway) = told.recv().await? {
            return Some(gateway);
        }
    }
}

async fn start(
    config: Config,
    identity: &Identity,
    gateway: Gateway,
    (daemon, told): (Daemon, Receiver<Told>),
    end: Option<Millis>,
) {
    let run = millis_of(SystemTime::now());
    let others: Vec<Gateway> = config.gateways.into_iter().filter(|name| *name != gateway).collect();
    let (senders, mailboxes): (Vec<_>, Vec<_>) = others.iter().map(|_| channel(MAILBOX)).unzip();
    let (acks, stored) = unbounded_channel();
    let links = Arc::new(Links::new(run, Mailboxes { acks, peers: senders }));
    let session = Session {
        identity: identity.clone(),
        subscriptions: Arc::new(wire::subscriptions(links.answers(), &others)),
    };
    for (peer, mailbox) in others.into_iter().zip(mailboxes) {
        tokio::spawn(Peer::new(peer, Arc::clone(&links), daemon.clone()).run(mailbox));
    }
    for slot in 0..2 {
        tokio::spawn(keep(Arc::clone(&links), slot, config.servers.clone(), session.clone()));
    }
    Own::new(gateway, links, daemon, config.servers, (end, run, config.rate)).run(told, stored).await;
}

fn warn(end: Option<Millis>) {
    let now = millis_of(SystemTime::now());
    match end.map(|end| end.saturating_sub(now) / DAY) {
        Some(days) if days < WARNING => {
            LOG.warning(&format!("the certificate ends within {} days", days + 1));
        }
        Some(_) => {}
        None => LOG.warning("the certificate's end can't be read"),
    }
}
