//! Runs the administrator's commands (`KILL_ROUTE`, `KILL_RUN_CMD`) on a separate thread, with limits on number and
//! time.

mod dispatch;
mod limit;
mod output;
mod process;

use std::{fmt, io, process::ExitStatus, sync::Arc, thread, time::Duration};

use ipnet::IpNet;
use tokio::{
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

pub use limit::{Change, Limit};
pub use output::Output;

use crate::{
    config::{Command, Values},
    policy::register::Case,
};

/// What the macros of a command stand for in `case`.
#[must_use]
pub fn values<'a>(case: &'a Case, mode: &'a str) -> Values<'a> {
    Values::new(&case.record, mode, &case.reason)
}

/// Limits of the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Maximum number of commands that run at the same time, each for another source.
    pub at_once: usize,
    /// Maximum number of queued jobs. One takes about the bytes of its commands, and 200.
    pub queue: usize,
    /// Time limit of a command; after it the process group gets SIGTERM.
    pub time_limit: Duration,
    /// Time from SIGTERM to SIGKILL.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { at_once: 8, queue: 1024, time_limit: Duration::from_secs(10), grace: Duration::from_secs(2) }
    }
}

/// The setting that a command comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `KILL_ROUTE`
    Route,
    /// `KILL_RUN_CMD`
    Command,
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
            Self::Lift => "KILL_RUN_CMD_LIFT",
        }
    }
}

/// A command with its macros replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    purpose: Purpose,
    argv: Vec<String>,
    shown: String,
}

impl Task {
    /// Fills in `command` for one source.
    #[must_use]
    pub fn new(purpose: Purpose, command: &Command, values: &Values<'_>) -> Self {
        Self { purpose, argv: command.argv(values), shown: command.describe(values) }
    }
}

/// The commands for one source, run one after the other even if one fails. Jobs for the same source run in the order
/// of their submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Who they are run against.
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
    /// Who it was run against.
    pub network: IpNet,
    /// The setting that it comes from.
    pub purpose: Purpose,
    /// The command as it is logged.
    pub shown: String,
    /// How the command ended.
    pub outcome: Outcome,
}

impl Ran {
    fn new(network: IpNet, task: Task, outcome: Outcome) -> Self {
        Self { network, purpose: task.purpose, shown: task.shown, outcome }
    }
}

/// How a command ended. Only [`Outcome::Done`] counts as success.
#[derive(Debug)]
pub enum Outcome {
    /// It exited with status 0.
    Done(Output),
    /// It exited with another status, or by a signal.
    Failed {
        /// The status of `wait(2)`.
        status: ExitStatus,
        /// Its output.
        output: Output,
    },
    /// It exceeded the time limit and was terminated.
    TimedOut(Output),
    /// The daemon stopped and terminated it.
    Stopped(Output),
    /// It never ran: the program is missing or may not be run, or there was no memory or process.
    NotStarted(io::Error),
    /// It ran, but the system did not report how it ended.
    Unknown(io::Error),
    /// It never ran: the queue was full, or the daemon was stopping.
    Refused,
}

impl Outcome {
    /// Returns one word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Failed { .. } => "failed",
            Self::TimedOut(_) => "timed_out",
            Self::Stopped(_) => "stopped",
            Self::NotStarted(_) => "not_started",
            Self::Unknown(_) => "unknown",
            Self::Refused => "refused",
        }
    }

    /// Whether the command succeeded.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// Writes the end of a sentence about the command: `failed with exit status: 2, saying "..."`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let output = match self {
            Self::Done(output) => {
                f.write_str("succeeded")?;
                output
            }
            Self::Failed { status, output } => {
                write!(f, "failed with {status}")?;
                output
            }
            Self::TimedOut(output) => {
                f.write_str("exceeded the time limit and was terminated")?;
                output
            }
            Self::Stopped(output) => {
                f.write_str("was terminated because the daemon is stopping")?;
                output
            }
            Self::NotStarted(error) => return write!(f, "could not be started: {error}"),
            Self::Unknown(error) => return write!(f, "ended in an unknown way: {error}"),
            Self::Refused => return f.write_str("was not run: the queue is full"),
        };
        if output.is_empty() { Ok(()) } else { write!(f, ", saying \"{output}\"") }
    }
}

/// The runner's thread.
#[derive(Debug)]
pub struct Runner {
    orders: mpsc::UnboundedSender<Order>,
    room: Arc<Semaphore>,
    thread: thread::JoinHandle<()>,
}

/// Orders to the thread.
#[derive(Debug)]
enum Order {
    /// The permit is the job's slot in the queue.
    Run(Job, OwnedSemaphorePermit),
    Stop(Duration),
}

impl Runner {
    /// Starts the thread. It calls `report` once for each command of each accepted job; `report` must not block.
    pub fn start(settings: Settings, report: impl FnMut(Ran) + Send + 'static) -> io::Result<Self> {
        process::close_files_on_exec();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (orders, received) = mpsc::unbounded_channel();
        let thread = thread::Builder::new().name("runner".into()).spawn(move || {
            let run = move |argv, stop| process::run(argv, settings.time_limit, settings.grace, stop);
            runtime.block_on(dispatch::dispatch(received, settings.at_once.max(1), run, report));
        })?;
        // A semaphore's maximum is as good as no limit.
        let room = Arc::new(Semaphore::new(settings.queue.min(Semaphore::MAX_PERMITS)));
        Ok(Self { orders, room, thread })
    }

    /// Submits a job. Never blocks: if the queue is full, the job is returned.
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else { return Err(job) };
        self.orders.send(Order::Run(job, place)).map_err(|refused| match refused.0 {
            Order::Run(job, _) => job,
            Order::Stop(_) => unreachable!("only the job itself can come back"),
        })
    }

    /// Waits until all jobs are done, at most for `patience`; then terminates running commands as if they had reached
    /// their time limit, and reports queued ones as refused. Blocks until that is done.
    pub fn stop(self, patience: Duration) {
        // A thread that has ended has nothing left to stop; its panic has been printed.
        let _ = self.orders.send(Order::Stop(patience));
        drop(self.orders);
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests;
