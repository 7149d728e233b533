//! Attaches the traffic control programs to interfaces: those for outgoing packets, and those for fenced sources'
//! connections. Its callers choose the interfaces.
//!
//! Since Linux 6.6 they are attached by links (TCX), pinned like those of XDP. On older kernels they are filters of
//! the `clsact` queueing discipline. Filters stay without a pin, and are found again by their priority and handle.

use std::{
    fs, io, mem,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, SchedClassifier, TcAttachType,
        links::{FdLink, Link, PinnedLink},
        tc::{NlOptions, SchedClassifierLink, TcAttachOptions, qdisc_add_clsact},
    },
    util::KernelVersion,
};

use super::{
    Error, Framing, Pins,
    clsact::{HANDLE, PRIORITY, has_filter},
    error::os_error,
    program::unsignalled,
};

/// One of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// The program for outgoing packets.
    Egress,
    /// The program that makes the kernel open connections.
    Accept,
}

/// All of them.
pub(super) const HOOKS: [Hook; 2] = [Hook::Egress, Hook::Accept];

impl Hook {
    /// Returns the directory for the pins of its links, relative to that of the maps.
    pub(super) const fn directory(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Accept => "accept",
        }
    }

    /// Returns the pin of its link to the interface with this index, below the `directory` of the maps.
    pub(super) fn pin(self, directory: &Path, index: u32) -> PathBuf {
        directory.join(self.directory()).join(index.to_string())
    }

    const fn program(self, framing: Framing) -> &'static str {
        match (self, framing) {
            (Self::Egress, Framing::Bare) => "portsentry_egress_bare",
            (Self::Egress, _) => "portsentry_egress",
            (Self::Accept, _) => "portsentry_accept",
        }
    }

    const fn side(self) -> TcAttachType {
        match self {
            Self::Egress => TcAttachType::Egress,
            Self::Accept => TcAttachType::Ingress,
        }
    }
}

/// Whether the kernel supports links for these programs.
pub(super) fn has_links() -> bool {
    KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 6, 0))
}

/// The state in which a program that should be attached was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is attached.
    Attached,
    /// Another program had detached it, or attaching had failed, and it is attached again.
    Again,
    /// An administrator has removed its pin.
    Removed,
}

/// Attaches the program for outgoing packets again, unless it is attached. `has_failed` says whether the last attempt
/// failed: then a missing pin is no administrator's removal.
pub(super) fn keep(ebpf: &mut Ebpf, pins: &Pins, index: u32, has_failed: bool) -> Result<Kept, Error> {
    let hook = Hook::Egress;
    let name = name(index)?;
    let path = hook.pin(pins.directory(), index);
    let is_attached = if !has_links() {
        has_filter(index)?
    } else if path.exists() {
        // A link without an interface can't be updated.
        let framing = framing(&name, index)?;
        let program = load(ebpf, hook.program(framing))?;
        update(program, &path)?
    } else if has_failed {
        false
    } else {
        return Ok(Kept::Removed);
    };
    if is_attached {
        return Ok(Kept::Attached);
    }
    attach(ebpf, pins, hook, index).map(|()| Kept::Again)
}

fn framing(name: &str, index: u32) -> Result<Framing, Error> {
    Framing::of_interface(index).map_err(|_| Error::NoInterface(name.into()))
}

/// Attaches the program to the interface with this index. Replaces a program that an earlier run left attached.
pub(super) fn attach(ebpf: &mut Ebpf, pins: &Pins, hook: Hook, index: u32) -> Result<(), Error> {
    let name = name(index)?;
    let framing = framing(&name, index)?;
    if hook == Hook::Accept && framing == Framing::Bare {
        // The program answers no SYNs there.
        return Ok(());
    }
    let program = load(ebpf, hook.program(framing))?;
    if has_links() {
        attach_link(program, pins, hook, (&name, index))
    } else {
        attach_filter(program, hook, &name)
    }
}

/// Returns the program for outgoing packets on interfaces with an Ethernet header, which must be loaded.
pub(super) fn egress(ebpf: &Ebpf) -> Result<&SchedClassifier, Error> {
    let name = Hook::Egress.program(Framing::Ethernet);
    ebpf.program(name).ok_or_else(|| Error::Missing(name.into()))?.try_into().map_err(Error::Program)
}

/// Loads the program for outgoing packets on interfaces with an Ethernet header.
pub(super) fn load_egress(ebpf: &mut Ebpf) -> Result<&SchedClassifier, Error> {
    load(ebpf, Hook::Egress.program(Framing::Ethernet)).map(|program| &*program)
}

/// Loads the program that opens connections, to check whether the kernel accepts it.
pub(super) fn try_accept(ebpf: &mut Ebpf) -> Result<(), Error> {
    load(ebpf, Hook::Accept.program(Framing::Ethernet)).map(drop)
}

fn load<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut SchedClassifier, Error> {
    let program = ebpf.program_mut(name).ok_or_else(|| Error::Missing(name.into()))?;
    let program: &mut SchedClassifier = program.try_into().map_err(Error::Program)?;
    if program.fd().is_err() {
        unsignalled(|| program.load())?;
    }
    Ok(program)
}

fn attach_link(
    program: &mut SchedClassifier,
    pins: &Pins,
    hook: Hook,
    (name, index): (&str, u32),
) -> Result<(), Error> {
    let path = hook.pin(pins.directory(), index);
    let problem = |problem: String| Error::Pins { path: path.clone(), problem };
    if path.exists() {
        if update(program, &path)? {
            return Ok(());
        }
        fs::remove_file(&path).map_err(|error| problem(error.to_string()))?;
    }
    fs::create_dir_all(pins.directory().join(hook.directory()))
        .map_err(|error| problem(error.to_string()))?;
    let first = TcAttachOptions::TcxOrder(LinkOrder::first());
    let link = program.attach_with_options(name, hook.side(), first)?;
    let link: FdLink =
        program.take_link(link)?.try_into().map_err(|_| problem("it has no descriptor".into()))?;
    link.pin(&path).map(drop).map_err(|error| problem(error.to_string()))
}

/// Makes the pinned link run `program`. Returns `false` if it is attached nowhere: its interface is gone, and another
/// interface has its index now, or somebody has detached it.
fn update(program: &mut SchedClassifier, path: &Path) -> Result<bool, Error> {
    let problem = |problem: String| Error::Pins { path: path.into(), problem };
    let link = PinnedLink::from_pin(path).map_err(|error| problem(error.to_string()))?;
    let link =
        SchedClassifierLink::try_from(FdLink::from(link)).map_err(|error| problem(error.to_string()))?;
    match program.attach_to_link(link) {
        // The pin keeps the link alive, so this process's handle is dropped.
        Ok(link) => program.take_link(link).map(|_| true).map_err(Error::from),
        Err(error) if os_error(&error) == Some(nix::Error::ENOLINK as i32) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn attach_filter(program: &mut SchedClassifier, hook: Hook, name: &str) -> Result<(), Error> {
    // An existing qdisc is no error. Any other problem shows below.
    let _ = qdisc_add_clsact(name);
    let filter = filter(hook, name).map_err(|source| Error::Program(ProgramError::IOError(source)))?;
    let link = program.attach_to_link(filter).or_else(|_| {
        let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
        program.attach_with_options(name, hook.side(), TcAttachOptions::Netlink(options))
    })?;
    // Dropping the handle would detach the filter.
    mem::forget(program.take_link(link)?);
    Ok(())
}

fn filter(hook: Hook, name: &str) -> io::Result<SchedClassifierLink> {
    SchedClassifierLink::attached(name, hook.side(), PRIORITY, HANDLE, None)
}

/// Detaches the program from the interface with this index, if it is attached there.
pub(super) fn detach(pins: &Pins, hook: Hook, index: u32) -> Result<(), Error> {
    let path = hook.pin(pins.directory(), index);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::Pins { path, problem: error.to_string() });
        }
        _ => {}
    }
    if !has_links()
        && let Ok(name) = name(index)
        && let Ok(filter) = filter(hook, &name)
    {
        // There may be no filter.
        let _ = filter.detach();
    }
    Ok(())
}

/// Returns the name of the interface with this index.
pub(super) fn name(index: u32) -> Result<String, Error> {
    let missing = || Error::NoInterface(format!("number {index}"));
    let name = nix::net::if_::if_indextoname(index).map_err(|_| missing())?;
    name.into_string().map_err(|_| missing())
}
