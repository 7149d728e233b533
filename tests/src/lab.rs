//! A lab of network namespaces: a host, a scanner and a bystander on one network, running real programs.

#![allow(clippy::must_use_candidate, reason = "a lab's functions are called for their effects")]

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

mod bird;
mod cards;
pub mod companion;
pub mod crowdsec;
mod daemon;
mod device_bound;
pub mod fleet;
mod held;
mod installed;
mod log;
mod machine;
mod maps;
mod names;
mod namespace;
mod notifier;
mod probes;
mod program;
mod receiver;
mod recorder;
mod records;
mod router;
mod said;
mod scanners;
mod service;
mod setup;
mod share;
mod shell;
mod sshd;
mod start;
mod stream;
mod sweep;
mod talk;
mod uninterrupted;
mod wait;
mod wire;

pub use self::{
    bird::Bird,
    companion::Companion,
    daemon::{Daemon, Ended},
    device_bound::DeviceBound,
    fleet::Fleet,
    installed::Syslog,
    log::Log,
    machine::Machine,
    maps::{counter, dump, remove_pins},
    names::Names,
    namespace::{Namespace, by_way_of},
    notifier::{NOTIFIER, Notifier},
    probes::Probe,
    receiver::{Received, Receiver, Reply},
    records::{classic_record, mentions},
    said::{Listener, Said},
    service::{Reach, Service},
    setup::{Portsentry, binary},
    share::Share,
    shell::Shell,
    sshd::{Session, Sshd},
    stream::Stream,
    talk::Talk,
    uninterrupted::uninterrupted,
    wait::wait_within,
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
    /// Returns the family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Returns the address of member `number` of the network: in `192.0.2.0/24` (RFC 5737) or `2001:db8::/64` (RFC
    /// 3849).
    pub fn member(self, number: u16) -> IpAddr {
        match self {
            Self::V4 => {
                let number = u8::try_from(number).expect("at most 255 members in an IPv4 /24");
                Ipv4Addr::new(192, 0, 2, number).into()
            }
            Self::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number).into(),
        }
    }

    /// The scanned host's address.
    pub fn host(self) -> IpAddr {
        self.member(1)
    }

    /// The address of a client that only uses the host's services.
    pub fn bystander(self) -> IpAddr {
        self.member(3)
    }

    /// Length of the network's prefix, in bits.
    pub fn prefix(self) -> u8 {
        match self {
            Self::V4 => 24,
            Self::V6 => 64,
        }
    }
}

/// Name of each member's interface.
pub const INTERFACE: &str = "eth0";
/// Number of the scanner's first address. All numbers have the same number of digits, so that no address is a
/// prefix of another.
const FIRST_SOURCE: u16 = 100;
const LAST_SOURCE: u16 = 254;
/// No member has this number.
const NOBODY: u16 = 99;

/// Four network namespaces: a switch, and the three members connected to it.
#[derive(Debug)]
pub struct Lab {
    /// Runs portsentry and services.
    pub host: Namespace,
    /// Scans from any number of addresses.
    pub scanner: Namespace,
    /// Uses services.
    pub bystander: Namespace,
    switch: Namespace,
    files: TempDir,
    number: u32,
    next_source: AtomicU16,
}

impl Lab {
    /// Creates the lab.
    pub fn new() -> Self {
        static SWEPT: Once = Once::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(
            geteuid().is_root(),
            "this test creates network namespaces and loads the kernel program: run it as root"
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
        // nmap silently skips a host whose Ethernet address it doesn't learn soon.
        lab.introduce_host_to_scanner();
        lab
    }

    /// Whether an XDP program is attached to the host's interface.
    pub fn is_attached(&self) -> bool {
        self.host.run("ip", &["link", "show", INTERFACE]).contains("xdp")
    }

    /// Plugs the host in again, after its interface is gone.
    pub fn plug_in_host_again(&self) {
        self.plug_in(&self.host, 1);
    }

    fn plug_in(&self, member: &Namespace, number: u16) {
        if cards::are_there() {
            cards::insert(member, &hardware_address(number), INTERFACE);
        } else {
            self.switch.ip(&format!(
                "link add port{number} type veth peer name {INTERFACE} address {} netns {}\n\
                 link set port{number} master br0 up",
                hardware_address(number),
                member.name()
            ));
        }
        member.ip(&format!(
            "link set lo up\n{}{}link set {INTERFACE} up",
            adding(Family::V4.member(number), Family::V4, INTERFACE),
            adding(Family::V6.member(number), Family::V6, INTERFACE),
        ));
        if cards::are_there() {
            cards::wait_for_link(member, INTERFACE);
        }
    }

    /// Routes the IPv4 network `network` to a neighbour that doesn't exist. A route to the link itself would fill
    /// the kernel's neighbour table, which all namespaces share: other tests could then resolve no address.
    pub fn route_to_nowhere(&self, network: &str) {
        let gateway = Family::V4.member(NOBODY);
        let nobody = hardware_address(NOBODY);
        self.host.ip(&format!(
            "neighbour replace {gateway} lladdr {nobody} dev {INTERFACE} nud permanent\n\
             route add {network} via {gateway} dev {INTERFACE}\n"
        ));
    }

    /// Connects the host and `member` by a second cable, with interfaces named `eth1`. Returns their addresses on
    /// it.
    pub fn plug_in_second(&self, member: &Namespace) -> (IpAddr, IpAddr) {
        let [host, other] = [1, 2].map(|number| Ipv4Addr::new(203, 0, 113, number));
        self.host.ip(&format!("link add eth1 type veth peer name eth1 netns {}", member.name()));
        for (namespace, address) in [(&self.host, host), (member, other)] {
            namespace.ip(&format!("address add {address}/24 dev eth1\nlink set eth1 up"));
        }
        (host.into(), other.into())
    }

    /// Gives the scanner the host's Ethernet address, so that it needs no address resolution.
    fn introduce_host_to_scanner(&self) {
        for family in FAMILIES {
            self.scanner.ip(&format!(
                "neighbour replace {} lladdr {} dev {INTERFACE} nud permanent",
                family.host(),
                hardware_address(1)
            ));
        }
    }

    /// Keeps VLAN tags in the frames. Otherwise veth devices carry them in the metadata.
    pub fn keep_tags_in_frames(&self) {
        for port in 1..=3 {
            for offload in ["tx-vlan-hw-insert", "tx-vlan-stag-hw-insert"] {
                self.switch.run("ethtool", &["-K", &format!("port{port}"), offload, "off"]);
            }
        }
    }

    /// Makes the switch poll the scanner's port, so that the scanner can send frames without socket buffers.
    pub fn poll_scanner(&self) {
        self.switch.run("ethtool", &["-K", "port2", "gro", "on"]);
    }

    /// Gives the scanner a new address, which no packet has used yet, and returns it.
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

    /// The directory in which a daemon of this lab pins its maps by default.
    pub fn pins(&self) -> PathBuf {
        format!("{}{}-lab-{}", sweep::PINS, process::id(), self.number).into()
    }

    /// The directory in which a second daemon can pin its maps.
    pub fn other_pins(&self) -> PathBuf {
        format!("{}-other", self.pins().display()).into()
    }

    /// Returns a daemon for this lab's host, not yet started, with `flags` of 1.2 or 2.x.
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

/// Returns the Ethernet address of member `number`, a locally administered one.
pub fn hardware_address(number: u16) -> String {
    format!("02:00:00:00:00:{number:02x}")
}

/// Returns the line for `ip` that gives `interface` an address. Skips duplicate address detection, because each
/// address of a lab is unique.
fn adding(address: IpAddr, family: Family, interface: &str) -> String {
    let at_once = if family == Family::V6 { " nodad" } else { "" };
    format!("address add {address}/{} dev {interface}{at_once}\n", family.prefix())
}
