//! The hooks that see every bind of a socket. It must not know what they stamp.

use std::io;

use nix::{
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

/// This network namespace's cookie (`SO_NETNS_COOKIE`, Linux 5.14), by which programs that run for all namespaces know it.
pub(super) fn namespace() -> io::Result<u64> {
    /// Of the kernel's `include/uapi/asm-generic/socket.h`.
    const SO_NETNS_COOKIE: libc::c_int = 71;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let (mut cookie, mut length) = (0_u64, libc::socklen_t::try_from(size_of::<u64>()).unwrap_or_default());
    // SAFETY: the option's value has eight bytes, as `length` says.
    let done = unsafe {
        libc::getsockopt(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if done == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

/// The hooks, or why there are none.
#[derive(Debug)]
pub struct Hooks {
    is_trusted: bool,
    why_not: Option<String>,
}

impl Hooks {
    /// None: dumps alone tell which ports are bound.
    #[must_use]
    pub const fn none(why: String) -> Self {
        Self { is_trusted: false, why_not: Some(why) }
    }

    /// Whether they see every bind.
    #[must_use]
    pub const fn are_trusted(&self) -> bool {
        self.is_trusted
    }

    /// Notes that `port` was bound unseen. Returns what is to be logged, once.
    pub(super) fn distrust(&mut self, port: u16) -> Option<String> {
        let said = format!(
            "port {port} was bound without the bind hooks' seeing it: from now on sockets are listed each second, and every \
             port is looked up"
        );
        let was_trusted = std::mem::take(&mut self.is_trusted);
        was_trusted.then(|| self.why_not.insert(said).clone())
    }
}
