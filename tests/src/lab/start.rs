//! Starts daemons.

use std::process::Command;

use super::{Daemon, Ended, Portsentry};

impl<'lab> Portsentry<'lab> {
    /// Writes the files, starts the daemon, and waits until it is ready: on an emulated machine that has just started, until
    /// ports are watched (`SERVED_GRACE`).
    pub fn start(&self) -> Daemon<'lab> {
        let daemon = self.start_in(|command| command);
        if daemon.log().count("The machine has just started") > 0 {
            daemon.log().wait_for("Ports are watched now");
        }
        daemon
    }

    /// Starts the daemon like [`Portsentry::start`], with its command changed by `wrap`.
    #[must_use]
    pub fn start_in(&self, wrap: impl FnOnce(Command) -> Command) -> Daemon<'lab> {
        let daemon = Daemon::spawn(self.clone(), wrap(self.command()));
        if let Err(lines) = daemon.log().find("is now active and listening") {
            let code = daemon.kill().code;
            panic!(
                "the daemon does not start; exit code {code:?} (none after a signal):\n{}",
                lines.join("\n")
            );
        }
        daemon
    }

    /// Starts the daemon without waiting for a line that says it is ready.
    #[must_use]
    pub fn start_silent(&self) -> Daemon<'lab> {
        Daemon::spawn(self.clone(), self.command())
    }

    /// Starts a daemon that can't run, and returns its last lines.
    pub fn fail(&self) -> Ended {
        Daemon::spawn(self.clone(), self.command()).end()
    }

    /// Starts a daemon that can't run, with its command changed by `wrap`.
    pub fn fail_in(&self, wrap: impl FnOnce(Command) -> Command) -> Ended {
        Daemon::spawn(self.clone(), wrap(self.command())).end()
    }
}
