//! A session: the time of one configuration, from taking over the running program to the next session.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use portsentry_common::classify::Protocol;
use tokio::time::Instant;

use super::{
    Error, Options, Reread,
    begin::Begin,
    claims::Claims,
    control::Control,
    host_watch::HostWatch,
    keeper::{self, Keeper},
    message::Message,
    notify::{self, Pulse},
    ports,
    reader::{self, End, Known},
    share::Share,
    signals::Signals,
    trap::Sockets,
    watched_ports::{until_watched, watch_ports, watches_nothing},
};
use crate::{
    config::{Config, OnStop, ignore},
    host::{Changes, Followed, RESOLVERS},
    kernel::{DebugLog, Kernel, Load, PinState, Pins, Ring, Source, System, Traps, Upkeep, slept},
    metrics::Stats,
    modes::Modes,
    policy::{Banner, Enforcement, without_ports},
    sandbox::Sandbox,
    sink::{
        Files, Log,
        watch::{ANY, Watch},
    },
};

/// Maximum number of messages queued for the keeper. A sighting takes about 100 bytes.
const QUEUE: usize = 16_384;

/// Reason why a reload is refused.
const HIDDEN: &str = "the pins are hidden because bpffs is unmounted: mount bpffs first";

/// State that outlives a session.
pub struct Lasting<'a> {
    /// The pins, kept so that no other process takes them between two sessions.
    pub pins: Option<Pins>,
    /// The modes of this process.
    pub claims: Claims,
    /// Privileges that this process has dropped.
    pub sandbox: &'a Sandbox,
    /// The stats for metrics.
    pub stats: Arc<Stats>,
    /// The control socket.
    pub control: Control,
    /// Size of the kernel's maps in the last log line about it, in mebibytes.
    pub memory: Option<u64>,
    /// The mode of enforcement in the last log line about it.
    pub mode: Option<Enforcement>,
}

/// A daemon that is attached, but doesn't read events yet.
pub struct Session {
    keeper: Keeper,
    ring: Ring,
    debug: Option<DebugLog>,
    host: (Followed, Changes),
    watch: Watch,
    /// The modes of other processes.
    others: Modes,
    traps: Option<(Sockets, Traps)>,
    ports: Option<(Upkeep, Receiver<()>)>,
    banner: Banner,
    on_stop: OnStop,
    share_socket: Option<PathBuf>,
    pins: Pins,
    /// The system's settings, as loaded into the kernel program.
    system: System,
    /// How long the machine has slept until the start.
    slept: Duration,
    /// When the ports are to be watched, unless they are.
    watched_at: Option<Instant>,
}

/// Returns the files that are read again when they change.
fn read_files(config: &Config) -> Vec<PathBuf> {
    let own = [
        &config.blocked_file,
        &config.ignore_file,
        &ignore::static_file(&config.ignore_file),
        &config.block_list,
    ];
    let own = own.map(Clone::clone);
    let lists = config.block_lists.as_ref().map(|directory| directory.join(ANY));
    let origins = [&config.geoip_country, &config.geoip_asn].into_iter().flatten().cloned();
    own.into_iter().chain(lists).chain(origins).chain(RESOLVERS.map(PathBuf::from)).collect()
}

impl Session {
    /// Loads the program, takes over an earlier session's state, and attaches. Drops privileges that `options` don't
    /// need.
    pub fn start(options: &Options, begin: &Begin, lasting: &mut Lasting<'_>) -> Result<Self, Error> {
        let Lasting { pins, claims, sandbox, stats, control, memory, mode } = lasting;
        notify::progress();
        let Options { config, modes: own, ignored, listed, .. } = options;
        let before = pins.take();
        let had = before.is_some();
        let held = before.filter(|pins| pins.are_in(&config.pin_path));
        if had && held.is_none() {
            // The claims are files beside the pins.
            *claims = Claims::default();
        }
        let pins = pins.insert(held.map_or_else(|| Pins::open(&config.pin_path), Ok)?).clone();
        claims.set(&config.pin_path, *own)?;
        // Done before privileges are dropped, because the kernel may load modules.
        let (system_before, slept_before) = (System::read(), slept());
        let source = Source::open(system_before.ephemeral);
        let confined = sandbox.enter(config)?;
        let others = claims.others(&config.pin_path)?;
        let modes = own.and(others);
        let system = |what| move |source| Error::System { what, source };
        // Subscribed before the host is read, so that later changes are reported.
        let changes = Changes::subscribe().map_err(system("opening a routing socket"))?;
        let followed = Followed::start().map_err(Error::Host)?;
        let load = Load::new(config, modes, system_before, options.debug);
        let (mut kernel, ring) = load.load(pins.clone())?;
        notify::progress();
        let debug = if options.debug { Some(kernel.debug_log()?) } else { None };
        let traps = set_traps(&mut kernel, modes)?;
        // Attached before sockets are listed, so that a bind in between is seen by one of the two.
        let hooks = kernel.see_binds();
        let known = hooks.to_string();
        let fence = kernel.fence();
        let bound = kernel.bound.take().zip(Some(hooks));
        // No interface is attached yet, so any may soon be watched.
        let watched = followed.host().links.keys().copied();
        let trap_ports = ports::traps(traps.as_ref().map(|(sockets, _)| sockets));
        let grace = (config.served_grace, trap_ports);
        let upkeep = bound.map(|bound| ports::start(bound, source, &pins, watched, grace)).transpose()?;
        let mut journal = Log::new(config).with_feed(control.feed());
        begin.open(&mut journal, config, *own);
        if let Some(news) = confined {
            journal.note(&news);
        }
        // Done before the files are read, so that later changes are reported.
        let watch = Watch::new(read_files(config)).map_err(system("watching files"))?;
        let beginning = keeper::Begin {
            journal,
            files: Files::new(config, modes),
            host: followed.host().clone(),
            ignored: ignored.clone(),
            listed: listed.clone(),
            stats: Arc::clone(stats),
            needs_all: begin.is_choosy(),
        };
        let mut keeper = Keeper::start(kernel, beginning, config, modes)?;
        let (sender, pokes) = channel();
        keeper.tell_of_devices(sender);
        let ports = match upkeep {
            Some(Ok(upkeep)) => {
                if begin.is_first() {
                    keeper.journal().note(&known);
                    fence.iter().for_each(|fence| keeper.journal().note(fence));
                }
                Some((upkeep, pokes))
            }
            Some(Err(error)) => {
                keeper.journal().error(&error);
                None
            }
            None => None,
        };
        keeper.attach_all(begin.is_first(), begin.is_choosy())?;
        // Done last, so that a program with other modes never sees them. Waiting processes check these maps.
        let watched_at = begin_watch(&mut keeper, config, modes)?;
        tell_memory(&mut keeper, config, memory)?;
        stats.reloaded(!matches!(begin, Begin::Fallback(_)));
        keeper.show();
        if let Err(error) = control.open(options, modes) {
            keeper.journal().error(&error);
        }
        match watches_nothing(config, modes) {
            Some(nothing) => keeper.journal().error(&nothing),
            None => without_ports(config, modes).iter().for_each(|lack| keeper.journal().error(lack)),
        }
        tell_mode(&mut keeper, mode, Enforcement::new(config, modes), begin.is_first());
        begin.announce(keeper.journal(), options, modes, system_before);
        Ok(Self {
            keeper,
            ring,
            debug,
            host: (followed, changes),
            watch,
            others,
            traps,
            ports,
            banner: Banner::new(config.port_banner.as_deref(), config.challenge_rate),
            on_stop: config.on_stop,
            share_socket: config.share_socket.clone(),
            pins,
            system: system_before,
            slept: slept_before,
            watched_at,
        })
    }

    /// Reads and acts until a signal ends the session. `others` returns the current modes of other processes.
    pub async fn serve(
        self,
        (signals, control): (&mut Signals, &mut Control),
        reread: &Reread<'_>,
        others: &dyn Fn() -> Modes,
    ) -> Result<End, Error> {
        let Self {
            keeper,
            ring,
            debug,
            host: (followed, changes),
            watch,
            others: known,
            traps,
            ports,
            banner,
            on_stop,
            share_socket,
            pins,
            system: system_before,
            slept: slept_before,
            watched_at,
        } = self;
        // Without the pins, the next session could take over no state.
        let are_hidden = || pins.pin_state() == PinState::Hidden;
        let reread: &Reread<'_> = &|| {
            if are_hidden() { Err(vec![HIDDEN.into()]) } else { reread() }
        };
        let others: &dyn Fn() -> Modes = &|| if are_hidden() { known } else { others() };
        let system = |what| move |source| Error::System { what, source };
        let pinned = keeper.pinned();
        let pulses = [keeper.pulse(), Pulse::default()];
        let (sender, receiver) = sync_channel(QUEUE);
        let thread = thread::Builder::new()
            .name("keeper".into())
            .spawn(move || keeper.run(&receiver))
            .map_err(system("starting a thread"))?;
        let upkeep = ports.map(|(upkeep, pokes)| ports::run(upkeep, pokes, sender.clone())).transpose();
        let upkeep = upkeep.map_err(system("starting a thread"))?;
        // Dropped when reading ends, because the keeper must receive no message after `Stop`.
        let serve = |(sockets, link): (Sockets, Traps)| Ok((sockets.serve(banner, sender.clone())?, link));
        let trapping = traps.map(serve).transpose().map_err(system("starting a thread for traps"))?;
        let share = match share_socket.map(|path| Share::open(&path, sender.clone())).transpose() {
            Ok(share) => share,
            Err(error) => {
                let news = format!("ERROR: {error}; this gateway shares nothing");
                // Without a keeper the session is over anyway.
                let _ = sender.send(Message::News(news));
                None
            }
        };
        let host = HostWatch::start(followed, changes, sender.clone())
            .map_err(system("following the host's addresses and routes"))?;
        let ring = (ring, pulses[1].clone());
        let finish = (
            on_stop,
            reread,
            others,
            Known { modes: known, system: system_before, slept: slept_before, watched_at },
        );
        let reading = reader::run(ring, debug, host, watch, sender, (signals, control, &pinned), finish);
        let read = tokio::select! {
            read = reading => read,
            never = notify::watch(&pulses) => match never {},
        };
        if matches!(read, Ok(End::Stop | End::Leave) | Err(_)) {
            notify::stopping();
        }
        drop((trapping, share));
        let kept =
            thread.join().map_err(|_| io::Error::other("the thread that keeps the files has panicked"));
        // It ends with the keeper.
        let _ = upkeep.map(thread::JoinHandle::join);
        kept.and(read).map_err(system("running"))
    }
}

/// Logs the mode of enforcement, if it has changed. The log's first line contains the initial mode.
fn tell_mode(keeper: &mut Keeper, last: &mut Option<Enforcement>, mode: Enforcement, is_first: bool) {
    if last.replace(mode) != Some(mode) && !is_first {
        keeper.journal().mode(&mode);
    }
}

/// Writes the watched ports, or returns when they are to be watched.
fn begin_watch(keeper: &mut Keeper, config: &Config, modes: Modes) -> Result<Option<Instant>, Error> {
    let Some(rest) = until_watched(config) else {
        return watch_ports(keeper.kernel(), config, modes).map(|()| None);
    };
    keeper.journal().note(&format!(
        "The machine has just started: ports are watched in {} seconds, once services have started (SERVED_GRACE); blocks are in \
         force",
        rest.as_secs() + 1
    ));
    Ok(Some(Instant::now() + rest))
}

/// Logs the size of the kernel's maps in mebibytes, if it has changed.
fn tell_memory(keeper: &mut Keeper, config: &Config, memory: &mut Option<u64>) -> Result<(), Error> {
    if let Some(maps) = crate::kernel::Observer::open(&config.pin_path)? {
        let mebibytes = maps.memory()?.div_ceil(1 << 20);
        if memory.replace(mebibytes) != Some(mebibytes) {
            keeper.journal().note(&format!("Kernel maps: {mebibytes} MiB"));
        }
    }
    Ok(())
}

/// Sets up the traps of the connect modes, if there are any.
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
