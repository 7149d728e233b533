//! The bind hooks: programs on the root of cgroup v2 that see every bind of a socket on the machine.

use std::{
    fmt,
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    programs::{
        CgroupAttachMode, CgroupSockAddr, ProgramError,
        cgroup_sock_addr::CgroupSockAddrLink,
        links::{FdLink, PinnedLink},
    },
};
use nix::{
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use super::{Error, clock::monotonic_ns};

const PROGRAMS: [&str; 2] = ["portsentry_bind4", "portsentry_bind6"];
/// Inode of the root of a cgroup hierarchy (`kernel/cgroup/cgroup.c` in the kernel). The root of a cgroup namespace
/// has another inode.
const ROOT: u64 = 1;

/// The hooks, or the reason why there are none. They work for as long as this value lives. If the daemon is killed,
/// they work until the next daemon starts.
pub struct Hooks {
    /// Pinned, so that a killed daemon's hooks keep working until the next daemon replaces them.
    links: Vec<PinnedLink>,
    /// This network namespace, for counting the programs that steer packets to its sockets.
    namespace: Option<File>,
    why_not: Option<String>,
}

impl Hooks {
    /// Loads and attaches the hooks. Pins their links in `directory`, in place of those of an earlier daemon.
    pub(super) fn attach(ebpf: &mut Ebpf, directory: &Path) -> Self {
        let namespace = File::open("/proc/thread-self/ns/net").ok();
        let earlier: Vec<PathBuf> =
            fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        let attached = root().and_then(|root| {
            let pinned = |name| attach(ebpf, name, &root).and_then(|link| pin(link, name, directory));
            PROGRAMS.into_iter().map(pinned).collect::<Result<Vec<_>, _>>()
        });
        for path in earlier {
            // Another process may have removed it meanwhile.
            let _ = fs::remove_file(path);
        }
        match attached {
            Ok(links) => Self { links, namespace, why_not: None },
            Err(why) => Self { links: Vec::new(), namespace, why_not: Some(why) },
        }
    }

    /// Detaches the hooks.
    fn detach(&mut self) {
        for link in self.links.drain(..) {
            // If another process has removed the pin, there is nothing left to do.
            let _ = link.unpin();
        }
    }

    /// Whether they see every bind.
    #[must_use]
    pub const fn are_trusted(&self) -> bool {
        self.why_not.is_none()
    }

    /// Whether a port without a bound socket receives no packets. Programs other than the `own` ones could steer
    /// packets to sockets on other ports.
    pub(super) fn tell_all(&self, own: u32) -> bool {
        let steering = self.namespace.as_ref().and_then(|namespace| steering(namespace.as_raw_fd()).ok());
        self.are_trusted() && steering.is_some_and(|steering| steering <= own)
    }

    /// Records that `port` was bound without being seen. Returns a message for the log, once.
    pub(super) fn distrust(&mut self, port: u16) -> Option<String> {
        let was_trusted = self.are_trusted();
        self.detach();
        let why = self.why_not.get_or_insert_with(|| format!("they missed a bind to port {port}"));
        was_trusted.then(|| format!("Bind hooks are no longer used: {why}. Sockets are listed every second"))
    }
}

/// An orderly end removes the pins; a killed process leaves them.
impl Drop for Hooks {
    fn drop(&mut self) {
        self.detach();
    }
}

/// Describes the sources of bound ports, for the log.
impl fmt::Display for Hooks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why_not {
            None => formatter
                .write_str("Services are found by bind hooks, and by listing sockets every 2 seconds"),
            Some(why) => {
                write!(
                    formatter,
                    "Services are found by listing sockets every second, without bind hooks: {why}"
                )
            }
        }
    }
}

fn attach(ebpf: &mut Ebpf, name: &'static str, root: &File) -> Result<CgroupSockAddrLink, String> {
    let mut attached = || -> Result<CgroupSockAddrLink, Error> {
        let program = ebpf.program_mut(name).ok_or_else(|| Error::Missing(name.into()))?;
        let program: &mut CgroupSockAddr = program.try_into().map_err(Error::Program)?;
        program.load()?;
        // Links always allow other programs; requesting that is refused.
        let link = program.attach(root, CgroupAttachMode::Single)?;
        Ok(program.take_link(link)?)
    };
    attached().map_err(|error| match &error {
        Error::Program(ProgramError::SyscallError(call))
            if call.io_error.kind() == io::ErrorKind::PermissionDenied =>
        {
            "the kernel refuses them: the root cgroup may already have the maximum of programs".into()
        }
        error => error.to_string(),
    })
}

/// Pins a hook's link under a name that no other session uses.
fn pin(link: CgroupSockAddrLink, name: &str, directory: &Path) -> Result<PinnedLink, String> {
    let path = directory.join(format!("{name}_{}", monotonic_ns()));
    let failed = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
    let link = FdLink::try_from(link).map_err(|error| failed(&error))?;
    link.pin(&path).map_err(|error| failed(&error))
}

/// Returns the root of cgroup v2, wherever it is mounted.
fn root() -> Result<File, String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|error| error.to_string())?;
    let mut why = "cgroup v2 is not mounted";
    for place in cgroups(&mounts) {
        let Ok(root) = File::open(Path::new(place)) else { continue };
        if root.metadata().is_ok_and(|metadata| metadata.ino() == ROOT) {
            return Ok(root);
        }
        why = "this process is in a cgroup namespace of its own";
    }
    Err(why.into())
}

/// Returns the mount points of cgroup v2, from the text of `/proc/self/mountinfo` (proc(5)).
fn cgroups(mounts: &str) -> impl Iterator<Item = &str> {
    mounts.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| mount.split(' ').nth(4)).flatten()
    })
}

/// Returns this network namespace's cookie (`SO_NETNS_COOKIE`, Linux 5.14). Programs that run for all namespaces
/// recognise the namespace by it.
pub(super) fn namespace() -> io::Result<u64> {
    /// Defined in `include/uapi/asm-generic/socket.h` in the kernel.
    const SO_NETNS_COOKIE: libc::c_int = 71;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let (mut cookie, mut length) = (0_u64, libc::socklen_t::try_from(size_of::<u64>()).unwrap_or_default());
    // SAFETY: the option's value has eight bytes, as `length` says.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if done == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

/// Returns the number of `sk_lookup` programs attached to a network namespace.
fn steering(namespace: RawFd) -> io::Result<u32> {
    /// The `query` member of `union bpf_attr`.
    #[repr(C)]
    struct Query {
        target: u32,
        attach_type: u32,
        flags: [u32; 2],
        programs: u64,
        count: u32,
        pad: u32,
    }
    /// `BPF_PROG_QUERY` and `BPF_SK_LOOKUP` (`include/uapi/linux/bpf.h` in the kernel).
    const QUERY: libc::c_long = 16;
    const SK_LOOKUP: u32 = 36;
    let target = u32::try_from(namespace).map_err(io::Error::other)?;
    let mut query = Query { target, attach_type: SK_LOOKUP, flags: [0; 2], programs: 0, count: 0, pad: 0 };
    // SAFETY: the attributes have the given length, and point to no memory.
    let done = unsafe { libc::syscall(libc::SYS_bpf, QUERY, &raw mut query, size_of::<Query>()) };
    if done == 0 { Ok(query.count) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_v2_is_found_where_it_is_mounted() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n\
                      31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      32 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n33 23 0:29 / /tmp rw - tmpfs none rw\n";
        assert_eq!(cgroups(mounts).collect::<Vec<_>>(), ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]);
    }

    #[test]
    fn this_namespace_has_a_cookie_and_can_be_asked_who_steers() {
        assert_ne!(namespace().unwrap(), 0);
        steering(File::open("/proc/thread-self/ns/net").unwrap().as_raw_fd()).unwrap();
    }
}
