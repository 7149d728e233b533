//! The `KILL_*` actions: in PortSentry's order, bounded in number, each reported as what it was.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use super::Keeper;
use crate::{
    config::{Command, Config, LogFormat, Values},
    modes::Modes,
    policy::Record,
    sink::runner::{Change, Job, Limit, Purpose, Ran, Runner, Settings, Task},
};

/// How long commands that still run are waited for when the daemon stops.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is run, and how far it has got.
#[derive(Debug)]
pub(super) struct Actions {
    runner: Option<Runner>,
    reports: Receiver<Ran>,
    limit: Limit,
    begin: Instant,
    route: Option<Command>,
    command: Option<Command>,
    /// `KILL_RUN_CMD_FIRST`
    is_command_first: bool,
    /// Sources whose other actions wait for the command.
    waiting: HashMap<IpAddr, Record>,
    /// Commands that wait until `hosts.deny` is written.
    behind_deny: Vec<(Record, &'static [Purpose])>,
    modes: Modes,
    format: LogFormat,
}

impl Actions {
    /// What `config` says, with a thread for the commands if there are any.
    pub(super) fn new(config: &Config, modes: Modes) -> io::Result<Self> {
        let (sender, reports) = channel();
        let has_commands = config.kill_route.is_some() || config.kill_run_cmd.is_some();
        // The channel takes whatever comes, which the runner's own limits bound; its end outlives the runner.
        let report = move |ran| drop(sender.send(ran));
        let runner = if has_commands { Some(Runner::start(Settings::default(), report)?) } else { None };
        Ok(Self {
            runner,
            reports,
            limit: Limit::new(config.action_rate),
            begin: Instant::now(),
            route: config.kill_route.clone(),
            command: config.kill_run_cmd.clone(),
            is_command_first: config.kill_run_cmd_first,
            waiting: HashMap::new(),
            behind_deny: Vec::new(),
            modes,
            format: config.log_format,
        })
    }

    fn job(&self, record: &Record, purposes: &[Purpose]) -> Job {
        let hold = &record.hold;
        let mode = self.modes.name(hold.protocol, self.format);
        let values = Values { target: record.network(), port: hold.port, mode, proof: hold.proof.name() };
        let tasks = purposes.iter().filter_map(|purpose| {
            let command = match purpose {
                Purpose::Route => &self.route,
                Purpose::Command => &self.command,
            };
            command.as_ref().map(|command| Task::new(*purpose, command, &values))
        });
        Job { source: record.source, tasks: tasks.collect() }
    }
}

impl Keeper {
    /// Takes all actions against a source: (command if first) `hosts.deny`, route, (command if last). The commands are
    /// limited; `hosts.deny` shows everybody, as the blocked file does.
    pub(super) fn kill(&mut self, record: &Record) {
        let runs = self.actions.runner.is_some() && self.may_act();
        if runs && self.actions.is_command_first && self.actions.command.is_some() {
            self.actions.waiting.insert(record.source, *record);
            self.submit(record, &[Purpose::Command]);
            return;
        }
        self.files.deny(record);
        if runs {
            self.actions.behind_deny.push((*record, &[Purpose::Route, Purpose::Command]));
        }
    }

    /// Goes on with what waited for `hosts.deny`.
    pub(super) fn on_denied(&mut self) {
        for (record, purposes) in std::mem::take(&mut self.actions.behind_deny) {
            self.submit(&record, purposes);
        }
    }

    /// Runs `KILL_RUN_CMD` alone.
    pub(super) fn run_command(&mut self, record: &Record) {
        if self.may_act() {
            self.submit(record, &[Purpose::Command]);
        }
    }

    /// Logs what has become of commands, and goes on where something waits for them.
    pub(super) fn on_reports(&mut self) {
        while let Ok(ran) = self.actions.reports.try_recv() {
            self.on_report(&ran);
        }
        let change = self.actions.limit.tick(self.actions.begin.elapsed());
        self.log_limit(change);
    }

    /// Waits for commands that run, for a bounded time.
    pub(super) fn stop_actions(&mut self) {
        if let Some(runner) = self.actions.runner.take() {
            runner.stop(PATIENCE);
        }
        self.on_reports();
    }

    fn on_report(&mut self, ran: &Ran) {
        self.journal.ran(ran);
        self.stats.count_command(ran);
        if ran.purpose == Purpose::Command
            && let Some(record) = self.actions.waiting.remove(&ran.source)
        {
            self.files.deny(&record);
            self.actions.behind_deny.push((record, &[Purpose::Route]));
        }
    }

    fn submit(&mut self, record: &Record, purposes: &[Purpose]) {
        let job = self.actions.job(record, purposes);
        if job.tasks.is_empty() {
            return;
        }
        let refused = match &self.actions.runner {
            Some(runner) => runner.submit(job).err(),
            None => Some(job),
        };
        for ran in refused.into_iter().flat_map(Job::refused) {
            self.on_report(&ran);
        }
    }

    fn may_act(&mut self) -> bool {
        let (may, change) = self.actions.limit.grant(self.actions.begin.elapsed());
        self.log_limit(change);
        may
    }

    fn log_limit(&mut self, change: Option<Change>) {
        match change {
            None => {}
            Some(Change::Began) => self.journal.actions_limited(),
            Some(Change::Ended { left_out }) => self.journal.actions_resumed(left_out),
        }
    }
}
