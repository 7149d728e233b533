//! The outcome of a command.

use std::{fmt, io, process::ExitStatus};

use super::Output;

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
    /// It never ran, because the queue was full or the daemon was stopping.
    Refused,
}

impl Outcome {
    /// Returns a single word for the outcome.
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
