//! The keeper: keeps the kernel's blocked maps, the files and the log in step, on a separate thread, so that a slow
//! disk never delays the ring. `policy` makes the decisions.

mod act;
mod actions;
mod apply;
mod asked;
mod attachments;
mod awaited;
mod clock;
mod entries;
mod fleet;
mod follow;
mod groups;
mod listed;
mod lists;
mod names;
mod naming;
mod outside;
mod peer_entries;
mod peers;
mod pins;
mod prefixes;
mod scans;
mod schedule;
mod scope;
mod settling;
mod sightings;
mod spare;
mod sparing;
mod take_over;
mod tell;
mod totals;
mod traps;
mod unreported;
mod upkeep;
mod visits;

use std::{
    mem,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use ipnet::IpNet;
use portsentry_common::counter::Counter;
use tokio::sync::Notify;

use self::{
    actions::Actions, attachments::Attachments, listed::Listed, names::Names, outside::Outside,
    pins::PinWatch, schedule::Schedule, scope::Scope, spare::Spare, totals::Totals, traps::Traps,
};
use super::{
    control::Asked,
    message::{Finish, Message},
    notify::Pulse,
};
use crate::{
    config::{BlockList, Config},
    host::Host,
    kernel::{self, Kernel},
    metrics::Stats,
    modes::Modes,
    policy::{Register, register::Rules},
    sink::{Files, Log},
};

/// Interval at which the map is compared with the register, and failed files are retried.
const TICK: Duration = Duration::from_millis(500);

/// The thread's nice value: the kernel drops without it, and bookkeeping is never urgent.
const NICE: i32 = 10;

/// The thread's state.
pub struct Keeper {
    kernel: Kernel,
    journal: Log,
    files: Files,
    register: Register,
    scope: Scope,
    listed: Listed,
    traps: Traps,
    spare: Spare,
    actions: Actions,
    names: Names,
    attachments: Attachments,
    schedule: Schedule,
    totals: Totals,
    pins: PinWatch,
    outside: Outside,
}

/// Initial state of a keeper, in addition to the configuration.
#[derive(Debug)]
pub struct Begin {
    /// The log.
    pub journal: Log,
    /// The files.
    pub files: Files,
    /// The host's current state.
    pub host: Host,
    /// The networks in the ignore file.
    pub ignored: Vec<IpNet>,
    /// The block list.
    pub listed: BlockList,
    /// The stats for metrics.
    pub stats: Arc<Stats>,
    /// Whether lack of room for all addresses and networks is an error.
    pub needs_all: bool,
}

impl Keeper {
    /// Takes over the state of an earlier run from the files and the kernel's map, and makes the two agree.
    pub fn start(
        mut kernel: Kernel,
        begin: Begin,
        config: &Config,
        modes: Modes,
    ) -> Result<Self, kernel::Error> {
        let Begin { journal, files, host, ignored, listed, stats, needs_all } = begin;
        let found = mem::take(&mut kernel.found);
        let settings = kernel.settings;
        let actions = Actions::new(config, modes)
            .map_err(|source| kernel::Error::System { what: "starting a thread for commands", source })?;
        let (names, problem) = Names::new(config);
        let mut keeper = Self {
            kernel,
            journal,
            files,
            register: Register::new(Rules::new(config, modes)),
            scope: Scope::new(host, ignored, config),
            listed: Listed::new(listed, config),
            traps: Traps::new(config, settings),
            spare: Spare::new(config, modes),
            actions,
            names,
            attachments: Attachments::new(config),
            schedule: Schedule::new(config),
            totals: Totals::new(config, modes, stats, (&found.counters, settings.scan_key)),
            pins: PinWatch::default(),
            outside: Outside::new(config),
        };
        if let Some(problem) = problem {
            keeper.journal.error(&format!("{problem}; sources are logged without names"));
        }
        keeper.begin_scope(needs_all)?;
        keeper.take_over(&found)?;
        keeper.take_over_peers(&found);
        keeper.take_over_groups();
        if let Err(error) = keeper.set_listed_beside(&found.blocked) {
            keeper.journal.error(&error);
        }
        Ok(keeper)
    }

    /// Returns the kernel program and its maps.
    pub const fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// Returns the log.
    pub const fn journal(&mut self) -> &mut Log {
        &mut self.journal
    }

    /// Sends to `devices` whenever the host's devices change, as long as this keeper lives.
    pub fn tell_of_devices(&mut self, devices: Sender<()>) {
        self.outside.devices = Some(devices);
    }

    /// Returns the thread's heartbeat.
    pub fn pulse(&self) -> Pulse {
        self.outside.pulse.clone()
    }

    /// Returns the notification that maps and links were restored, for a new session to take them over.
    pub fn pinned(&self) -> Arc<Notify> {
        self.pins.pinned()
    }

    /// Updates the stats, and logs messages about them.
    pub fn show(&mut self) {
        for news in self.totals.stats.news() {
            self.journal.news(&news);
        }
        let Self { kernel, register, attachments, scope, journal, totals, outside, .. } = self;
        let census = register.ledger().census();
        totals.show(kernel, census, attachments, scope, journal.lost(), &outside.fleet);
    }

    /// Processes messages until one asks it to stop, or the channel is closed.
    pub fn run(mut self, messages: &Receiver<Message>) {
        // Affects only this thread on Linux (setpriority(2)). An error doesn't matter.
        let _ = rustix::process::nice(NICE);
        self.catch_up();
        let mut next = Instant::now() + TICK;
        let finish = loop {
            let message = messages.recv_timeout(next.saturating_duration_since(Instant::now()));
            self.follow_clock();
            match message {
                Ok(Message::Stop(finish)) => break finish,
                Ok(message) => self.on_message(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break Finish::Leave,
            }
            self.outside.pulse.beat();
            self.on_reports();
            self.on_names();
            if Instant::now() >= next {
                self.on_tick();
                next = Instant::now() + TICK;
            }
        };
        self.stop(finish);
    }

    fn on_message(&mut self, message: Message) {
        match message {
            Message::Sighting(mut sighting) => {
                self.spare(&mut sighting);
                self.on_sighting(&sighting);
            }
            Message::Visits(visits) => visits.iter().for_each(|visit| self.on_visit(visit)),
            Message::Host(host) => self.on_host(host),
            Message::Lost(count) => {
                self.totals.lose(count);
                self.journal.behind(count);
            }
            Message::News(news) => self.journal.news(&news),
            Message::Debug(lines) => lines.iter().for_each(|line| self.journal.debug(line)),
            Message::Asked(Asked { request, answer }) => {
                // The client may be gone.
                let _ = answer.send(self.on_asked(request));
            }
            Message::Refused(problems) => {
                problems.iter().for_each(|problem| self.journal.error(problem));
                self.journal.note(&"The configuration is unchanged");
                self.totals.stats.reloaded(false);
            }
            Message::Summary => self.summarize(),
            Message::Changed(path) => self.on_change(&path),
            Message::Companion(said) => self.on_companion(said),
            Message::Stop(_) => {}
        }
    }

    fn summarize(&mut self) {
        match self.kernel.counters() {
            Ok(counters) => {
                let count = |counter| counters.get(counter);
                self.journal.note(&format!(
                    "Summary: {} sources blocked or fenced, {} probes, {} packets of blocked sources \
                        dropped, {} interfaces \
                     watched, {} probes not logged",
                    self.register.ledger().len(),
                    count(Counter::Probes),
                    count(Counter::Dropped),
                    self.attachments.watched().len(),
                    count(Counter::OverRate) + count(Counter::RingFull),
                ));
            }
            Err(error) => self.journal.error(&error),
        }
    }

    fn stop(mut self, finish: Finish) {
        self.stop_names();
        // Before the commands end, because some wait for a file, and again afterwards, because some files wait for
        // a command.
        self.schedule.flush_now();
        self.flush();
        self.stop_actions();
        self.schedule.flush_now();
        self.schedule.sweep_now();
        self.on_tick();
        self.keep_groups(true);
        let ended = match finish {
            Finish::Detach => self.kernel.detach_all_but(&[]),
            Finish::Remove => self.kernel.remove_pins(),
            Finish::Leave | Finish::Hand => Ok(()),
        };
        if let Err(error) = ended {
            self.journal.error(&error);
        }
        if finish != Finish::Hand {
            self.journal.stopping();
        }
    }
}
