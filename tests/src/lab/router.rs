//! A router in place of the switch, between the host and the others. The host's answers to spoofed addresses reach
//! the owners of those addresses.

use std::net::IpAddr;

use portsentry::{
    kernel::{Load, Pins},
    policy::placement::Placement,
};
use portsentry_common::settings::Settings;

use super::{FAMILIES, Family, INTERFACE, Lab, hardware_address};

/// Member number of the router, above those of the scanner's sources.
const ROUTER: u16 = 255 - 2;

impl Family {
    /// The router's address, which is the host's gateway.
    pub fn router(self) -> IpAddr {
        self.member(ROUTER)
    }
}

impl Lab {
    /// Creates a lab whose host is behind a router. To the others the router appears as the host.
    pub fn routed() -> Self {
        let lab = Self::new();
        let port = "port1";
        lab.switch.run("sysctl", &["-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
        // Spoofed sources arrive on other interfaces than their routes.
        let any = ["net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.br0.rp_filter=0"];
        lab.switch.run("sysctl", &[&["-qw"][..], &any].concat());
        // The scanners' entry for the host's Ethernet address leads to the router.
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
            // The router answers neighbour solicitations for its address on the host's side, too.
            if family == Family::V6 {
                lab.switch.ip(&format!("address add {router}/{single} dev {port} nodad\n"));
            }
            for namespace in [&lab.scanner, &lab.bystander] {
                namespace.ip(&format!("route add {host}/{single} via {router} dev {INTERFACE}\n"));
            }
        }
        lab
    }

    /// Attaches a program that passes everything to the router's end of the host's cable. A native program's
    /// answers on a veth device are lost unless the peer runs a native program, too (the kernel's
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
            max_served: 1,
            scan_sets: 1,
            ring_size,
            debug: false,
        };
        self.switch.enter(|| {
            let (mut kernel, _ring) = load.load(pins).unwrap_or_else(|error| panic!("{error}"));
            let attached = kernel.attach("port1", Placement::Native);
            attached.unwrap_or_else(|error| panic!("{error}"));
        });
    }

    /// Turns checksum offloading on or off. With it on, packets between namespaces carry incomplete checksums.
    pub fn offload_sums(&self, is_on: bool) {
        let word = if is_on { "on" } else { "off" };
        for namespace in [&self.host, &self.scanner] {
            namespace.run("ethtool", &["-K", INTERFACE, "rx", word, "tx", word]);
        }
    }

    /// Makes the router forward `address` to the scanner, whose system doesn't own it and so resets no connection
    /// in its name.
    pub fn phantom(&self, address: IpAddr) -> IpAddr {
        let scanner = hardware_address(2);
        self.switch.ip(&format!("neighbour replace {address} lladdr {scanner} dev br0 nud permanent"));
        address
    }
}
