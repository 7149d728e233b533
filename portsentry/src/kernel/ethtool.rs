//! Queries a network card's driver (the `SIOCETHTOOL` of ethtool(8)).
//!
//! Sysfs isn't used, because it shows the interfaces of the network namespace in which it was mounted.

use std::{
    ffi::c_void,
    os::fd::{AsRawFd, OwnedFd},
};

use bytemuck::{Pod, Zeroable};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// `struct ethtool_drvinfo` (`include/uapi/linux/ethtool.h` in the kernel).
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Driver {
    command: u32,
    name: [u8; 32],
    rest: [u8; 160],
}

/// `struct ethtool_value`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ethtool_channels`: the maximum numbers, followed by the current ones.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Channels {
    command: u32,
    most: [u32; 4],
    set: [u32; 4],
}

const GET_DRIVER: u32 = 0x03;
const GET_FLAGS: u32 = 0x25;
const GET_CHANNELS: u32 = 0x3c;

/// `struct ifreq`, whose union is a pointer here.
#[repr(C)]
struct Request {
    name: [u8; 16],
    data: *mut c_void,
    rest: [u8; 16],
}

nix::ioctl_readwrite_bad!(ethtool, 0x8946, Request);

/// Receive queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queues {
    /// Current number.
    pub set: u32,
    /// Maximum number.
    pub most: u32,
}

/// Offloads that matter to XDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offloads {
    /// Whether the card merges packets of a connection into large ones (LRO).
    pub joins: bool,
    /// Whether the card removes the VLAN tag from a frame.
    pub strips_tags: bool,
}

/// Whether a driver stops running its native program once the link was down, or the rings were resized, although the
/// program stays attached: vmxnet3 of Linux 6.12 does (`tests/tests/drivers.rs`).
#[must_use]
pub fn forgets_programs(driver: &str) -> bool {
    driver == "vmxnet3"
}

/// A socket for queries to drivers.
#[derive(Debug)]
pub struct Ethtool(OwnedFd);

impl Ethtool {
    /// Opens the socket, for the interfaces of this thread's network namespace.
    pub fn open() -> nix::Result<Self> {
        socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map(Self)
    }

    /// Returns the name of an interface's driver.
    #[must_use]
    pub fn driver(&self, interface: &[u8]) -> Option<String> {
        let driver = self.ask(interface, Driver { command: GET_DRIVER, ..Driver::zeroed() })?;
        let name = driver.name.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(name).into_owned()).filter(|name| !name.is_empty())
    }

    /// Returns an interface's offloads.
    #[must_use]
    pub fn offloads(&self, interface: &[u8]) -> Option<Offloads> {
        // ETH_FLAG_LRO, ETH_FLAG_RXVLAN
        const JOINS: u32 = 1 << 15;
        const STRIPS: u32 = 1 << 8;
        let flags = self.ask(interface, Value { command: GET_FLAGS, data: 0 })?.data;
        Some(Offloads { joins: flags & JOINS != 0, strips_tags: flags & STRIPS != 0 })
    }

    /// Returns an interface's receive queues, including combined ones.
    #[must_use]
    pub fn queues(&self, interface: &[u8]) -> Option<Queues> {
        let channels = self.ask(interface, Channels { command: GET_CHANNELS, ..Channels::zeroed() })?;
        let receiving = |[receive, _send, _other, both]: [u32; 4]| receive.saturating_add(both);
        Some(Queues { set: receiving(channels.set), most: receiving(channels.most) })
    }

    fn ask<T: Pod>(&self, interface: &[u8], mut question: T) -> Option<T> {
        let mut name = [0; 16];
        // The last byte stays zero.
        name.get_mut(..interface.len()).filter(|part| part.len() < 16)?.copy_from_slice(interface);
        let data = (&raw mut question).cast();
        let mut request = Request { name, data, rest: [0; 16] };
        // SAFETY: the request has the kernel's layout, and points to a structure of its command's length, which
        // outlives the call.
        unsafe { ethtool(self.0.as_raw_fd(), &raw mut request) }.ok()?;
        Some(question)
    }
}

const _: () = assert!(size_of::<Driver>() == 196 && size_of::<Channels>() == 36);
