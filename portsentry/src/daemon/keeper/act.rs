//! Runs the commands of the `KILL_*` settings, and logs their results.

use std::time::Duration;

use super::Keeper;
use crate::{
    policy::register::{Case, Occasion},
    sink::runner::{Change, Job, Purpose, Ran},
};

/// Maximum time to wait for running commands when the daemon stops.
const PATIENCE: Duration = Duration::from_secs(2);

impl Keeper {
    /// Runs commands, or queues them behind others or `hosts.deny`. The order is: (command if first), `hosts.deny`,
    /// route, (command if last).
    pub(super) fn run_for(&mut self, occasion: Occasion, case: &Case) {
        let network = case.record.network;
        match occasion {
            Occasion::Kill => {
                let may_run = self.actions.runner.is_some() && self.may_act();
                self.actions.begin(network, may_run);
                if may_run && self.actions.is_command_first() {
                    self.actions.wait(case);
                    self.submit(case, &[Purpose::Command]);
                } else if may_run {
                    self.actions.put_behind_deny(case, &[Purpose::Route, Purpose::Command]);
                }
            }
            Occasion::Change | Occasion::Command => {
                if self.actions.runner.is_some() && self.may_act() {
                    self.submit(case, &[Purpose::Command]);
                }
            }
            Occasion::Lift => self.actions.lift(case),
        }
    }

    /// Adds a network to `hosts.deny`, once the command that runs first has ended.
    pub(super) fn deny(&mut self, case: &Case, is_new: bool) {
        if !self.actions.waits(case.record.network) {
            self.files.deny(case, is_new);
        }
    }

    /// Continues with the commands that waited for `hosts.deny`.
    pub(super) fn on_denied(&mut self) {
        for (case, purposes) in self.actions.take_behind_deny() {
            self.submit(&case, purposes);
        }
    }

    /// Logs the results of commands, and continues with the actions that waited for them.
    pub(super) fn on_reports(&mut self) {
        while let Ok(ran) = self.actions.reports.try_recv() {
            self.on_report(&ran);
        }
        while let Some(case) = self.actions.next_lift(false) {
            self.submit(&case, &[Purpose::RouteLift, Purpose::Lift]);
        }
        let change = self.actions.limit.tick(self.actions.now());
        self.log_limit(change);
    }

    /// Waits for running commands, for a bounded time.
    pub(super) fn stop_actions(&mut self) {
        while let Some(case) = self.actions.next_lift(true) {
            self.submit(&case, &[Purpose::RouteLift, Purpose::Lift]);
        }
        if let Some(runner) = self.actions.runner.take() {
            runner.stop(PATIENCE);
        }
        self.on_reports();
    }

    fn on_report(&mut self, ran: &Ran) {
        self.journal.ran(ran);
        self.totals.stats.count_command(ran);
        if ran.purpose == Purpose::Route {
            self.actions.note_route(ran.network, ran.outcome.is_done());
        }
        if ran.purpose == Purpose::Command
            && let Some(case) = self.actions.waited(ran.network)
        {
            self.files.deny(&case, true);
            self.actions.put_behind_deny(&case, &[Purpose::Route]);
        }
    }

    fn submit(&mut self, case: &Case, purposes: &[Purpose]) {
        let job = self.actions.job(case, purposes);
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
        let (may, change) = self.actions.limit.grant(self.actions.now());
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
