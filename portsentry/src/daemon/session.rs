//! One configuration's time: from taking over what runs to handing it on. It must not outlive a change of the
//! configuration: the next session takes over from it, as from a daemon that died.

use std::{
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::mpsc::sync_channel,
    thread,
};

use futures_util::Stream;
use portsentry_common::classify::Protocol;

use super::{
    Error, Options, Reread,
    host::{Observer, RESOLVERS},
    interfaces,
    keeper::Keeper,
    reader::{self, DebugLog, End},
};
use crate::{
    cli::Modes,
    config::Config,
    kernel::{Claim, Kernel, Load, Pins, Ring, Watched},
    sink::{Files, Journal, watch::Watch},
};

/// Messages that wait for the keeper at the most; a sighting takes about 100 bytes.
const QUEUE: usize = 16_384;

/// What the log says when a session begins.
#[derive(Debug)]
pub enum Begin {
    /// The daemon starts.
    Start,
    /// The configuration was read again.
    Reload,
    /// A new configuration could not be put into effect, for this reason; the old one goes on.
    Fallback(String),
}

/// A daemon that watches, before it has begun to read what it sees.
pub struct Session {
    keeper: Keeper,
    ring: Ring,
    debug: Option<DebugLog>,
    observer: Observer,
    changes: Pin<Box<dyn Stream<Item = ()>>>,
    watch: Watch,
}

impl Session {
    /// Loads, takes over what an earlier session left, and attaches. `claims` are the bitmaps that this process
    /// writes already.
    pub async fn start(options: &Options, begin: &Begin, claims: &mut Vec<Claim>) -> Result<Self, Error> {
        let Options { config, modes, ignored, .. } = options;
        let pins = Pins::open(&config.pin_path)?;
        let system = |what| move |source| Error::System { what, source };
        let (observer, changes) = Observer::connect().map_err(system("opening a routing socket"))?;
        let host = observer.read().await?;
        if let Some(name) = interfaces::missing(&config.interfaces, &host) {
            return Err(crate::kernel::Error::NoInterface(name.to_owned()).into());
        }
        if interfaces::present(&config.interfaces, &host).is_empty() {
            return Err(Error::NoInterface);
        }
        let (mut kernel, ring) = Load::from_config(config, options.debug).load(pins)?;
        let debug = if options.debug { Some(kernel.logger()?) } else { None };
        watch(&mut kernel, config, *modes, claims)?;
        let mut journal = Journal::new(config);
        match begin {
            Begin::Start => journal.starting(config, *modes),
            Begin::Reload => journal.note(&"The configuration was read again and is in effect"),
            Begin::Fallback(problem) => {
                journal.error(&format!("{problem}; the configuration stays as it was"));
            }
        }
        // Before they are read: what changes from here on is told.
        let read = [&config.blocked_file, &config.ignore_file].into_iter().map(PathBuf::as_path);
        let watch = Watch::new(read.chain(RESOLVERS.map(Path::new))).map_err(system("watching files"))?;
        let files = Files::new(config, *modes);
        let mut keeper = Keeper::start(kernel, (journal, files), host, ignored.clone(), (config, *modes))?;
        keeper.attach_all(matches!(begin, Begin::Start))?;
        if let Begin::Start = begin {
            keeper.journal().active();
        }
        Ok(Self { keeper, ring, debug, observer, changes: Box::pin(changes), watch })
    }

    /// Reads and acts until a signal says otherwise.
    /// `must_stay` tells whether the program is to stay attached after a stop.
    pub async fn serve(self, reread: &Reread<'_>, must_stay: &dyn Fn() -> bool) -> Result<End, Error> {
        let Self { keeper, ring, debug, observer, changes, watch } = self;
        let system = |what| move |source| Error::System { what, source };
        let (sender, receiver) = sync_channel(QUEUE);
        let thread = thread::Builder::new()
            .name("keeper".into())
            .spawn(move || keeper.run(&receiver))
            .map_err(system("starting a thread"))?;
        let read = reader::run(ring, debug, (observer, changes), watch, sender, (reread, must_stay)).await;
        let kept =
            thread.join().map_err(|_| io::Error::other("the thread that keeps the files has panicked"));
        kept.and(read).map_err(system("running"))
    }
}

/// The ports that each bitmap is to hold.
pub fn bitmaps(config: &Config, modes: Modes) -> [(Watched, Option<crate::config::PortSet>); 4] {
    let listed = |protocol| match protocol {
        Protocol::Tcp => config.ports_tcp.clone(),
        Protocol::Udp => config.ports_udp.clone(),
    };
    [
        (Watched::ListedTcp, modes.listed_tcp.then(|| listed(Protocol::Tcp))),
        (Watched::ListedUdp, modes.listed_udp.then(|| listed(Protocol::Udp))),
        (Watched::AdvancedTcp, modes.advanced_tcp.then(|| config.advanced_tcp())),
        (Watched::AdvancedUdp, modes.advanced_udp.then(|| config.advanced_udp())),
    ]
}

/// Writes the bitmaps of this process's modes, and empties those that nobody has claimed.
fn watch(kernel: &mut Kernel, config: &Config, modes: Modes, claims: &mut Vec<Claim>) -> Result<(), Error> {
    const NONE: [u64; 1024] = [0; 1024];
    for (watched, ports) in bitmaps(config, modes) {
        let held = claims.iter().position(|claim| claim.watched() == watched);
        let claim = match held {
            Some(index) => Some(claims.swap_remove(index)),
            None => Claim::new(&config.pin_path, watched)?,
        };
        match (claim, ports) {
            (Some(claim), Some(ports)) => {
                kernel.watch(watched, ports.words())?;
                claims.push(claim);
            }
            (Some(_), None) => kernel.watch(watched, &NONE)?,
            (None, Some(_)) => return Err(crate::kernel::Error::Running(config.pin_path.clone()).into()),
            (None, None) => {}
        }
    }
    Ok(())
}
