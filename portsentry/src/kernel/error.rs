//! Errors at the kernel boundary, and their remedies.

use std::{io, path::PathBuf};

/// An error at the kernel boundary.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process may not load BPF programs.
    #[error(
        "loading the kernel program needs root, or the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
    )]
    Privileges,
    /// The kernel has no type information.
    #[error(
        "this kernel has no BTF ({path} is missing): boot one built with CONFIG_DEBUG_INFO_BTF=y, as every \
         current distribution's is",
        path = .0.display()
    )]
    NoBtf(PathBuf),
    /// The directory for pins can't be used.
    #[error("{path}: {problem}", path = .path.display())]
    Pins {
        /// The directory or pin.
        path: PathBuf,
        /// The problem and the remedy.
        problem: String,
    },
    /// This user may not read the pins.
    #[error("{path}: only root can read the pinned maps here", path = .0.display())]
    Denied(PathBuf),
    /// Another daemon uses the same pins.
    #[error(
        "another portsentry uses the maps in {path}: stop it first, or give this one its own PIN_PATH",
        path = .0.display()
    )]
    Running(PathBuf),
    /// No such interface.
    #[error("interface {0} does not exist: `ip link` lists the interfaces")]
    NoInterface(String),
    /// Another program holds the interface's XDP hook.
    #[error(
        "interface {0} already has another XDP program: `ip link show {0}` names it, `ip link set {0} xdp \
            off` \
         (or xdpgeneric, xdpdrv) removes it"
    )]
    Occupied(String),
    /// The interface's frames start with a header that the program doesn't parse.
    #[error(
        "interface {interface}: its frames (type {number} of Linux's if_arp.h) begin neither with an \
            Ethernet header nor \
         with an IP header, so it can't be watched: watch the interface on which its packets arrive"
    )]
    Framing {
        /// Its name.
        interface: String,
        /// The device's type.
        number: u16,
    },
    /// The interface refuses the requested mode.
    #[error(
        "interface {interface} refuses {mode} XDP ({source}); XDP_MODE=\"auto\" selects a supported mode"
    )]
    Mode {
        /// Its name.
        interface: String,
        /// `native` or `generic`.
        mode: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The verifier rejected the program.
    #[error("the kernel's verifier refuses the program; please report this with the kernel's version:\n{0}")]
    Refused(String),
    /// The object has no map or program with that name.
    #[error("the kernel program has no {0}: the object file and the daemon are of different versions")]
    Missing(String),
    /// A map operation failed.
    #[error("map {map}: {source}")]
    Map {
        /// The map's name.
        map: &'static str,
        /// The cause.
        source: aya::maps::MapError,
    },
    /// A map is full.
    #[error("map {map} is full with {capacity} entries; {remedy}")]
    Full {
        /// The map's name.
        map: &'static str,
        /// The map's capacity.
        capacity: u32,
        /// The remedy.
        remedy: &'static str,
    },
    /// There are more networks than `MAX_ADDRESSES` allows.
    #[error(
        "map {map}: {count} addresses and networks exceed MAX_ADDRESSES ({most}); raise it, or {remedy}",
        remedy = if map.starts_with("LOCAL") { "name fewer PROTECTED_NETWORKS" } else { "ignore fewer \
            networks" }
    )]
    TooMany {
        /// The map's name.
        map: &'static str,
        /// Number of entries requested.
        count: usize,
        /// Number of entries allowed.
        most: u32,
    },
    /// Another error of loading.
    #[error("loading the kernel program: {0}")]
    Load(#[from] aya::EbpfError),
    /// Another error of a program operation.
    #[error("the kernel program: {0}")]
    Program(#[from] aya::programs::ProgramError),
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// The operation.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    /// Whether the process lacks the right to read the pins or the maps.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        let denied = [Some(nix::libc::EPERM), Some(nix::libc::EACCES)];
        matches!(self, Self::Denied(_) | Self::Privileges) || denied.contains(&os_error(self))
    }

    /// Adds the map's name to an error.
    pub(super) fn map(map: &'static str) -> impl FnOnce(aya::maps::MapError) -> Self {
        move |source| Self::Map { map, source }
    }

    /// Returns the error for a pin that another version made.
    pub(super) fn of_another_version(path: PathBuf) -> Self {
        Self::Pins {
            path,
            problem: "is of another version of portsentry; use that version's commands".into(),
        }
    }
}

/// Returns the system's error number behind `error`, if there is one.
pub(super) fn os_error(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error))
}
