//! Attaches the kernel program to interfaces.
//!
//! Links are pinned: enforcement survives the daemon's death, and the next daemon replaces the program without a
//! gap.

use std::{fmt, io};

use aya::programs::{
    ProgramError, Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    xdp::XdpLink,
};

use super::{Error, PinState, Pins, error::os_error, link_detach::detach_now, xdp_features::runs_programs};
use crate::policy::placement::Placement;

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

impl Attachment {
    fn new(interface: &str, mode: Mode, reason: Option<String>) -> Self {
        Self { interface: interface.to_owned(), mode: Some(mode), was_native: false, reason }
    }
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

/// Attaches `program` to the interface. An earlier run's pinned link is taken over.
pub(super) fn attach(
    program: &mut Xdp,
    pins: &Pins,
    (name, index): (&str, u32),
    placement: Placement,
) -> Result<Attachment, Error> {
    let was_native = placement == Placement::Generic && give_way(program, pins, (name, index))?;
    if placement == Placement::Generic {
        pins.unmark_provisional(index)?;
    }
    if take_over(program, pins, index)? {
        return Ok(Attachment { interface: name.to_owned(), mode: None, was_native, reason: None });
    }
    // The mark comes first: after a crash in between, the next start would otherwise take the program for one that stays.
    if placement == Placement::Provisional {
        pins.mark_provisional(index)?;
    } else {
        pins.unmark_provisional(index)?;
    }
    attach_anew(program, pins, (name, index), placement).map(|new| Attachment { was_native, ..new })
}

/// Replaces the provisional program of an interface that has been configured: natively, or else in generic mode again. Between the
/// two the interface has no program, because the kernel doesn't allow both at the same time. The generic one stays if it is known
/// beforehand that the interface can't have a native one.
pub(super) fn settle(
    program: &mut Xdp,
    pins: &Pins,
    interface: (&str, u32),
    placement: Placement,
) -> Result<Attachment, Error> {
    let (_, index) = interface;
    let refusal = refusal_to_offload(program, index)?;
    let was = |number| refusal.as_ref().is_some_and(|error| is(error, number));
    if was(nix::Error::EEXIST) {
        return keep_generic(pins, interface, "because an interface above it has a program, too");
    }
    // Without an XDP operation of the driver, the kernel refuses so; but some drivers that have one do, too.
    if was(nix::Error::EOPNOTSUPP) && runs_programs(index) == Some(false) {
        return keep_generic(pins, interface, "because its driver doesn't run XDP programs");
    }
    end(pins, index)?;
    let attached = match attach_anew(program, pins, interface, placement) {
        Ok(attached) => attached,
        Err(error) => Attachment {
            reason: Some(format!("because it can't be native: {error}")),
            ..attach_anew(program, pins, interface, Placement::Generic)?
        },
    };
    // The mark goes last: after a crash before this line, the next start makes the program native.
    pins.unmark_provisional(index)?;
    Ok(attached)
}

/// Tries to offload the program to the card. Returns the refusal, which has changed nothing. Its number shows whether a native program
/// is possible (`dev_xdp_attach` in `net/core/dev.c`): `EEXIST` if a device above the interface has a program, in whatever namespace,
/// `EOPNOTSUPP` if the driver may run none.
fn refusal_to_offload(program: &mut Xdp, index: u32) -> Result<Option<ProgramError>, Error> {
    match program.attach_to_if_index(index, XdpMode::Hardware) {
        Ok(attempt) => program.detach(attempt).map(|()| None).map_err(Error::from),
        Err(error) => Ok(Some(error)),
    }
}

/// Lets a provisional program stay, for this reason.
pub(super) fn keep_generic(
    pins: &Pins,
    (name, index): (&str, u32),
    reason: &str,
) -> Result<Attachment, Error> {
    pins.unmark_provisional(index)?;
    Ok(Attachment::new(name, Mode::Generic, Some(reason.to_owned())))
}

fn attach_anew(
    program: &mut Xdp,
    pins: &Pins,
    (name, index): (&str, u32),
    placement: Placement,
) -> Result<Attachment, Error> {
    // A link that can't be pinned would be detached again, and some drivers interrupt the network each time.
    if pins.pin_state() != PinState::There {
        let problem = "the directory of pins was removed or hidden".to_owned();
        return Err(Error::Pins { path: pins.link(index), problem });
    }
    let (mode, reason) = match placement {
        Placement::Native => (Mode::Native, None),
        Placement::Generic | Placement::Provisional => (Mode::Generic, None),
        Placement::Auto => match program.attach_to_if_index(index, Mode::Native.flags()) {
            Ok(link) => {
                pin(program, pins, index, link)?;
                return Ok(Attachment::new(name, Mode::Native, None));
            }
            Err(error) if is_unable(&error) => {
                (Mode::Generic, Some(format!("because the driver reported: {}", answer(&error))))
            }
            Err(error) => return Err(failure(name, Mode::Native, error)),
        },
    };
    let link = program.attach_to_if_index(index, mode.flags()).map_err(|error| failure(name, mode, error))?;
    pin(program, pins, index, link)?;
    Ok(Attachment::new(name, mode, reason))
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
        Err(error) if is(&error, nix::Error::EEXIST) => {
            pins.unmark_provisional(index)?;
            end(pins, index).map(|()| true)
        }
        Err(error) if is(&error, nix::Error::EBUSY) => Ok(false),
        Err(error) => Err(failure(name, Mode::Generic, error)),
    }
}

/// Detaches from the interface with this index at once, and removes the pin.
fn end(pins: &Pins, index: u32) -> Result<(), Error> {
    let path = pins.link(index);
    match detach_now(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Pins { path, problem: error.to_string() })
        }
        _ => unpin(pins, index),
    }
}

/// Detaches from the interface with this index, if a link is pinned for it.
pub(super) fn detach(pins: &Pins, index: u32) -> Result<(), Error> {
    pins.unmark_provisional(index)?;
    unpin(pins, index)
}

fn unpin(pins: &Pins, index: u32) -> Result<(), Error> {
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
    use nix::Error as E;
    // The last two: too few queues (veth) or too little memory for more of them.
    let unable = [E::EOPNOTSUPP, E::EINVAL, E::ERANGE, E::ENOTSUP, E::ENOSPC, E::ENOMEM];
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
