//! The commands of the `KILL_*` settings: in PortSentry's order, bounded in number.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    sync::mpsc::{Receiver, channel},
    time::Instant,
};

use ipnet::IpNet;

use crate::{
    config::{Command, Config, LogFormat},
    modes::Modes,
    policy::register::Case,
    sink::runner::{Job, Limit, Purpose, Ran, Runner, Settings, Task, values},
};

/// The commands that the configuration names.
#[derive(Debug)]
struct Commands {
    route: Option<Command>,
    command: Option<Command>,
    lift: Option<Command>,
    /// `KILL_RUN_CMD_FIRST`
    is_command_first: bool,
}

/// What is run, and how far it has got.
#[derive(Debug)]
pub(super) struct Actions {
    pub runner: Option<Runner>,
    pub reports: Receiver<Ran>,
    pub limit: Limit,
    begin: Instant,
    commands: Commands,
    /// Networks whose other actions wait for the command.
    waiting: HashMap<IpNet, Case>,
    /// Commands that wait until `hosts.deny` is written.
    behind_deny: Vec<(Case, &'static [Purpose])>,
    /// Networks against which nothing was run, for the rate.
    skipped: HashSet<IpNet>,
    /// Networks that are let go, and whose commands wait for the rate.
    lifts: VecDeque<IpNet>,
    lifted: HashMap<IpNet, Case>,
    modes: Modes,
    format: LogFormat,
}

impl Actions {
    /// What `config` says, with a thread for the commands if there are any.
    pub(super) fn new(config: &Config, modes: Modes) -> io::Result<Self> {
        let (sender, reports) = channel();
        // The channel takes whatever comes, which the runner's own limits bound; its end outlives the runner.
        let report = move |ran| drop(sender.send(ran));
        let runner =
            if config.runs_commands() { Some(Runner::start(Settings::default(), report)?) } else { None };
        Ok(Self {
            runner,
            reports,
            limit: Limit::new(config.action_rate),
            begin: Instant::now(),
            commands: Commands {
                route: config.kill_route.clone(),
                command: config.kill_run_cmd.clone(),
                lift: config.kill_run_cmd_lift.clone(),
                is_command_first: config.kill_run_cmd_first,
            },
            waiting: HashMap::new(),
            behind_deny: Vec::new(),
            skipped: HashSet::new(),
            lifts: VecDeque::new(),
            lifted: HashMap::new(),
            modes,
            format: config.log_format,
        })
    }

    /// How long this has run, by which the rate is measured.
    pub(super) fn now(&self) -> std::time::Duration {
        self.begin.elapsed()
    }

    /// Whether the command goes before the other actions.
    pub(super) const fn is_command_first(&self) -> bool {
        self.commands.is_command_first && self.commands.command.is_some()
    }

    /// A network is held, and commands are to be run for it: if it has been let go a moment ago, that is no longer told.
    pub(super) fn begin(&mut self, network: IpNet, may_run: bool) {
        self.lifted.remove(&network);
        if may_run || self.runner.is_none() {
            self.skipped.remove(&network);
        } else {
            self.skipped.insert(network);
        }
    }

    /// Has the other actions wait for the command.
    pub(super) fn wait(&mut self, case: &Case) {
        self.waiting.insert(case.record.network, case.clone());
    }

    /// Whether the other actions wait for the command.
    pub(super) fn waits(&self, network: IpNet) -> bool {
        self.waiting.contains_key(&network)
    }

    /// What has waited for the command that has ended.
    pub(super) fn waited(&mut self, network: IpNet) -> Option<Case> {
        self.waiting.remove(&network)
    }

    /// Has commands wait until `hosts.deny` is written.
    pub(super) fn put_behind_deny(&mut self, case: &Case, purposes: &'static [Purpose]) {
        self.behind_deny.push((case.clone(), purposes));
    }

    /// What has waited for `hosts.deny`.
    pub(super) fn take_behind_deny(&mut self) -> Vec<(Case, &'static [Purpose])> {
        std::mem::take(&mut self.behind_deny)
    }

    /// A network is let go: what was still to be done against it no longer is, and the command for that is to be run unless
    /// no other was.
    pub(super) fn lift(&mut self, case: &Case) {
        let network = case.record.network;
        self.waiting.remove(&network);
        self.behind_deny.retain(|(case, _)| case.record.network != network);
        if !self.skipped.remove(&network) && self.commands.lift.is_some() {
            self.lifted.insert(network, case.clone());
            self.lifts.push_back(network);
        }
    }

    /// The next network that is let go, within the rate; whatever the rate if it `must_end`.
    pub(super) fn next_lift(&mut self, must_end: bool) -> Option<Case> {
        while let Some(network) = self.lifts.front() {
            if !self.lifted.contains_key(network) {
                self.lifts.pop_front();
            } else if must_end || self.limit.take(self.begin.elapsed()) {
                return self.lifts.pop_front().and_then(|network| self.lifted.remove(&network));
            } else {
                return None;
            }
        }
        None
    }

    /// The commands for those `purposes`.
    pub(super) fn job(&self, case: &Case, purposes: &[Purpose]) -> Job {
        let mode = self.modes.name(case.record.hold.protocol, self.format);
        let values = values(case, mode);
        let tasks = purposes.iter().filter_map(|purpose| {
            let command = match purpose {
                Purpose::Route => &self.commands.route,
                Purpose::Command => &self.commands.command,
                Purpose::Lift => &self.commands.lift,
            };
            command.as_ref().map(|command| Task::new(*purpose, command, &values))
        });
        Job { network: case.record.network, tasks: tasks.collect() }
    }
}
