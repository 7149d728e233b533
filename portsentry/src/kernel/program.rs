//! The XDP programs in the loaded object. Finds them, and has the verifier check them.

use aya::{
    Ebpf,
    programs::{ProgramError, Xdp},
};
use nix::sys::signal::{SigSet, SigmaskHow};

use super::{Error, Framing};

/// The program for frames with a link layer.
pub(super) const PROGRAM: &str = "portsentry";
/// The program for frames that begin with their IP header.
const BARE: &str = "portsentry_bare";

pub(super) fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, Error> {
    let program = ebpf.program_mut(name).ok_or_else(|| Error::Missing(name.into()))?;
    program.try_into().map_err(Error::Program)
}

/// Returns the program for an interface's frames. Few hosts need the one for bare frames, so it is loaded on demand.
pub(super) fn program_for<'a>(
    ebpf: &'a mut Ebpf,
    (interface, index): (&str, u32),
) -> Result<&'a mut Xdp, Error> {
    match Framing::of_interface(index) {
        Ok(Framing::Ethernet) => program(ebpf, PROGRAM),
        Ok(Framing::Bare) => bare(ebpf),
        Ok(Framing::Other(number)) => Err(Error::Framing { interface: interface.into(), number }),
        Err(_) => Err(Error::NoInterface(interface.into())),
    }
}

pub(super) fn bare(ebpf: &mut Ebpf) -> Result<&mut Xdp, Error> {
    let program = program(ebpf, BARE)?;
    if program.fd().is_err() {
        verify(program)?;
    }
    Ok(program)
}

pub(super) fn verify(program: &mut Xdp) -> Result<(), Error> {
    unsignalled(|| program.load())
}

/// Loads a program with signals blocked.
pub(super) fn unsignalled(load: impl FnOnce() -> Result<(), ProgramError>) -> Result<(), Error> {
    // A signal makes the verifier give up (EAGAIN). The loader would then try again with a log, which takes
    // seconds.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap_or_else(|_| SigSet::empty());
    let loaded = load();
    // The mask is this thread's earlier one, so the kernel accepts it.
    let _ = before.thread_set_mask();
    loaded.map_err(|error| match error {
        ProgramError::LoadError { ref io_error, ref verifier_log } => match io_error.raw_os_error() {
            Some(number) if number == nix::Error::EPERM as i32 => Error::Privileges,
            _ => Error::Refused(format!("{io_error}\n{verifier_log}")),
        },
        error => Error::Program(error),
    })
}
