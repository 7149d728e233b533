//! Going to the background as 1.2 does, but only once everything is watched: until then errors reach the terminal,
//! and the exit code whoever started it.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
};

use nix::{
    sys::wait::{WaitStatus, waitpid},
    unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe, setsid},
};

use crate::exit::Exit;

/// Which of the two processes this is.
pub(super) enum Side {
    /// The one that was started. The other has begun to watch, or has failed, and this is the exit code.
    Parent(Exit),
    /// The one that goes on.
    Child(Child),
}

/// The process that goes on, while the other waits for it.
pub(super) struct Child(OwnedFd);

/// Splits the process in two.
pub(super) fn split() -> io::Result<Side> {
    let (reader, writer) = pipe()?;
    // SAFETY: there is one thread, so the child finds every lock as it would be without the fork.
    match unsafe { fork() }? {
        ForkResult::Child => Ok(Side::Child(Child(writer))),
        ForkResult::Parent { child } => {
            drop(writer);
            let has_begun = File::from(reader).read(&mut [0])? == 1;
            if has_begun {
                return Ok(Side::Parent(Exit::Success));
            }
            let exit = match waitpid(child, None)? {
                WaitStatus::Exited(_, code) => Exit::try_from(code).unwrap_or(Exit::Failure),
                _ => Exit::Failure,
            };
            Ok(Side::Parent(exit))
        }
    }
}

impl Child {
    /// Leaves the terminal and lets the other process end. What can't be done of it is no reason to stop.
    pub(super) fn detach(self) {
        let left = setsid().map(drop).map_err(io::Error::from).and_then(|()| {
            std::env::set_current_dir("/")?;
            let null = File::options().read(true).write(true).open("/dev/null")?;
            dup2_stdin(&null)?;
            dup2_stdout(&null)?;
            dup2_stderr(&null)?;
            Ok(())
        });
        if let Err(error) = left {
            eprintln!("portsentry: leaving the terminal: {error}");
        }
        drop(File::from(self.0).write(&[1]));
    }
}
