//! Runs the administrator's commands (`KILL_ROUTE`, `KILL_RUN_CMD`) on a separate thread, with limits on number and
//! time.

mod dispatch;
mod job;
mod limit;
mod outcome;
mod output;
mod process;

use std::{io, sync::Arc, thread, time::Duration};

use tokio::{
    runtime,
    sync::{Semaphore, mpsc},
};

pub use job::{Job, Purpose, Ran, Task};
pub use limit::{Change, Limit};
pub use outcome::Outcome;
pub use output::Output;

use self::job::Order;
use crate::{config::Values, policy::register::Case};

/// Returns the values of a command's macros in `case`.
#[must_use]
pub fn values<'a>(case: &'a Case, mode: &'a str) -> Values<'a> {
    Values::new(&case.record, case.id, mode, &case.reason)
}

/// Limits of the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Maximum number of commands that run at the same time, each for a different source.
    pub at_once: usize,
    /// Maximum number of queued jobs. One takes about 200 bytes plus its commands.
    pub queue: usize,
    /// Time limit of a command. After it the process group gets SIGTERM.
    pub time_limit: Duration,
    /// Time from SIGTERM to SIGKILL.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { at_once: 8, queue: 1024, time_limit: Duration::from_secs(10), grace: Duration::from_secs(2) }
    }
}

/// The runner's thread.
#[derive(Debug)]
pub struct Runner {
    orders: mpsc::UnboundedSender<Order>,
    room: Arc<Semaphore>,
    thread: thread::JoinHandle<()>,
}

impl Runner {
    /// Starts the thread. It calls `report` once for each command of each accepted job. `report` must not block.
    pub fn start(settings: Settings, report: impl FnMut(Ran) + Send + 'static) -> io::Result<Self> {
        process::close_files_on_exec();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (orders, received) = mpsc::unbounded_channel();
        let thread = thread::Builder::new().name("runner".into()).spawn(move || {
            let run = move |argv, stop| process::run(argv, settings.time_limit, settings.grace, stop);
            runtime.block_on(dispatch::dispatch(received, settings.at_once.max(1), run, report));
        })?;
        // The maximum of a semaphore is effectively no limit.
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

    /// Waits until all jobs are done, for at most `patience`. Then terminates running commands as if they had
    /// reached their time limit, and reports queued ones as refused. Blocks until that is done.
    pub fn stop(self, patience: Duration) {
        // A thread that has ended has nothing left to stop, and its panic has been printed.
        let _ = self.orders.send(Order::Stop(patience));
        drop(self.orders);
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests;
