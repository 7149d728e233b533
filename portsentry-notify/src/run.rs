//! The notifier: a thread that reads events, and one for each channel.

use std::{fs, io, os::unix::fs::DirBuilderExt, process, thread};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::{SigSet, Signal},
};
use portsentry::exit::Exit;

use crate::{
    channel::{
        Channel, Client,
        abuseipdb::{Reporter, is_reportable},
        mail::MailChannel,
        webhook::Webhook,
    },
    config::{Config, Settings, Target},
    event::Event,
    fetch::{self, Fetched},
    host,
    log::LOG,
    route::Route,
    source::Source,
    spool::{Spool, StoreError},
    worker::Worker,
};

/// Runs until a signal ends it.
pub fn run(config: Config) -> Exit {
    if config.channels.is_empty() && config.lists.is_empty() {
        LOG.error("the configuration has no channel");
        return Exit::Configuration;
    }
    match start(config) {
        Ok(()) => Exit::Success,
        Err(problem) => {
            LOG.error(&problem);
            Exit::Failure
        }
    }
}

/// Downloads all lists now.
pub fn fetch(config: &Config) -> Exit {
    let (client, directory) = (Client::new(), config.spool.join(fetch::DIRECTORY));
    let mut exit = Exit::Success;
    for source in &config.lists {
        let name = &source.name;
        match fetch::fetch(source, &directory, &client) {
            Ok(Fetched::Unchanged) => println!("{name}: unchanged"),
            Ok(Fetched::New(hosts, networks)) => println!("{name}: {hosts} hosts, {networks} networks"),
            Err(problem) => {
                eprintln!("{name}: {problem}; the last good list stays");
                exit = Exit::Failure;
            }
        }
    }
    exit
}

fn start(config: Config) -> Result<(), String> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    // Before there are threads, which inherit it.
    signals.thread_block().map_err(|error| error.to_string())?;
    let failed = |error: io::Error| format!("{}: {error}", config.spool.display());
    let stored = |error: StoreError| error.to_string();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.spool).map_err(failed)?;
    let lock =
        fs::File::options().create(true).append(true).open(config.spool.join("lock")).map_err(failed)?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
        .map_err(|_| format!("another portsentry-notify uses {}", config.spool.display()))?;
    let spool = Spool::open(&config.spool, config.size).map_err(failed)?;
    let routes: Vec<Route> = config.channels.iter().map(|settings| settings.route.clone()).collect();
    let is_wanted = move |event: &Event| routes.iter().any(|route| route.takes(event));
    let client = Client::new();
    let mut workers = Vec::new();
    for settings in config.channels {
        let (channel, can_send) = open(&settings, &config.host, &config.redact, &client)?;
        workers.push(Worker::new(settings, channel, can_send, &spool, &config.host).map_err(stored)?);
    }
    if !config.lists.is_empty() {
        let (lists, directory, client) = (config.lists, config.spool.join(fetch::DIRECTORY), client.clone());
        thread::spawn(move || fetch::run(&lists, &directory, &client));
    }
    let source = Source::new(spool.clone(), config.socket, Box::new(is_wanted)).map_err(stored)?;
    workers.into_iter().for_each(|worker| drop(thread::spawn(move || worker.run())));
    let source = thread::spawn(move || source.run());
    let _ = signals.wait();
    spool.close();
    // Messages on their way are sent again, with the same key.
    let _ = source.join();
    process::exit(0);
}

/// A channel, and whether it can send an event at all.
type Opened = (Box<dyn Channel>, fn(&Event) -> bool);

/// Opens a channel. Returns it with the events that it can send at all.
pub fn open(settings: &Settings, host: &str, redact: &[String], client: &Client) -> Result<Opened, String> {
    let client = client.clone();
    Ok(match &settings.target {
        Target::Webhook { preset, url, room, token, header, body } => {
            let (url, room, token, header, body) =
                (url.clone(), room.clone(), token.clone(), header.clone(), body.clone());
            (Box::new(Webhook { preset: *preset, url, room, token, header, body, client }), |_| true)
        }
        Target::Mail { way, from, to } => {
            let opened = MailChannel::new(way, from.clone(), to.clone(), host);
            (Box::new(opened.map_err(|error| format!("[{}] {error}", settings.name))?), |_| true)
        }
        Target::AbuseIpDb { url, key } => {
            let own = host::own(host, redact);
            (Box::new(Reporter { url: url.clone(), key: key.clone(), own, client }), is_reportable)
        }
    })
}
