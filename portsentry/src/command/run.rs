//! Starts the daemon in the foreground or the background.

use anyhow::Context;

use super::{
    background::{self, Child},
    options, setup,
};
use crate::{
    cli::Cli,
    config::Level,
    daemon::{self, Error},
    exit::Exit,
    systemd,
};

/// Runs the daemon until it is asked to stop.
pub(super) fn run(cli: &Cli) -> Exit {
    setup::roll_back_abandoned(cli);
    let (options, warnings) = match options::read(cli) {
        Ok(read) => read,
        Err(lines) => {
            lines.iter().for_each(|line| systemd::complain(Level::Err, line));
            return Exit::Configuration;
        }
    };
    warnings.iter().for_each(|warning| systemd::complain(Level::Warning, warning));
    let child = if cli.is_background(&options.config) {
        match background::split() {
            Ok(background::Side::Parent(exit)) => return exit,
            Ok(background::Side::Child(child)) => Some(child),
            Err(error) => {
                systemd::complain(
                    Level::Err,
                    &format!("portsentry: could not go to the background: {error}"),
                );
                return Exit::Failure;
            }
        }
    } else {
        None
    };
    let reread = || options::read(cli).map(|(options, _)| options);
    let active = || child.into_iter().for_each(Child::detach);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime
        .context("starting the event loop")
        .and_then(|runtime| runtime.block_on(daemon::run(options, &reread, active)).map_err(Into::into));
    match ended {
        Ok(()) => Exit::Success,
        Err(error) => {
            let ours = error.downcast_ref::<Error>();
            let text = match ours {
                // The error already includes its causes.
                Some(ours) => format!("portsentry: {ours}"),
                None => format!("portsentry: {error:#}"),
            };
            systemd::complain(Level::Err, &text);
            if matches!(ours, Some(Error::Kernel(_))) { Exit::Kernel } else { Exit::Failure }
        }
    }
}
