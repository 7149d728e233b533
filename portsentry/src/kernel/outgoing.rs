//! Whether the program for outgoing packets is attached to an interface, and after which other programs.

use std::path::Path;

use aya::programs::{
    SchedClassifier, TcAttachType,
    links::{FdLink, PinnedLink},
};
use portsentry_common::settings::Answers;
use serde::{Deserialize, Serialize};

use super::{
    Error, Observer,
    clsact::has_filter,
    error::os_error,
    settings_pin,
    traffic::{Hook, has_links, name},
};

/// The attachment of the program for outgoing packets to an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "attached")]
pub enum Outgoing {
    /// By a link (TCX), since Linux 6.6.
    Tcx {
        /// The names of other programs that see packets before it, and can keep them from it. `None` if this process may
        /// not list them.
        after: Option<Vec<String>>,
    },
    /// As a filter of `clsact`.
    Clsact,
    /// Not any more: another program has detached it.
    Detached,
    /// Not at all, or an administrator has removed its pin.
    No,
}

impl Observer {
    /// Returns the attached program's `ANSWERS`.
    pub fn answers(&self) -> Result<Answers, Error> {
        let number = settings_pin::read(self.directory())?.answers;
        let all = [Answers::Observe, Answers::Enforce];
        Ok(all.into_iter().find(|answers| *answers as u8 == number).unwrap_or(Answers::Off))
    }

    /// Returns the attachment of the program for outgoing packets to the interface with this index.
    pub fn outgoing(&self, index: u32) -> Result<Outgoing, Error> {
        outgoing(self.directory(), index)
    }
}

fn outgoing(directory: &Path, index: u32) -> Result<Outgoing, Error> {
    if !has_links() {
        return Ok(if has_filter(index)? { Outgoing::Clsact } else { Outgoing::Detached });
    }
    let path = Hook::Egress.pin(directory, index);
    if !path.exists() {
        return Ok(Outgoing::No);
    }
    let failed = |error: &dyn ToString| Error::Pins { path: path.clone(), problem: error.to_string() };
    let link = FdLink::from(PinnedLink::from_pin(&path).map_err(|error| failed(&error))?);
    let id = link.info().map_err(|error| failed(&error))?.program_id();
    let programs = match SchedClassifier::query_tcx(&name(index)?, TcAttachType::Egress) {
        Ok((_, programs)) => programs,
        // It takes CAP_SYS_ADMIN.
        Err(error) if os_error(&error) == Some(nix::libc::EPERM) => return Ok(Outgoing::Tcx { after: None }),
        Err(error) => return Err(error.into()),
    };
    let before: Vec<_> = programs.iter().take_while(|program| program.id() != id).collect();
    if before.len() == programs.len() {
        return Ok(Outgoing::Detached);
    }
    let described = |program: &&aya::programs::ProgramInfo| {
        format!("{} (ID {})", program.name_as_str().unwrap_or_default(), program.id())
    };
    Ok(Outgoing::Tcx { after: Some(before.iter().map(described).collect()) })
}
