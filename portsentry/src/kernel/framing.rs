//! The first header of an interface's frames, by the device's type.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::{
    net::if_::if_indextoname,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

/// The first header of an interface's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// An Ethernet header.
    Ethernet,
    /// The IP header.
    Bare,
    /// A header that the program doesn't parse; the device's type.
    Other(u16),
}

/// `ARPHRD_*` (`include/uapi/linux/if_arp.h` in the kernel).
const ETHER: u16 = 1;
const PPP: u16 = 512;
const RAW_IP: u16 = 519;
const TUNNEL: u16 = 768;
const TUNNEL6: u16 = 769;
const LOOPBACK: u16 = 772;
const SIT: u16 = 776;
const NONE: u16 = 0xfffe;

/// `struct ifreq`, whose union begins with an address family here.
#[repr(C)]
struct Request {
    name: [u8; 16],
    family: u16,
    rest: [u8; 22],
}

nix::ioctl_readwrite_bad!(hardware_address, 0x8927, Request);

impl Framing {
    /// Returns the first header, given the device's type. Tunnels for which Linux adds another header (GRE) are not
    /// among the bare ones.
    #[must_use]
    pub const fn of_type(number: u16) -> Self {
        match number {
            ETHER | LOOPBACK => Self::Ethernet,
            NONE | PPP | RAW_IP | TUNNEL | TUNNEL6 | SIT => Self::Bare,
            other => Self::Other(other),
        }
    }

    /// Returns the first header, given the index of an interface in this thread's network namespace.
    pub fn of_interface(index: u32) -> nix::Result<Self> {
        let name = if_indextoname(index)?;
        let socket: OwnedFd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        let mut request = Request { name: [0; 16], family: 0, rest: [0; 22] };
        // The last byte stays zero: names are shorter.
        for (to, from) in request.name.iter_mut().zip(name.to_bytes()) {
            *to = *from;
        }
        // SAFETY: the request has the kernel's layout, and outlives the call.
        unsafe { hardware_address(socket.as_raw_fd(), &raw mut request) }?;
        Ok(Self::of_type(request.family))
    }
}

const _: () = assert!(size_of::<Request>() == 40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_frames_begin_like_ethernets() {
        let loopback = nix::net::if_::if_nametoindex("lo").unwrap();
        assert_eq!(Framing::of_interface(loopback), Ok(Framing::Ethernet));
        assert!(Framing::of_interface(i32::MAX as u32).is_err());
    }

    #[test]
    fn types_are_told_apart() {
        for (number, expected) in [
            (1, Framing::Ethernet),
            (772, Framing::Ethernet),
            (512, Framing::Bare),
            (0xfffe, Framing::Bare),
            (778, Framing::Other(778)),
            (32, Framing::Other(32)),
        ] {
            assert_eq!(Framing::of_type(number), expected);
        }
    }
}
