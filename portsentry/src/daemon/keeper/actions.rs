//! The commands of the `KILL_*` settings: in PortSentry's order, limited in number.

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

/// The configured commands.
#[derive(Debug)]
struct Commands {
    route: Option<Command>,
    command: Option<Command>,
    route_lift: Option<Command>,
    lift: Option<Command>,
    /// `KILL_RUN_CMD_FIRST`
    is_command_first: bool,
}

/// The running and waiting commands.
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
    /// Networks for which no command was run because of the rate limit.
    skipped: HashSet<IpNet>,
    /// Networks for which `KILL_ROUTE` has failed, or never ran: what may be there is not ours to undo.
    unrouted: HashSet<IpNet>,
    /// Released networks whose commands wait for the rate limit.
    lifts: VecDeque<IpNet>,
    lifted: HashMap<IpNet, Case>,
    modes: Modes,
    format: LogFormat,
}

impl Actions {
    /// Creates the state from `config`, with a thread if there are commands.
    pub(super) fn new(config: &Config, modes: Modes) -> io::Result<Self> {
        let (sender, reports) = channel();
        // The channel is unbounded, but the runner's limits apply; its receiver outlives the runner.
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
                route_lift: config.undoes_route(),
                lift: config.kill_run_cmd_lift.clone(),
                is_command_first: config.kill_run_cmd_first,
            },
            waiting: HashMap::new(),
            behind_deny: Vec::new(),
            skipped: HashSet::new(),
            unrouted: HashSet::new(),
            lifts: VecDeque::new(),
            lifted: HashMap::new(),
            modes,
            format: config.log_format,
        })
    }

    /// Returns the time since the start, for the rate limit.
    pub(super) fn now(&self) -> std::time::Duration {
        self.begin.elapsed()
    }

    /// Whether the command runs before the other actions.
    pub(super) const fn is_command_first(&self) -> bool {
        self.commands.is_command_first && self.commands.command.is_some()
    }

    /// Records that a network is blocked or fenced and that commands are to run for it. Drops a pending command for
    /// its release.
    pub(super) fn begin(&mut self, network: IpNet, may_run: bool) {
        self.lifted.remove(&network);
        if may_run || self.runner.is_none() {
            self.skipped.remove(&network);
        } else {
            self.skipped.insert(network);
        }
    }

    /// Queues the other actions behind the command.
    pub(super) fn wait(&mut self, case: &Case) {
        self.waiting.insert(case.record.network, case.clone());
    }

    /// Whether the other actions wait for the command.
    pub(super) fn waits(&self, network: IpNet) -> bool {
        self.waiting.contains_key(&network)
    }

    /// Returns the actions that waited for the ended command.
    pub(super) fn waited(&mut self, network: IpNet) -> Option<Case> {
        self.waiting.remove(&network)
    }

    /// Queues commands until `hosts.deny` is written.
    pub(super) fn put_behind_deny(&mut self, case: &Case, purposes: &'static [Purpose]) {
        self.behind_deny.push((case.clone(), purposes));
    }

    /// Returns the commands that waited for `hosts.deny`.
    pub(super) fn take_behind_deny(&mut self) -> Vec<(Case, &'static [Purpose])> {
        std::mem::take(&mut self.behind_deny)
    }

    /// Records that a network is released. Cancels its pending actions, and queues the command for the release if
    /// other commands were run.
    pub(super) fn lift(&mut self, case: &Case) {
        let network = case.record.network;
        let is_pending = |(case, _): &(Case, &[Purpose])| case.record.network == network;
        if self.waiting.remove(&network).is_some() || self.behind_deny.iter().any(is_pending) {
            self.unrouted.insert(network);
        }
        self.behind_deny.retain(|pending| !is_pending(pending));
        let is_undone = self.commands.route_lift.is_some() || self.commands.lift.is_some();
        if !self.skipped.remove(&network) && is_undone {
            self.lifted.insert(network, case.clone());
            self.lifts.push_back(network);
        }
    }

    /// Records whether `KILL_ROUTE` has succeeded for a network.
    pub(super) fn note_route(&mut self, network: IpNet, is_done: bool) {
        if is_done {
            self.unrouted.remove(&network);
        } else {
            self.unrouted.insert(network);
        }
    }

    /// Returns the next released network within the rate limit. With `must_end`, ignores the limit.
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

    /// Returns the commands for these `purposes`.
    pub(super) fn job(&mut self, case: &Case, purposes: &[Purpose]) -> Job {
        let mode = self.modes.name(case.record.hold.protocol, self.format);
        let values = values(case, mode);
        let is_unrouted =
            purposes.contains(&Purpose::RouteLift) && self.unrouted.remove(&case.record.network);
        let tasks = purposes.iter().filter_map(|purpose| {
            let command = match purpose {
                Purpose::RouteLift if is_unrouted => return None,
                Purpose::RouteLift => &self.commands.route_lift,
                Purpose::Route => &self.commands.route,
                Purpose::Command => &self.commands.command,
                Purpose::Lift => &self.commands.lift,
            };
            command.as_ref().map(|command| Task::new(*purpose, command, &values))
        });
        Job { network: case.record.network, tasks: tasks.collect() }
    }
}
