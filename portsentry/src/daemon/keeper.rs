//! Keeps the kernel's blocked map, the files and the log in step, on a thread of its own so that a slow disk never
//! holds up the ring.

mod act;
mod asked;
mod attachments;
mod clock;
mod follow;
mod lists;
mod networks;
mod scope;
mod show;
mod sources;
mod spare;
mod tell;
mod upkeep;
mod visits;

use self::{act::Actions, attachments::Attachments, scope::Scope, show::Limits, spare::Spare, tell::Names};
use std::{
    mem,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant, SystemTime},
};

use ipnet::IpNet;
use portsentry_common::{
    classify::Protocol,
    counter::{Counter, Counters},
    decide::Verdict,
};
use tokio::sync::Notify;

use super::{control::Asked, notify::Pulse, trap::Visit};
use crate::{
    config::{BlockList, Config, Response},
    host::Host,
    kernel::{self, Kernel},
    metrics::Stats,
    modes::Modes,
    policy::{
        Action, Ledger, Offences, Sighting, Terms, respond,
        trap::{self, Visits},
    },
    sink::{Files, Log},
};

/// How often the map is compared with the ledger, and files that could not be written are tried again.
const TICK: Duration = Duration::from_millis(500);

/// How far the keeper gives way to others: the kernel drops without it, and what a flood has it write down is nobody's
/// hurry.
const NICE: i32 = 10;

/// What the keeper is told.
#[derive(Debug)]
pub enum Message {
    /// The kernel told of a probe.
    Sighting(Sighting),
    /// Somebody came to a trap.
    Visit(Visit),
    /// The host's addresses, gateways or resolvers may have changed.
    Host(Host),
    /// The ring's reader had to leave out this many sightings, because the keeper was behind.
    Lost(u64),
    /// Something else for the log.
    Note(String),
    /// What the kernel program says of itself.
    Debug(Vec<String>),
    /// Configuration reloaded and is wrong, for these reasons.
    Refused(Vec<String>),
    /// A file that the daemon reads may have changed.
    Changed(PathBuf),
    /// Log a summary.
    Summary,
    /// Somebody asks at the control socket.
    Asked(Asked),
    /// Write what is left, and end.
    Stop(Finish),
}

/// What becomes of the kernel's side when the keeper ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It is detached; the maps stay pinned.
    Detach,
    /// It is detached, and nothing stays pinned.
    Remove,
    /// It stays attached for another process.
    Leave,
    /// It stays attached for this process's next configuration.
    Hand,
}

/// The thread's state.
pub struct Keeper {
    kernel: Kernel,
    journal: Log,
    files: Files,
    ledger: Ledger,
    scope: Scope,
    /// Whom the block list names.
    listed: BlockList,
    counted: Counters,
    responses: Responses,
    terms: Terms,
    offences: Offences,
    visits: Visits,
    spare: Spare,
    trigger_window: Duration,
    /// `IPV6_PREFIX`
    prefix: u8,
    trigger: u32,
    is_fencing: bool,
    /// `MAX_FENCED`, for both address families together.
    max_fenced: usize,
    kills_on_proof: bool,
    next_flush: Instant,
    next_sweep: Instant,
    /// Probes that the kernel has not told of, and whose sources are still to be found.
    untold: u64,
    /// Sources that the keeper found no room for in the blocked maps, beside those that the kernel counts.
    no_room: u64,
    next_renewal: Instant,
    next_look: Instant,
    /// Bits of the gates that were set when they were last renewed.
    gate_bits: usize,
    challenges: bool,
    attachments: Attachments,
    ignore_file: PathBuf,
    block_list: PathBuf,
    actions: Actions,
    names: Names,
    stats: Arc<Stats>,
    limits: Limits,
    /// Sightings that the keeper was too late for.
    lost: u64,
    /// When the kernel's clock began, by the wall clock as it was set when the ledger was last told.
    clock_origin: SystemTime,
    pulse: Pulse,
    /// Told when the maps and links were pinned anew.
    pinned: Arc<Notify>,
    /// What was last said of the pins.
    pins_trouble: Option<String>,
    /// What the supervisor was last told.
    status: String,
    /// Who is told that the host's devices have changed.
    devices: Option<Sender<()>>,
}

/// `BLOCK_TCP` and `BLOCK_UDP`.
#[derive(Clone, Copy, Debug)]
struct Responses {
    tcp: Response,
    udp: Response,
}

impl Responses {
    fn of(self, protocol: Protocol) -> Response {
        match protocol {
            Protocol::Tcp => self.tcp,
            Protocol::Udp => self.udp,
        }
    }
}

impl Keeper {
    /// Takes over what an earlier run left in the files and the kernel's map, and makes the two agree. That there is no
    /// room for all addresses and networks is an error if `needs_all`.
    pub fn start(
        mut kernel: Kernel,
        (journal, files): (Log, Files),
        host: Host,
        (ignored, listed): (Vec<IpNet>, BlockList),
        (config, modes): (&Config, Modes),
        (stats, needs_all): (Arc<Stats>, bool),
    ) -> Result<Self, kernel::Error> {
        let found = mem::take(&mut kernel.found);
        let actions = Actions::new(config, modes)
            .map_err(|source| kernel::Error::System { what: "starting a thread for commands", source })?;
        let (names, problem) = Names::new(config);
        let mut keeper = Self {
            kernel,
            journal,
            files,
            ledger: Ledger::default(),
            scope: Scope::new(host, ignored, config),
            listed,
            counted: found.counters,
            responses: Responses { tcp: config.block_tcp, udp: config.block_udp },
            terms: Terms {
                block: config.block_time,
                factor: config.block_time_factor,
                longest: config.max_block_time,
                fence: config.fence_time,
            },
            offences: Offences::default(),
            visits: Visits::new(trap::Limits {
                repeat_window: config.repeat_window,
                event_rate: config.event_rate,
                fence_rate: config.fence_rate,
                trigger_window: config.trigger_window,
                proof_traps: config.proof_traps,
            }),
            spare: Spare::new(config, modes),
            trigger_window: config.trigger_window,
            prefix: config.ipv6_prefix,
            trigger: config.scan_trigger,
            is_fencing: !config.block_unproven,
            max_fenced: config.max_fenced as usize * 2,
            kills_on_proof: config.kill_on_proof,
            next_flush: Instant::now(),
            next_sweep: Instant::now(),
            untold: 0,
            no_room: 0,
            next_renewal: Instant::now() + upkeep::RENEWAL,
            next_look: Instant::now() + upkeep::LOOK,
            gate_bits: 0,
            challenges: config.challenge,
            attachments: Attachments::new(config),
            ignore_file: config.ignore_file.clone(),
            block_list: config.block_list.clone(),
            actions,
            names,
            pulse: Pulse::default(),
            pinned: Arc::default(),
            pins_trouble: None,
            status: String::new(),
            devices: None,
            stats,
            limits: Limits::new(config),
            lost: 0,
            clock_origin: clock::origin(),
        };
        if let Some(problem) = problem {
            keeper.journal.error(&format!("{problem}; sources are logged without names"));
        }
        keeper.begin_scope(needs_all)?;
        keeper.take_over(&found)?;
        if let Err(error) = keeper.set_listed_beside(&found.blocked) {
            keeper.journal.error(&error);
        }
        Ok(keeper)
    }

    /// The kernel's side.
    pub fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// The log.
    pub fn journal(&mut self) -> &mut Log {
        &mut self.journal
    }

    /// Has `devices` be told when the host's devices have changed, and when this keeper ends.
    pub fn tell_of_devices(&mut self, devices: Sender<()>) {
        self.devices = Some(devices);
    }

    /// Where the thread gives signs of life.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// What is told when the maps and links were pinned anew, for a new session to take them over.
    pub fn pinned(&self) -> Arc<Notify> {
        Arc::clone(&self.pinned)
    }

    /// Does what it is told until it is told to stop, or nobody is left to tell it anything.
    pub fn run(mut self, messages: &Receiver<Message>) {
        // A thread's own on Linux (setpriority(2)). Without it all goes on.
        let _ = rustix::process::nice(NICE);
        self.catch_up();
        let mut next = Instant::now() + TICK;
        let finish = loop {
            let message = messages.recv_timeout(next.saturating_duration_since(Instant::now()));
            self.follow_clock();
            match message {
                Ok(Message::Sighting(mut sighting)) => {
                    self.spare(&mut sighting);
                    self.on_sighting(&sighting);
                }
                Ok(Message::Visit(visit)) => self.on_visit(&visit),
                Ok(Message::Host(host)) => self.on_host(host),
                Ok(Message::Lost(count)) => {
                    self.lost += count;
                    self.stats.count_left_out(count);
                    self.journal.behind(count);
                }
                Ok(Message::Note(note)) => self.journal.note(&note),
                Ok(Message::Debug(lines)) => lines.iter().for_each(|line| self.journal.debug(line)),
                Ok(Message::Asked(Asked { request, answer })) => {
                    // Who asked may have gone.
                    let _ = answer.send(self.on_asked(request));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Refused(problems)) => {
                    problems.iter().for_each(|problem| self.journal.error(problem));
                    self.journal.note(&"The configuration is unchanged");
                    self.stats.reloaded(false);
                }
                Ok(Message::Summary) => self.summarize(),
                Ok(Message::Changed(path)) => self.on_change(&path),
                Ok(Message::Stop(finish)) => break finish,
                Err(RecvTimeoutError::Disconnected) => break Finish::Leave,
            }
            self.pulse.beat();
            self.on_reports();
            self.on_names();
            if Instant::now() >= next {
                self.on_tick();
                next = Instant::now() + TICK;
            }
        };
        self.stop(finish);
    }

    fn on_sighting(&mut self, sighting: &Sighting) {
        let record = sighting.record();
        let response = (self.responses.of(sighting.protocol), self.kills_on_proof);
        let is_new = self.ledger.get(record.source).is_none_or(|hold| hold.is_fence);
        if sighting.verdict == Verdict::Block
            && is_new
            && let Err(error) = self.offend(record.source, &record.hold)
        {
            self.journal.error(&error);
        }
        let until = self.until(record.source, &record.hold);
        let actions = respond(&mut self.ledger, sighting, until, response);
        self.files.see(sighting, self.ledger.holds(record.source));
        self.tell(sighting, actions);
        // It has become a gateway, or ignored, since the kernel saw the probe.
        if matches!(sighting.verdict, Verdict::Block | Verdict::Fence) && self.is_exempt(sighting.source) {
            self.lift(sighting.source, "its address is never blocked");
            return;
        }
        for action in actions {
            match action {
                Action::Record => self.files.show(&record),
                Action::Kill => self.kill(&record),
                Action::Run => self.run_command(&record),
                _ => {}
            }
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
                    self.ledger.len(),
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
        // Before the commands end, as some wait for a file, and again after, as some files wait for a command.
        self.next_flush = Instant::now();
        self.flush();
        self.stop_actions();
        (self.next_flush, self.next_sweep) = (Instant::now(), Instant::now());
        self.on_tick();
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
