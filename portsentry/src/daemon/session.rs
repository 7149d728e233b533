//! One configuration's time: from taking over what runs to handing it on. It must not outlive a change of the
//! configuration: the next session takes over from it, as from a daemon that died.

use std::{
    fmt::Display,
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
    companion::Claims,
    control::Control,
    host::{Observer, RESOLVERS},
    interfaces,
    keeper::Keeper,
    reader::{self, DebugLog, End},
    signals::Signals,
    trap::Sockets,
};
use crate::{
    config::{Config, OnStop, PortSet},
    kernel::{Kernel, Load, Pins, Ring, Traps, Watched},
    modes::Modes,
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
    /// Another process that shares the maps has come or gone.
    Regroup,
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
    /// The modes that other processes stand for.
    others: Modes,
    traps: Option<(Sockets, Traps)>,
    banner: Option<String>,
    on_stop: OnStop,
}

impl Session {
    /// Loads, takes over what an earlier session left, and attaches. `claims` are the modes that this process
    /// stands for.
    pub async fn start(options: &Options, begin: &Begin, claims: &mut Claims) -> Result<Self, Error> {
        let Options { config, modes: own, ignored, .. } = options;
        let pins = Pins::open(&config.pin_path)?;
        claims.set(&config.pin_path, *own)?;
        let others = claims.others(&config.pin_path)?;
        let modes = own.and(others);
        let system = |what| move |source| Error::System { what, source };
        let (observer, changes) = Observer::connect().map_err(system("opening a routing socket"))?;
        let host = observer.read().await?;
        if let Some(name) = interfaces::missing(&config.interfaces, &host) {
            return Err(crate::kernel::Error::NoInterface(name.to_owned()).into());
        }
        if interfaces::present(&config.interfaces, &host).is_empty() {
            return Err(Error::NoInterface);
        }
        let (mut kernel, ring) = Load::from_config(config, modes, options.debug).load(pins)?;
        let debug = if options.debug { Some(kernel.logger()?) } else { None };
        let traps = set_traps(&mut kernel, modes)?;
        let mut journal = Journal::new(config);
        match begin {
            Begin::Start => journal.starting(config, *own),
            Begin::Reload => journal.note(&"The configuration was read again and is in effect"),
            Begin::Regroup => {
                let names: Vec<_> = modes.iter().map(crate::modes::Mode::name).collect();
                journal.note(&format!("Watching for all processes together: {}", names.join(", ")));
            }
            Begin::Fallback(problem) => {
                journal.error(&format!("{problem}; the configuration stays as it was"));
            }
        }
        // Before they are read: what changes from here on is told.
        let read = [&config.blocked_file, &config.ignore_file].into_iter().map(PathBuf::as_path);
        let watch = Watch::new(read.chain(RESOLVERS.map(Path::new))).map_err(system("watching files"))?;
        let files = Files::new(config, modes);
        let mut keeper = Keeper::start(kernel, (journal, files), host, ignored.clone(), (config, modes))?;
        keeper.attach_all(matches!(begin, Begin::Start))?;
        // Last, so that a program of other modes never sees them; whoever waits for them goes by these.
        watch_ports(keeper.kernel(), config, modes)?;
        if let Begin::Start = begin {
            keeper.journal().active();
        }
        Ok(Self {
            keeper,
            ring,
            debug,
            observer,
            changes: Box::pin(changes),
            watch,
            others,
            traps,
            banner: config.port_banner.clone(),
            on_stop: config.on_stop,
        })
    }

    /// Logs what doesn't prevent watching.
    pub fn complain(&mut self, problem: &dyn Display) {
        self.keeper.journal().error(problem);
    }

    /// Reads and acts until a signal says otherwise.
    /// `others` tells for which modes other processes stand now.
    pub async fn serve(
        self,
        (signals, control): (&mut Signals, &mut Control),
        reread: &Reread<'_>,
        others: &dyn Fn() -> Modes,
    ) -> Result<End, Error> {
        let Self { keeper, ring, debug, observer, changes, watch, others: known, traps, banner, on_stop } =
            self;
        let system = |what| move |source| Error::System { what, source };
        let (sender, receiver) = sync_channel(QUEUE);
        let thread = thread::Builder::new()
            .name("keeper".into())
            .spawn(move || keeper.run(&receiver))
            .map_err(system("starting a thread"))?;
        // Dropped when reading ends: the keeper must not be told of anything after it was told to stop.
        let trapping = traps.map(|(sockets, link)| (sockets.serve(banner.as_deref(), &sender), link));
        let finish = (on_stop, reread, others, known);
        let read =
            reader::run(ring, debug, (observer, changes), watch, sender, (signals, control), finish).await;
        drop(trapping);
        let kept =
            thread.join().map_err(|_| io::Error::other("the thread that keeps the files has panicked"));
        kept.and(read).map_err(system("running"))
    }
}

/// The ports that each bitmap is to hold.
pub fn bitmaps(config: &Config, modes: Modes) -> [(Watched, Option<PortSet>); 4] {
    let listed = |protocol| match protocol {
        Protocol::Tcp => config.ports_tcp.clone(),
        Protocol::Udp => config.ports_udp.clone(),
    };
    [
        (Watched::ListedTcp, modes.is_listed(Protocol::Tcp).then(|| listed(Protocol::Tcp))),
        (Watched::ListedUdp, modes.is_listed(Protocol::Udp).then(|| listed(Protocol::Udp))),
        (Watched::AdvancedTcp, modes.is_advanced(Protocol::Tcp).then(|| config.advanced_tcp())),
        (Watched::AdvancedUdp, modes.is_advanced(Protocol::Udp).then(|| config.advanced_udp())),
    ]
}

/// Sets the traps of the connect modes, if there are any.
fn set_traps(kernel: &mut Kernel, modes: Modes) -> Result<Option<(Sockets, Traps)>, Error> {
    let [tcp, udp] = [Protocol::Tcp, Protocol::Udp].map(|protocol| modes.is_connect(protocol));
    if !(tcp || udp) {
        return Ok(None);
    }
    let open = Sockets::open(tcp, udp);
    let sockets = open.map_err(|source| Error::System { what: "opening the traps' sockets", source })?;
    let link = kernel.set_traps(&sockets.places())?;
    Ok(Some((sockets, link)))
}

/// Writes what the modes of all processes together watch.
fn watch_ports(kernel: &mut Kernel, config: &Config, modes: Modes) -> Result<(), Error> {
    const NONE: [u64; 1024] = [0; 1024];
    for (watched, ports) in bitmaps(config, modes) {
        kernel.watch(watched, ports.as_ref().map_or(&NONE, PortSet::words))?;
    }
    Ok(())
}
