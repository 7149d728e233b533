//! Runs in the background as 1.2 does, but only once the daemon is ready. Until then, errors reach the terminal,
//! and the exit code reaches the caller.

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

/// The two processes after the split.
pub(super) enum Side {
    /// The original process. The background process has become ready, or has failed, as shown by the exit code.
    Parent(Exit),
    /// The background process.
    Child(Child),
}

/// The background process, for which the original one waits.
pub(super) struct Child(OwnedFd);

/// Forks the process.
pub(super) fn split() -> io::Result<Side> {
    let (reader, writer) = pipe()?;
    // SAFETY: there is only one thread, so every lock is in the same state in the child.
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
    /// Leaves the terminal and lets the original process exit. Errors don't stop it.
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
            eprintln!("portsentry: could not leave the terminal: {error}");
        }
        drop(File::from(self.0).write(&[1]));
    }
}
