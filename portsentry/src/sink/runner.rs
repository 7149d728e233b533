//! Runs the administrator's commands (`KILL_ROUTE`, `KILL_RUN_CMD`) on a thread of its own, bounded in number and
//! time.

mod dispatch;
mod limit;
mod output;
mod process;

use std::{fmt, io, net::IpAddr, process::ExitStatus, sync::Arc, thread, time::Duration};

use tokio::{
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

pub use limit::{Change, Limit};
pub use output::Output;

use crate::config::{Command, Values};

/// What bounds the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Commands that run side by side at the most, each for another source.
    pub at_once: usize,
    /// Jobs that wait at the most. One takes about as many bytes as its commands have, and 200.
    pub queue: usize,
    /// How long a command may take before its process group gets SIGTERM.
    pub time_limit: Duration,
    /// How long after that it gets SIGKILL.
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
}

impl Purpose {
    /// The setting's name.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Route => "KILL_ROUTE",
            Self::Command => "KILL_RUN_CMD",
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
    /// `command` for one source.
    #[must_use]
    pub fn new(purpose: Purpose, command: &Command, values: &Values<'_>) -> Self {
        Self { purpose, argv: command.argv(values), shown: command.describe(values) }
    }
}

/// The commands for one source, to be run one after the other, whether or not one of them fails. Jobs for the
/// same source run in the order in which they are submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Who they are run against.
    pub source: IpAddr,
    /// The commands, in order.
    pub tasks: Vec<Task>,
}

impl Job {
    /// The report on a job that was not taken.
    pub fn refused(self) -> impl Iterator<Item = Ran> {
        let source = self.source;
        self.tasks.into_iter().map(move |task| Ran::new(source, task, Outcome::Refused))
    }
}

/// What became of one command.
#[derive(Debug)]
pub struct Ran {
    /// Who it was run against.
    pub source: IpAddr,
    /// The setting that it comes from.
    pub purpose: Purpose,
    /// The command as PortSentry logs it.
    pub shown: String,
    /// How it ended.
    pub outcome: Outcome,
}

impl Ran {
    fn new(source: IpAddr, task: Task, outcome: Outcome) -> Self {
        Self { source, purpose: task.purpose, shown: task.shown, outcome }
    }
}

/// How a command ended. Only [`Outcome::Done`] may be logged as done.
#[derive(Debug)]
pub enum Outcome {
    /// It exited with status 0.
    Done(Output),
    /// It exited with another status, or of a signal.
    Failed {
        /// As `wait(2)` has it.
        status: ExitStatus,
        /// What it had said.
        output: Output,
    },
    /// It took longer than it may, and was ended.
    TimedOut(Output),
    /// The daemon stopped, and ended it.
    Stopped(Output),
    /// It never ran: no such program, no right to run it, no memory or process to be had.
    NotStarted(io::Error),
    /// It ran, and the system did not say how it ended.
    Unknown(io::Error),
    /// It never ran: too many were waiting, or the daemon was stopping.
    Refused,
}

impl Outcome {
    /// One word for it.
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

    /// Whether the command did what it was for.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// As the end of a sentence on the command: `failed with exit status: 2, saying "..."`.
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
                f.write_str("took too long and was ended")?;
                output
            }
            Self::Stopped(output) => {
                f.write_str("was ended because the daemon stops")?;
                output
            }
            Self::NotStarted(error) => return write!(f, "could not be started: {error}"),
            Self::Unknown(error) => return write!(f, "ended in a way that is not known: {error}"),
            Self::Refused => return f.write_str("was not run: too many commands are waiting"),
        };
        if output.is_empty() { Ok(()) } else { write!(f, ", saying \"{output}\"") }
    }
}

/// The thread that runs the commands.
#[derive(Debug)]
pub struct Runner {
    orders: mpsc::UnboundedSender<Order>,
    room: Arc<Semaphore>,
    thread: thread::JoinHandle<()>,
}

/// What the thread is told.
#[derive(Debug)]
enum Order {
    /// The permit is the job's place among those that wait.
    Run(Job, OwnedSemaphorePermit),
    Stop(Duration),
}

impl Runner {
    /// Starts the thread. `report` is called on it, once for each command of each job taken; it must not block.
    pub fn start(settings: Settings, report: impl FnMut(Ran) + Send + 'static) -> io::Result<Self> {
        process::close_files_on_exec();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (orders, received) = mpsc::unbounded_channel();
        let thread = thread::Builder::new().name("runner".into()).spawn(move || {
            let run = move |argv, stop| process::run(argv, settings.time_limit, settings.grace, stop);
            runtime.block_on(dispatch::dispatch(received, settings.at_once.max(1), run, report));
        })?;
        // More than a semaphore can hold is as good as no limit.
        let room = Arc::new(Semaphore::new(settings.queue.min(Semaphore::MAX_PERMITS)));
        Ok(Self { orders, room, thread })
    }

    /// Hands over a job. Never blocks: a job for which there is no room comes back.
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else { return Err(job) };
        self.orders.send(Order::Run(job, place)).map_err(|refused| match refused.0 {
            Order::Run(job, _) => job,
            Order::Stop(_) => unreachable!("only the job itself can come back"),
        })
    }

    /// Waits until all jobs are done, but no longer than `patience`; then ends the commands that run as if they had
    /// reached their time limit, and reports those that wait as refused. Blocks until that is done.
    pub fn stop(self, patience: Duration) {
        // A thread that is gone has nothing left to stop; its panic has been shown.
        let _ = self.orders.send(Order::Stop(patience));
        drop(self.orders);
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests;
