//! A process that watches further ports with the maps of a daemon that runs already, as `portsentry -audp` beside
//! `portsentry -atcp`. It must not read the ring or touch the files: that is done by the other, until it ends and
//! this one takes its place.

use std::{io, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::interval,
};

use super::{
    Error, Options, Reread,
    session::{Begin, Session, bitmaps},
};
use crate::{
    kernel::{self, Claim},
    sink::Journal,
};

/// How often it is tried to take the other's place. The kernel goes on without either.
const PAUSE: Duration = Duration::from_millis(200);

/// How the wait ended.
pub enum Wait {
    /// The other daemon is gone, and this process has its place.
    Begun(Box<Session>),
    /// A signal said to stop.
    Stopped,
}

/// Watches what `options` say until the daemon in charge ends.
pub async fn run(
    options: &mut Options,
    claims: &mut Vec<Claim>,
    reread: &Reread<'_>,
    active: impl FnOnce(),
) -> Result<Wait, Error> {
    let system = |source| Error::System { what: "listening to signals", source };
    let mut terminate = signal(SignalKind::terminate()).map_err(system)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(system)?;
    claim(options, claims)?;
    let mut journal = Journal::new(&options.config);
    journal.starting(&options.config, options.modes);
    journal.note(&"Another portsentry is in charge of the kernel's maps; this one watches with it");
    journal.active();
    active();
    let mut attempts = interval(PAUSE);
    loop {
        tokio::select! {
            _ = attempts.tick() => match Session::start(options, &Begin::Start, claims).await {
                Err(Error::Kernel(kernel::Error::Running(_))) => {}
                begun => return begun.map(Box::new).map(Wait::Begun),
            },
            _ = hangup.recv() => match reread() {
                Ok(new) => {
                    *options = new;
                    claim(options, claims)?;
                    journal.note(&"The configuration was read again and is in effect");
                }
                Err(problems) => problems.iter().for_each(|problem| journal.error(problem)),
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    release(options, claims)?;
    journal.stopping();
    Ok(Wait::Stopped)
}

/// Claims and writes the bitmaps of this process's modes, and gives up those that it no longer has.
fn claim(options: &Options, claims: &mut Vec<Claim>) -> Result<(), Error> {
    let directory = &options.config.pin_path;
    for (watched, ports) in bitmaps(&options.config, options.modes) {
        let held = claims.iter().position(|claim| claim.watched() == watched);
        match (held, ports) {
            (Some(index), Some(ports)) => claims[index].write(directory, ports.words())?,
            (Some(index), None) => claims.swap_remove(index).write(directory, &[0; 1024])?,
            (None, Some(ports)) => {
                let claim = Claim::new(directory, watched)?;
                let claim = claim.ok_or_else(|| kernel::Error::Running(directory.clone()))?;
                claim.write(directory, ports.words())?;
                claims.push(claim);
            }
            (None, None) => {}
        }
    }
    Ok(())
}

/// Empties the bitmaps that this process has claimed.
pub fn release(options: &Options, claims: &mut Vec<Claim>) -> Result<(), Error> {
    for claim in claims.drain(..) {
        claim.write(&options.config.pin_path, &[0; 1024])?;
    }
    Ok(())
}

/// Whether another process has claimed a bitmap, and so relies on the program to stay attached.
pub fn others_watch(options: &Options, claims: &[Claim]) -> io::Result<bool> {
    let bitmaps = bitmaps(&options.config, options.modes);
    for (watched, _) in bitmaps {
        let is_ours = claims.iter().any(|claim| claim.watched() == watched);
        let free = Claim::new(&options.config.pin_path, watched).map_err(io::Error::other)?;
        if !is_ours && free.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}
