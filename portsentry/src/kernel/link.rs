//! Attaching the kernel program to interfaces. It must not choose the interfaces.
//!
//! Links are pinned, so that a daemon that dies leaves enforcement in place, and the next one replaces the
//! program without a gap.

use std::{fmt, io};

use aya::programs::{
    ProgramError, Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    xdp::XdpLink,
};

use super::{Error, Pins, error::os_error};

/// How frames reach the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Before the kernel allocates anything for them, in the driver.
    Native,
    /// After it has, in the network stack.
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

/// What became of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The interface's name.
    pub interface: String,
    /// The mode, or `None` where a running program was replaced in the mode it had.
    pub mode: Option<Mode>,
    /// Why it isn't native, where that was tried.
    pub reason: Option<String>,
}

impl fmt::Display for Attachment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interface, mode, reason } = self;
        match (mode, reason) {
            (None, _) => {
                write!(formatter, "{interface}: took over from the program that an earlier run left")
            }
            (Some(mode), None) => write!(formatter, "{interface}: {} XDP", mode.name()),
            (Some(mode), Some(reason)) => {
                write!(formatter, "{interface}: {} XDP, because {reason}", mode.name())
            }
        }
    }
}

/// Attaches `program` to the interface, native where it can, unless `only` says which mode. A pinned link of an
/// earlier run is taken over.
pub(super) fn attach(
    program: &mut Xdp,
    pins: &Pins,
    (name, index): (&str, u32),
    only: Option<Mode>,
) -> Result<Attachment, Error> {
    let interface = name.to_owned();
    if take_over(program, pins, index)? {
        return Ok(Attachment { interface, mode: None, reason: None });
    }
    let (mode, reason) = match only {
        Some(mode) => (mode, None),
        None => match program.attach_to_if_index(index, Mode::Native.flags()) {
            Ok(link) => {
                return pin(program, pins, index, link).map(|()| Attachment {
                    interface,
                    mode: Some(Mode::Native),
                    reason: None,
                });
            }
            Err(error) if is_unable(&error) => {
                (Mode::Generic, Some(format!("the driver answered: {}", answer(&error))))
            }
            Err(error) => return Err(failure(name, Mode::Native, error)),
        },
    };
    let link = program.attach_to_if_index(index, mode.flags()).map_err(|error| failure(name, mode, error))?;
    pin(program, pins, index, link)?;
    Ok(Attachment { interface, mode: Some(mode), reason })
}

/// Detaches from the interface with that index, if a link is pinned for it.
pub(super) fn detach(pins: &Pins, index: u32) -> Result<(), Error> {
    match std::fs::remove_file(pins.link(index)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Pins { path: pins.link(index), problem: error.to_string() })
        }
        _ => Ok(()),
    }
}

/// Puts `program` in the place of the one that a pinned link holds. The link of an interface that is gone stands
/// in the way of nothing and is removed.
fn take_over(program: &mut Xdp, pins: &Pins, index: u32) -> Result<bool, Error> {
    let path = pins.link(index);
    if !path.exists() {
        return Ok(false);
    }
    let old = PinnedLink::from_pin(&path).map_err(|error| Error::Pins {
        path: path.clone(),
        problem: format!("{error}; remove the file if it isn't a link of portsentry's"),
    })?;
    let replaced = XdpLink::try_from(FdLink::from(old))
        .map_err(|error| io_error(&error))
        .and_then(|link| program.attach_to_link(link));
    match replaced {
        // The pin keeps the link alive; this process's handle is let go.
        Ok(link) => program.take_link(link).map(drop).map(|()| true).map_err(Error::from),
        Err(error) if os_error(&error) == Some(nix::Error::ENOLINK as i32) => {
            detach(pins, index).map(|()| false)
        }
        Err(error) => Err(error.into()),
    }
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

/// Whether the driver can't run the program, as opposed to something being wrong.
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
