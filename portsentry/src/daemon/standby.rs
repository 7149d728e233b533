//! Processes that share one set of maps, such as `portsentry -audp` and `portsentry -atcp`. One works for all. The
//! others are on standby for their modes, and take its place when it ends.

use std::time::Duration;

use tokio::time::interval;

use super::{
    Error, Options, Reread,
    begin::Begin,
    departure, notify,
    session::{Lasting, Session},
    signals::{Asked, Signals},
    watched_ports::{bitmaps, until_watched},
};
use crate::{
    kernel::{self, bitmap},
    sink::Log,
};

/// Interval of attempts to take the owner's place. The kernel program continues meanwhile.
const PAUSE: Duration = Duration::from_millis(200);

/// Result of the wait.
pub enum Wait {
    /// The owner has ended, and this process has its place.
    Begun(Box<Session>),
    /// A signal to stop arrived.
    Stopped,
}

/// Waits on standby for the modes of `options` until the owner ends.
pub async fn run(
    options: &mut Options,
    lasting: &mut Lasting<'_>,
    (reread, signals): (&Reread<'_>, &mut Signals),
    active: impl FnOnce(),
) -> Result<Wait, Error> {
    lasting.claims.set(&options.config.pin_path, options.modes)?;
    let confined = lasting.sandbox.enter(&options.config)?;
    let mut journal = Log::new(&options.config);
    journal.starting(&options.config, options.modes);
    journal.note(
        &"Standby: another portsentry process has the kernel's maps, and also watches the ports of this one",
    );
    if let Some(news) = confined {
        journal.note(&news);
    }
    let mut active = Some(active);
    let mut attempts = interval(PAUSE);
    let is_stop = loop {
        tokio::select! {
            _ = attempts.tick() => match Session::start(options, &Begin::Succeed, lasting) {
                Err(Error::Kernel(kernel::Error::Running(_))) => {
                    if is_watched(options) && let Some(active) = active.take() {
                        journal.active();
                        active();
                    }
                }
                begun => {
                    if let (Ok(_), Some(active)) = (&begun, active.take()) {
                        active();
                    }
                    return begun.map(Box::new).map(Wait::Begun);
                }
            },
            asked = signals.next() => match asked {
                Asked::Stop => break true,
                Asked::Leave => break false,
                Asked::Summary => journal.note(&"another portsentry process has the kernel's maps; send \
                    the request to that one"),
                Asked::Reread => match reread() {
                    Ok(new) => {
                        *options = new;
                        journal.reloaded("Configuration reloaded");
                        options.warnings.iter().for_each(|warning| journal.warning(warning));
                        notify::ready();
                    }
                    Err(problems) => problems.iter().for_each(|problem| journal.error(problem)),
                },
            },
        }
    };
    notify::stopping();
    if is_stop && let Err(error) = departure::leave(options, &mut lasting.claims, None) {
        journal.error(&error);
    }
    journal.stopping();
    Ok(Wait::Stopped)
}

/// Whether the owner watches the ports of this process, or will after the machine's boot.
fn is_watched(options: &Options) -> bool {
    let Options { config, modes, .. } = options;
    if until_watched(config).is_some() {
        return true;
    }
    let wanted = bitmaps(config, *modes);
    let mut wanted = wanted.iter().filter_map(|(watched, ports)| Some((watched, ports.as_ref()?)));
    wanted.all(|(watched, ports)| bitmap::holds(&config.pin_path, *watched, ports.words()).unwrap_or(false))
}
