//! The commands to run for a source, and the report on each.

use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::OwnedSemaphorePermit;

use super::Outcome;
use crate::{
    config::{Command, Values},
    policy::BlockId,
};

/// The setting that contains a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `KILL_ROUTE`
    Route,
    /// `KILL_RUN_CMD`
    Command,
    /// `KILL_ROUTE_LIFT`, or the inverse of `KILL_ROUTE`
    RouteLift,
    /// `KILL_RUN_CMD_LIFT`
    Lift,
}

impl Purpose {
    /// Returns the setting's name.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Route => "KILL_ROUTE",
            Self::Command => "KILL_RUN_CMD",
            Self::RouteLift => "KILL_ROUTE_LIFT",
            Self::Lift => "KILL_RUN_CMD_LIFT",
        }
    }
}

/// A command with its macros replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub(super) purpose: Purpose,
    pub(super) argv: Vec<String>,
    pub(super) shown: String,
    pub(super) id: Option<BlockId>,
}

impl Task {
    /// Fills in `command` for one source.
    #[must_use]
    pub fn new(purpose: Purpose, command: &Command, values: &Values<'_>) -> Self {
        Self { purpose, argv: command.argv(values), shown: command.describe(values), id: values.id }
    }
}

/// The commands for one source, run one after the other even if one fails. Jobs for the same source run in the order
/// of their submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The network for which they run.
    pub network: IpNet,
    /// The commands, in order.
    pub tasks: Vec<Task>,
}

impl Job {
    /// Returns the reports on a job that was not accepted.
    pub fn refused(self) -> impl Iterator<Item = Ran> {
        let network = self.network;
        self.tasks.into_iter().map(move |task| Ran::new(network, task, Outcome::Refused))
    }
}

/// Report on a command.
#[derive(Debug)]
pub struct Ran {
    /// The network for which it ran.
    pub network: IpNet,
    /// The setting that contains it.
    pub purpose: Purpose,
    /// The command, as logged.
    pub shown: String,
    /// How the command ended.
    pub outcome: Outcome,
    /// The id of the block or fence, if there is one.
    pub id: Option<BlockId>,
}

impl Ran {
    pub(super) fn new(network: IpNet, task: Task, outcome: Outcome) -> Self {
        Self { network, purpose: task.purpose, shown: task.shown, outcome, id: task.id }
    }
}

/// Orders to the thread.
#[derive(Debug)]
pub(super) enum Order {
    /// The permit is the job's slot in the queue.
    Run(Job, OwnedSemaphorePermit),
    Stop(Duration),
}
