//! The companion: connects to the daemon and to the servers, and carries words between them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use portsentry::{
    exit::Exit,
    inspect::fleet::certificate_problem,
    policy::peers::{Gateway, Millis, millis_of},
    sandbox,
};
use tokio::{
    runtime::{self, Runtime},
    signal::unix::{SignalKind, signal},
    sync::mpsc::{Receiver, Sender, channel, unbounded_channel},
    time::{MissedTickBehavior, interval},
};

use crate::{
    blocks::Book,
    certificate,
    config::Config,
    crowdsec,
    daemon::{self, Daemon, Told},
    feed,
    fleet::{Links, Mailboxes, Own, Peer, keep, resume},
    log::LOG,
    nats::{Identity, Session},
    routes,
    ways::Ways,
};

/// Number of messages of a peer that wait for the daemon.
const MAILBOX: usize = 1024;
/// Interval at which blocks that are over are forgotten.
const TICK: Duration = Duration::from_millis(250);

/// Runs until a signal ends it. All files have been read.
pub fn run(config: Config, identity: Option<&Identity>) -> Exit {
    let hears = config.routes_in.is_some() || config.crowdsec.is_some();
    let written = hears.then_some(config.state.as_path());
    match sandbox::seal(written) {
        Ok(None) => {
            LOG.notice("confined by Landlock: it executes no file, and writes only to STATE_DIRECTORY");
        }
        Ok(Some(note)) => LOG.warning(note),
        Err(error) => {
            LOG.error(&error.to_string());
            return Exit::Failure;
        }
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            LOG.error(&error.to_string());
            return Exit::Failure;
        }
    };
    finish(runtime, async {
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

/// Runs until `work` is done. Requests that wait for an answer are given up then.
fn finish<T>(runtime: Runtime, work: impl Future<Output = T>) -> T {
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}

async fn carry(config: Config, identity: Option<&Identity>) -> Exit {
    let end = identity.and_then(|identity| certificate::end(&identity.certificate));
    if identity.is_some() {
        warn(end);
    }
    let (daemon, mut told) = daemon::follow(config.socket.clone());
    let Some((gateway, prefix)) = name(&mut told).await else { return Exit::Failure };
    if config.is_fleet() && !config.gateways.contains(&gateway) {
        LOG.error(&format!("the daemon calls this gateway {gateway}, and GATEWAYS doesn't name it"));
        return Exit::Configuration;
    }
    let (book, ways) = (Book::new(), Ways::new());
    book.take(&Told::Hello(gateway.clone(), prefix));
    tokio::spawn(ways.clone().report(daemon.clone()));
    if let Some(address) = config.feed {
        tokio::spawn(feed::serve(address, book.clone(), ways.clone()));
    }
    if let Some(crowdsec) = &config.crowdsec {
        crowdsec::start(crowdsec, (&config.state, config.rate), &book, &daemon, &ways);
    }
    if let Some(routes) = &config.routes_out {
        tokio::spawn(routes::publish(routes.socket.clone(), book.clone(), ways.clone()));
    }
    if let Some(table) = config.routes_in {
        let incoming = routes::Incoming::new(table, (&config.state, config.rate), prefix);
        tokio::spawn(incoming.run(daemon.clone(), ways.clone()));
    }
    match identity {
        Some(identity) => {
            let (sender, receiver) = channel(MAILBOX);
            tokio::select! {
                () = pass(told, &book, (&gateway, prefix), Some(sender)) => {}
                () = start(config, identity, gateway.clone(), (daemon, receiver), end) => {}
            }
        }
        None => pass(told, &book, (&gateway, prefix), None).await,
    }
    Exit::Failure
}

/// Waits for the daemon, and returns its name for this gateway, and the length of the IPv6 networks that it blocks.
async fn name(told: &mut Receiver<Told>) -> Option<(Gateway, u8)> {
    loop {
        if let Told::Hello(gateway, prefix) = told.recv().await? {
            return Some((gateway, prefix));
        }
    }
}

/// Notes what the daemon tells, and passes it on to the fleet, until the daemon has other settings.
async fn pass(
    mut told: Receiver<Told>,
    book: &Book,
    (gateway, prefix): (&Gateway, u8),
    fleet: Option<Sender<Told>>,
) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let news = tokio::select! {
            news = told.recv() => news,
            _ = ticks.tick() => {
                book.expire();
                continue;
            }
        };
        let Some(news) = news else { return };
        if let Told::Hello(name, length) = &news
            && (name, *length) != (gateway, prefix)
        {
            LOG.error(&format!(
                "the daemon's settings are others now: GATEWAY_NAME {name}, not {gateway}; IPV6_PREFIX {length}, not {prefix}"
            ));
            return;
        }
        book.take(&news);
        if let Some(fleet) = &fleet
            && fleet.send(news).await.is_err()
        {
            return;
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
    let links = Arc::new(Links::new(run, config.rate, &others, Mailboxes { acks, peers: senders }));
    let sessions =
        [0, 1].map(|slot| Session { identity: identity.clone(), subscriptions: links.subscriptions(slot) });
    for (peer, mailbox) in others.into_iter().zip(mailboxes) {
        tokio::spawn(Peer::new(peer, Arc::clone(&links), daemon.clone()).run(mailbox));
    }
    tokio::spawn(resume(Arc::clone(&links)));
    for (slot, session) in sessions.into_iter().enumerate() {
        tokio::spawn(keep(Arc::clone(&links), slot, config.servers.clone(), session));
    }
    Own::new(gateway, links, daemon, config.servers, (end, run, config.rate)).run(told, stored).await;
}

fn warn(end: Option<Millis>) {
    let problem = match end {
        Some(end) => certificate_problem(end, millis_of(SystemTime::now())),
        None => Some("the certificate's end can't be read".into()),
    };
    if let Some(problem) = problem {
        LOG.warning(&problem);
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Instant};

    use super::*;

    #[test]
    fn a_request_without_an_answer_does_not_delay_the_end() {
        let begun = Instant::now();
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        let number = finish(runtime, async {
            tokio::task::spawn_blocking(|| thread::sleep(Duration::from_secs(20)));
            7
        });
        assert_eq!(number, 7);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
