//! A laboratory of network namespaces: a host that is scanned, a scanner and a bystander on one network, with real
//! programs in them.

#![allow(clippy::must_use_candidate, reason = "a laboratory's functions are called for what they do")]

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    process,
    sync::{
        Once,
        atomic::{AtomicU16, AtomicU32, Ordering},
    },
};

use nix::unistd::geteuid;
use tempfile::TempDir;

mod daemon;
mod device_bound;
mod installed;
mod log;
mod machine;
mod maps;
mod names;
mod namespace;
mod probes;
mod recorder;
mod records;
mod router;
mod said;
mod scanners;
mod service;
mod setup;
mod stream;
mod sweep;
mod uninterrupted;
mod wire;

pub use self::{
    daemon::{Daemon, Ended},
    device_bound::DeviceBound,
    installed::Syslog,
    log::Log,
    machine::Machine,
    maps::{counter, dump, remove_pins},
    names::Names,
    namespace::{Namespace, by_way_of},
    probes::Probe,
    records::{classic_record, mentions},
    said::Said,
    service::{Reach, Service},
    setup::{Portsentry, binary},
    stream::Stream,
    uninterrupted::uninterrupted,
    wire::{Segment, Wire, link_address, segment, stranger, syn},
};

/// The two address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

/// Both of them.
pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    /// The address of the network's member of that number: in `192.0.2.0/24` (RFC 5737) or
    /// `2001:db8::/64` (RFC 3849).
    pub fn member(self, number: u16) -> IpAddr {
        match self {
            Self::V4 => {
                let number = u8::try_from(number).expect("at most 255 members in an IPv4 /24");
                Ipv4Addr::new(192, 0, 2, number).into()
            }
            Self::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number).into(),
        }
    }

    /// The host that is scanned.
    pub fn host(self) -> IpAddr {
        self.member(1)
    }

    /// Somebody who only uses the host's services.
    pub fn bystander(self) -> IpAddr {
        self.member(3)
    }

    /// Bits of the network's prefix.
    pub fn prefix(self) -> u8 {
        match self {
            Self::V4 => 24,
            Self::V6 => 64,
        }
    }
}

/// The interface by which each is connected.
pub const INTERFACE: &str = "eth0";
/// The scanner's members are numbered from here, all with the same number of digits: none is another's beginning.
const FIRST_SOURCE: u16 = 100;
const LAST_SOURCE: u16 = 254;
/// No member has this number.
const NOBODY: u16 = 99;

/// Four network namespaces: a switch, and what is plugged into it.
#[derive(Debug)]
pub struct Lab {
    /// Runs portsentry and services.
    pub host: Namespace,
    /// Scans, from as many addresses as it likes.
    pub scanner: Namespace,
    /// Uses services.
    pub bystander: Namespace,
    switch: Namespace,
    files: TempDir,
    number: u32,
    next_source: AtomicU16,
}

impl Lab {
    /// Builds it.
    pub fn new() -> Self {
        static SWEPT: Once = Once::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(
            geteuid().is_root(),
            "this test makes network namespaces and loads the kernel program, which takes root: run it as root"
        );
        SWEPT.call_once(sweep::sweep);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace =
            |role: &str| Namespace::new(&format!("{}{}-{number}-{role}", sweep::PREFIX, process::id()));
        let lab = Self {
            host: namespace("host"),
            scanner: namespace("scanner"),
            bystander: namespace("bystander"),
            switch: namespace("switch"),
            files: TempDir::with_prefix("portsentry-lab-").expect("a directory for files"),
            number,
            next_source: AtomicU16::new(FIRST_SOURCE),
        };
        lab.switch.ip("link add br0 type bridge mcast_snooping 0\nlink set br0 up");
        for (number, member) in (1..).zip([&lab.host, &lab.scanner, &lab.bystander]) {
            lab.plug_in(member, number);
        }
        // nmap skips a host whose Ethernet address it doesn't learn soon, without a word.
        lab.introduce_host_to_scanner();
        lab
    }

    /// Whether a program stands before the host's interface.
    pub fn is_attached(&self) -> bool {
        self.host.run("ip", &["link", "show", INTERFACE]).contains("xdp")
    }

    fn plug_in(&self, member: &Namespace, number: u16) {
        self.switch.ip(&format!(
            "link add port{number} type veth peer name {INTERFACE} address {} netns {}\n\
             link set port{number} master br0 up",
            hardware_address(number),
            member.name()
        ));
        member.ip(&format!(
            "link set lo up\n{}{}link set {INTERFACE} up",
            adding(Family::V4.member(number), Family::V4, INTERFACE),
            adding(Family::V6.member(number), Family::V6, INTERFACE),
        ));
    }

    /// Has the host send to `network` (IPv4) by way of a neighbour that isn't there. A route to the link itself would fill the
    /// kernel's table of neighbours, which all namespaces share: others could then learn no address.
    pub fn route_to_nowhere(&self, network: &str) {
        let gateway = Family::V4.member(NOBODY);
        let nobody = hardware_address(NOBODY);
        self.host.ip(&format!(
            "neighbour replace {gateway} lladdr {nobody} dev {INTERFACE} nud permanent\n\
             route add {network} via {gateway} dev {INTERFACE}\n"
        ));
    }

    /// Joins the host and `member` by a second cable, in interfaces named `eth1`; their addresses on it.
    pub fn plug_in_second(&self, member: &Namespace) -> (IpAddr, IpAddr) {
        let [host, other] = [1, 2].map(|number| Ipv4Addr::new(203, 0, 113, number));
        self.host.ip(&format!("link add eth1 type veth peer name eth1 netns {}", member.name()));
        for (namespace, address) in [(&self.host, host), (member, other)] {
            namespace.ip(&format!("address add {address}/24 dev eth1\nlink set eth1 up"));
        }
        (host.into(), other.into())
    }

    /// Tells the scanner the host's Ethernet address, so that it needs no answer to find the host.
    fn introduce_host_to_scanner(&self) {
        for family in FAMILIES {
            self.scanner.ip(&format!(
                "neighbour replace {} lladdr {} dev {INTERFACE} nud permanent",
                family.host(),
                hardware_address(1)
            ));
        }
    }

    /// Has VLAN tags stand in the frames themselves, not beside them as between drivers that take them off.
    pub fn keep_tags_in_frames(&self) {
        for port in 1..=3 {
            for offload in ["tx-vlan-hw-insert", "tx-vlan-stag-hw-insert"] {
                self.switch.run("ethtool", &["-K", &format!("port{port}"), offload, "off"]);
            }
        }
    }

    /// Has the switch poll the scanner's port, so that the scanner can send frames without socket buffers.
    pub fn poll_scanner(&self) {
        self.switch.run("ethtool", &["-K", "port2", "gro", "on"]);
    }

    /// A new address for the scanner, which nobody has seen anything from.
    pub fn source(&self, family: Family) -> IpAddr {
        let number = self.next_source.fetch_add(1, Ordering::Relaxed);
        assert!(number <= LAST_SOURCE, "a lab has {} sources", LAST_SOURCE - FIRST_SOURCE + 1);
        let source = family.member(number);
        self.scanner.ip(&adding(source, family, INTERFACE));
        source
    }

    /// A directory for files, removed with the lab.
    pub fn files(&self) -> &Path {
        self.files.path()
    }

    /// Where a daemon in this lab pins its maps, unless told otherwise.
    pub fn pins(&self) -> PathBuf {
        format!("{}{}-lab-{}", sweep::PINS, process::id(), self.number).into()
    }

    /// Where a second daemon could pin its maps.
    pub fn other_pins(&self) -> PathBuf {
        format!("{}-other", self.pins().display()).into()
    }

    /// A daemon on this lab's host, yet to be started, with 1.2's `flags` or 2.x's.
    pub fn portsentry(&self, flags: &str) -> Portsentry<'_> {
        Portsentry::new(self, flags)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        remove_pins(&self.pins());
        remove_pins(&self.other_pins());
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

/// The Ethernet address of the network's member of that number: a locally administered one.
pub fn hardware_address(number: u16) -> String {
    format!("02:00:00:00:00:{number:02x}")
}

/// The line for `ip` that gives `interface` an address. Nobody else on this network can have it, which IPv6 need
/// not find out first.
fn adding(address: IpAddr, family: Family, interface: &str) -> String {
    let at_once = if family == Family::V6 { " nodad" } else { "" };
    format!("address add {address}/{} dev {interface}{at_once}\n", family.prefix())
}
