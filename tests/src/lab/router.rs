//! A router in the switch's place, between the host and everybody else: what the host sends to a forged address
//! reaches its owner.

use std::net::IpAddr;

use portsentry::kernel::{Load, Mode, Pins};
use portsentry_common::settings::Settings;

use super::{FAMILIES, Family, INTERFACE, Lab, hardware_address};

/// The router's number among the network's members, behind the scanner's sources.
const ROUTER: u16 = 255 - 2;

impl Family {
    /// The router, which is the host's gateway.
    pub fn router(self) -> IpAddr {
        self.member(ROUTER)
    }
}

impl Lab {
    /// A lab whose host is behind a router. The others reach it through the router as if it still were the host.
    pub fn routed() -> Self {
        let lab = Self::new();
        let port = "port1";
        lab.switch.run("sysctl", &["-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
        // Forged sources come from where their owners don't live.
        let any = ["net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.br0.rp_filter=0"];
        lab.switch.run("sysctl", &[&["-qw"][..], &any].concat());
        // Scanners are told the host's Ethernet address, which is the router's on their side.
        lab.switch.ip(&format!(
            "link set {port} nomaster\nlink set {port} addrgenmode none\nlink set br0 address {}\n",
            hardware_address(1)
        ));
        for family in FAMILIES {
            let (host, router, prefix) = (family.host(), family.router(), family.prefix());
            let (single, nodad) = if family == Family::V4 { (32, "") } else { (128, " nodad") };
            lab.switch.ip(&format!(
                "address add {router}/{prefix} dev br0{nodad}\nroute add {host}/{single} dev {port}\n"
            ));
            lab.host.ip(&format!(
                "address del {host}/{prefix} dev {INTERFACE}\n\
                 address add {host}/{single} dev {INTERFACE}{nodad}\n\
                 route add {router}/{single} dev {INTERFACE}\n\
                 route add default via {router} src {host}\n"
            ));
            // The router answers for its address on the host's side, too.
            if family == Family::V6 {
                lab.switch.ip(&format!("address add {router}/{single} dev {port} nodad\n"));
            }
            for namespace in [&lab.scanner, &lab.bystander] {
                namespace.ip(&format!("route add {host}/{single} via {router} dev {INTERFACE}\n"));
            }
        }
        lab
    }

    /// Has the router's end of the host's cable run a program that passes everything, as it watches nothing: what a
    /// native program at a veth sends back is lost unless the other end runs one, too (the kernel's
    /// `drivers/net/veth.c`).
    pub fn pass_at_router(&self) {
        let pins = Pins::open(&self.other_pins()).expect("a directory for pins");
        let settings = Settings::UNSET;
        let (max_blocked, max_networks, max_addresses, max_fenced, max_sources) = (16, 16, 16, 16, 16);
        let ring_size = 4096;
        let load = Load {
            settings,
            max_blocked,
            max_networks,
            max_addresses,
            max_fenced,
            max_sources,
            ring_size,
            debug: false,
        };
        self.switch.enter(|| {
            let (mut kernel, _ring) = load.load(pins).unwrap_or_else(|error| panic!("{error}"));
            let attached = kernel.attach("port1", Some(Mode::Native));
            attached.unwrap_or_else(|error| panic!("{error}"));
        });
    }

    /// Has sums be computed by the interfaces, which between namespaces leave them undone, or by the system that sends.
    pub fn offload_sums(&self, is_on: bool) {
        let word = if is_on { "on" } else { "off" };
        for namespace in [&self.host, &self.scanner] {
            namespace.run("ethtool", &["-K", INTERFACE, "rx", word, "tx", word]);
        }
    }

    /// Has the router take the scanner for `address`, of which the scanner's system knows nothing: it resets no
    /// connection in its name.
    pub fn phantom(&self, address: IpAddr) -> IpAddr {
        let scanner = hardware_address(2);
        self.switch.ip(&format!("neighbour replace {address} lladdr {scanner} dev br0 nud permanent"));
        address
    }
}
