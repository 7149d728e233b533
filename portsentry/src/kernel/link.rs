//! Attaches the kernel program to interfaces.
//!
//! Links are pinned: enforcement survives the daemon's death, and the next daemon replaces the program without a
//! gap.

use std::{
    fmt, io, thread,
    time::{Duration, Instant},
};

use aya::programs::{
    ProgramError, Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    xdp::XdpLink,
};

use super::{Error, Pins, error::os_error};

/// Maximum time for the kernel to detach a program, and the interval between attempts.
const PATIENCE: Duration = Duration::from_secs(2);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(1);

/// The place where the program receives frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel allocates a socket buffer for them.
    Native,
    /// In the network stack.
    Generic,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    fn flags(self) -> XdpMode {
        match self {
            Self::Native => XdpMode::Driver,
            Self::Generic => XdpMode::Skb,
        }
    }
}

/// Result of attaching to an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The interface's name.
    pub interface: String,
    /// The mode, or `None` if a running program was replaced in its mode.
    pub mode: Option<Mode>,
    /// Whether an earlier run's native program was detached first, because the kernel doesn't allow native and
    /// generic programs at the same time.
    pub was_native: bool,
    /// The reason why it is not native, if that was tried; or the consequence.
    pub reason: Option<String>,
}

impl fmt::Display for Attachment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interface, mode, was_native, reason } = self;
        match mode {
            None => write!(formatter, "{interface}: replaced the program of an earlier run")?,
            Some(mode) => write!(formatter, "{interface}: {} XDP", mode.name())?,
        }
        if *was_native {
            formatter
                .write_str(" instead of an earlier run's native program, after a moment without either")?;
        }
        reason.iter().try_for_each(|reason| write!(formatter, ", {reason}"))
    }
}

/// Attaches `program` to the interface, in native mode if possible, unless `only` requests a mode. An earlier run's
/// pinned link is taken over.
pub(super) fn attach(
    program: &mut Xdp,
    pins: &Pins,
    (name, index): (&str, u32),
    only: Option<Mode>,
) -> Result<Attachment, Error> {
    let interface = name.to_owned();
    let was_native = only == Some(Mode::Generic) && give_way(program, pins, (name, index))?;
    if take_over(program, pins, index)? {
        return Ok(Attachment { interface, mode: None, was_native, reason: None });
    }
    let (mode, reason) = match only {
        Some(mode) => (mode, None),
        None => match program.attach_to_if_index(index, Mode::Native.flags()) {
            Ok(link) => {
                return pin(program, pins, index, link).map(|()| Attachment {
                    interface,
                    mode: Some(Mode::Native),
                    was_native,
                    reason: None,
                });
            }
            Err(error) if is_unable(&error) => {
                (Mode::Generic, Some(format!("because the driver reported: {}", answer(&error))))
            }
            Err(error) => return Err(failure(name, Mode::Native, error)),
        },
    };
    let begin = Instant::now();
    let attached = loop {
        match program.attach_to_if_index(index, mode.flags()) {
            // The kernel completes a detachment a moment later.
            Err(error) if was_native && is(&error, nix::Error::EEXIST) && begin.elapsed() < PATIENCE => {
                thread::sleep(BETWEEN_ATTEMPTS);
            }
            attached => break attached,
        }
    };
    let link = attached.map_err(|error| failure(name, mode, error))?;
    pin(program, pins, index, link)?;
    Ok(Attachment { interface, mode: Some(mode), was_native, reason })
}

/// Detaches an earlier run's native program to make way for a generic one. Returns whether it was native. Only an
/// attempt shows the mode: the kernel refuses a second program of the same mode as busy, and one of the other mode
/// as existing.
fn give_way(program: &mut Xdp, pins: &Pins, (name, index): (&str, u32)) -> Result<bool, Error> {
    let path = pins.link(index);
    if !path.exists() {
        return Ok(false);
    }
    match program.attach_to_if_index(index, Mode::Generic.flags()) {
        // The pinned link was no longer attached.
        Ok(attempt) => program.detach(attempt).map(|()| false).map_err(Error::from),
        Err(error) if is(&error, nix::Error::EEXIST) => detach(pins, index).map(|()| true),
        Err(error) if is(&error, nix::Error::EBUSY) => Ok(false),
        Err(error) => Err(failure(name, Mode::Generic, error)),
    }
}

/// Detaches from the interface with this index, if a link is pinned for it.
pub(super) fn detach(pins: &Pins, index: u32) -> Result<(), Error> {
    match std::fs::remove_file(pins.link(index)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Pins { path: pins.link(index), problem: error.to_string() })
        }
        _ => Ok(()),
    }
}

/// Replaces the program of a pinned link by `program`. Removes the link of an interface that no longer exists.
fn take_over(program: &mut Xdp, pins: &Pins, index: u32) -> Result<bool, Error> {
    let path = pins.link(index);
    if !path.exists() {
        return Ok(false);
    }
    let old = PinnedLink::from_pin(&path).map_err(|error| Error::Pins {
        path: path.clone(),
        problem: format!("{error}; remove the file if it is not a link of portsentry"),
    })?;
    let replaced = XdpLink::try_from(FdLink::from(old))
        .map_err(|error| io_error(&error))
        .and_then(|link| program.attach_to_link(link));
    match replaced {
        // The pin keeps the link alive; this process's handle is dropped.
        Ok(link) => program.take_link(link).map(drop).map(|()| true).map_err(Error::from),
        Err(error) if is(&error, nix::Error::ENOLINK) => detach(pins, index).map(|()| false),
        Err(error) => Err(error.into()),
    }
}

fn is(error: &ProgramError, number: nix::Error) -> bool {
    os_error(error) == Some(number as i32)
}

fn io_error(error: &impl fmt::Display) -> ProgramError {
    ProgramError::IOError(io::Error::other(error.to_string()))
}

fn pin(program: &mut Xdp, pins: &Pins, index: u32, link: aya::programs::xdp::XdpLinkId) -> Result<(), Error> {
    let path = pins.link(index);
    let link = program.take_link(link)?;
    let pinned = FdLink::try_from(link)
        .map_err(|error| error.to_string())
        .and_then(|link| link.pin(&path).map_err(|error| error.to_string()));
    pinned.map(drop).map_err(|problem| Error::Pins { path, problem })
}

/// Whether the driver does not support the program; other errors return `false`.
fn is_unable(error: &ProgramError) -> bool {
    let unable = [nix::Error::EOPNOTSUPP, nix::Error::EINVAL, nix::Error::ERANGE, nix::Error::ENOTSUP];
    os_error(error).is_some_and(|number| unable.iter().any(|errno| *errno as i32 == number))
}

fn answer(error: &ProgramError) -> io::Error {
    os_error(error).map_or_else(|| io::Error::other(error.to_string()), io::Error::from_raw_os_error)
}

fn failure(interface: &str, mode: Mode, error: ProgramError) -> Error {
    use nix::Error as E;
    match os_error(&error).map(E::from_raw) {
        Some(E::EBUSY | E::EEXIST) => Error::Occupied(interface.into()),
        Some(E::EPERM | E::EACCES) => Error::Privileges,
        Some(E::ENODEV) => Error::NoInterface(interface.into()),
        _ if is_unable(&error) => {
            Error::Mode { interface: interface.into(), mode: mode.name(), source: answer(&error) }
        }
        _ => error.into(),
    }
}
