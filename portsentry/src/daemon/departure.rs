//! The end of a process that may share the maps with others. The last one to end carries out `ON_STOP`.
//!
//! Each process first gives up its claims, and then looks for the lock on the pins. A process that gives up the
//! lock looks for claims afterwards. Therefore at least one of two processes that end together finds that it is the
//! last.

use super::{Error, Options, claims::Claims, watched_ports::bitmaps};
use crate::{
    config::OnStop,
    kernel::{self, Pins, bitmap},
    modes::{MODES, Modes},
};

/// Gives up the maps, and the lock on them if this process holds it in `pins`. Other processes keep the maps, so
/// that only their modes are still watched.
pub fn leave(options: &Options, claims: &mut Claims, pins: Option<Pins>) -> Result<(), Error> {
    let directory = &options.config.pin_path;
    *claims = Claims::default();
    let mut held = pins;
    // In each round but the last, another process has ended meanwhile. There are at most as many processes as
    // modes.
    for _ in MODES {
        if !directory.exists() {
            // The configuration keeps nothing.
            return Ok(());
        }
        let pins = match held.take().map_or_else(|| Pins::open(directory), Ok) {
            // Its owner looks for other processes when it ends.
            Err(kernel::Error::Running(_)) => return Ok(()),
            pins => pins?,
        };
        let others = claims.others(directory)?;
        if others.is_empty() {
            return end(options.config.on_stop, &pins).map_err(Error::from);
        }
        watch_only(options, others)?;
        drop(pins);
        if !claims.others(directory)?.is_empty() {
            return Ok(());
        }
    }
    Ok(())
}

/// Carries out `ON_STOP`.
fn end(on_stop: OnStop, pins: &Pins) -> Result<(), kernel::Error> {
    match on_stop {
        OnStop::Detach => pins.detach_all_but(&[]),
        OnStop::Keep => Ok(()),
        OnStop::Remove => pins.remove_all().map(drop),
    }
}

fn watch_only(options: &Options, modes: Modes) -> Result<(), Error> {
    const NONE: [u64; 1024] = [0; 1024];
    for (watched, ports) in bitmaps(&options.config, modes) {
        bitmap::set(&options.config.pin_path, watched, ports.as_ref().map_or(&NONE, |ports| ports.words()))?;
    }
    Ok(())
}
