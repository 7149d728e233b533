//! The running daemon: joins `kernel`, `policy` and `sink`.
//!
//! It must not hold rules of its own; where a decision is needed, `policy` has it.

pub mod host;
mod keeper;
mod reader;
pub mod territory;

use std::{io, sync::mpsc::sync_channel, thread};

use ipnet::IpNet;

use self::{
    host::{Host, Observer},
    keeper::Keeper,
};
use crate::{
    cli::Modes,
    config::{Config, Interfaces},
    kernel::{self, Kernel, Load, Mode, Pins, Watched},
    sink::{Files, Journal},
};

/// Messages that wait for the keeper at the most; a sighting takes about 100 bytes.
const QUEUE: usize = 16_384;

/// What a daemon is started with.
#[derive(Debug)]
pub struct Options {
    /// The configuration, with what the command line says put over it.
    pub config: Config,
    /// Which ports are watched.
    pub modes: Modes,
    /// The ignore file's networks.
    pub ignored: Vec<IpNet>,
    /// Log the kernel program's own debugging messages.
    pub debug: bool,
}

/// Why a daemon did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something at the kernel boundary.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The host's interfaces and addresses could not be read.
    #[error("reading this host's interfaces and addresses: {0}")]
    Host(#[from] rtnetlink::Error),
    /// There is no interface to watch.
    #[error("there is no interface to watch: name one with -i or INTERFACES (`ip link` lists them)")]
    NoInterface,
    /// Anything else that the system refused.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system answered.
        source: io::Error,
    },
}

/// Runs until a signal to stop.
pub async fn run(options: Options) -> Result<(), Error> {
    let system = |what| move |source| Error::System { what, source };
    let (observer, changes) = Observer::connect().map_err(system("opening a routing socket"))?;
    let host = observer.read().await?;
    let Options { config, modes, ignored, debug } = options;
    let interfaces = chosen(&config.interfaces, &host)?;

    let pins = Pins::open(&config.pin_path)?;
    let (mut kernel, ring) = Load::from_config(&config, debug).load(pins)?;
    watch(&mut kernel, &config, modes)?;
    let log = if debug { Some(kernel.logger()?) } else { None };
    let mut journal = Journal::new(&config);
    journal.starting(&config, modes);
    let sinks = (journal, Files::new(&config, modes));
    let mut keeper = Keeper::start(kernel, sinks, host, ignored, &config)?;
    attach(&mut keeper, &interfaces, &config)?;
    keeper.journal().active();

    let (sender, receiver) = sync_channel(QUEUE);
    let thread = thread::Builder::new()
        .name("keeper".into())
        .spawn(move || keeper.run(&receiver))
        .map_err(system("starting a thread"))?;
    let read = reader::run(ring, log, (observer, changes), sender).await;
    let kept = thread.join().map_err(|_| io::Error::other("the thread that keeps the files has panicked"));
    read.and(kept).map_err(system("running"))
}

/// The names of the interfaces to attach to, and their indices.
fn chosen(interfaces: &Interfaces, host: &Host) -> Result<Vec<(String, u32)>, Error> {
    let all = host.interfaces.iter();
    let chosen: Vec<_> = match interfaces {
        Interfaces::All => all.map(|found| (found.name.clone(), found.index)).collect(),
        Interfaces::AllButLoopback => {
            all.filter(|found| !found.is_loopback).map(|found| (found.name.clone(), found.index)).collect()
        }
        Interfaces::Named(names) => names
            .iter()
            .map(|name| match host.interfaces.iter().find(|found| found.name == *name) {
                Some(found) => Ok((found.name.clone(), found.index)),
                None => Err(kernel::Error::NoInterface(name.clone())),
            })
            .collect::<Result<_, _>>()?,
    };
    if chosen.is_empty() { Err(Error::NoInterface) } else { Ok(chosen) }
}

fn watch(kernel: &mut Kernel, config: &Config, modes: Modes) -> Result<(), kernel::Error> {
    const NONE: [u64; 1024] = [0; 1024];
    let (advanced_tcp, advanced_udp) = (config.advanced_tcp(), config.advanced_udp());
    for (map, is_on, ports) in [
        (Watched::ListedTcp, modes.listed_tcp, config.ports_tcp.words()),
        (Watched::ListedUdp, modes.listed_udp, config.ports_udp.words()),
        (Watched::AdvancedTcp, modes.advanced_tcp, advanced_tcp.words()),
        (Watched::AdvancedUdp, modes.advanced_udp, advanced_udp.words()),
    ] {
        kernel.watch(map, if is_on { ports } else { &NONE })?;
    }
    Ok(())
}

/// Attaches to all of `interfaces`, or to none: one that fails takes the new ones back.
fn attach(keeper: &mut Keeper, interfaces: &[(String, u32)], config: &Config) -> Result<(), Error> {
    let only = match config.xdp_mode {
        crate::config::XdpMode::Auto => None,
        crate::config::XdpMode::Native => Some(Mode::Native),
        crate::config::XdpMode::Generic => Some(Mode::Generic),
    };
    let indices: Vec<u32> = interfaces.iter().map(|(_, index)| *index).collect();
    keeper.kernel().detach_all_but(&indices)?;
    for (name, _) in interfaces {
        match keeper.kernel().attach(name, only) {
            Ok(attachment) => keeper.journal().note(&attachment),
            Err(error) => {
                keeper.kernel().detach_all_but(&[])?;
                return Err(error.into());
            }
        }
    }
    Ok(())
}
