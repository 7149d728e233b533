//! Settings of the ports, interfaces and networks to watch.

use std::time::Duration;

use super::key::{Key, Origin, put};
use crate::config::{choice::choice, interfaces, network, ports, value};

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "TCP_PORTS",
        origin: Origin::Both,
        form: "ports and ranges, as 1,11,512-515",
        default: "",
        meaning: "TCP ports to watch (traps), in every mode except the advanced ones.",
        set: |c, v, r| c.ports_tcp = ports::list(v, r),
    },
    Key {
        name: "UDP_PORTS",
        origin: Origin::Both,
        form: "ports and ranges, as 7,9,161-162",
        default: "",
        meaning: "UDP ports to watch (traps), in every mode except the advanced ones.",
        set: |c, v, r| c.ports_udp = ports::list(v, r),
    },
    Key {
        name: "ADVANCED_PORTS_TCP",
        origin: Origin::Classic,
        form: "0 to 65536",
        default: "1024",
        meaning: "Advanced mode watches every TCP port below this number.",
        set: |c, v, r| put(&mut c.advanced_ports_tcp, value::number(v, 0..=65536, r)),
    },
    Key {
        name: "ADVANCED_PORTS_UDP",
        origin: Origin::Classic,
        form: "0 to 65536",
        default: "1024",
        meaning: "Advanced mode watches every UDP port below this number.",
        set: |c, v, r| put(&mut c.advanced_ports_udp, value::number(v, 0..=65536, r)),
    },
    Key {
        name: "ADVANCED_EXCLUDE_TCP",
        origin: Origin::Classic,
        form: "ports and ranges",
        default: "",
        meaning: "TCP ports that advanced mode does not watch. Ports in use are never watched.",
        set: |c, v, r| c.advanced_exclude_tcp = ports::list(v, r),
    },
    Key {
        name: "ADVANCED_EXCLUDE_UDP",
        origin: Origin::Classic,
        form: "ports and ranges",
        default: "",
        meaning: "UDP ports that advanced mode does not watch. Ports in use are never watched.",
        set: |c, v, r| c.advanced_exclude_udp = ports::list(v, r),
    },
    Key {
        name: "INTERFACES",
        origin: Origin::Ours,
        form: "ALL, ALL_NLO, or names, as eth0,eth1",
        default: "ALL_NLO",
        meaning: "Network interfaces to watch, by name or alternative name. ALL_NLO is all but loopback. \
            ALL and ALL_NLO judge each frame from outside once: on bonds but not their members, on bridge \
            ports but not the bridge, on cards but not the VLANs above them; they skip the host's ends of \
            containers' veth pairs, tun devices and bridges without ports. A named interface is \
            always watched, even if it appears later. -i on the command line overrides this setting.",
        set: |c, v, r| c.interfaces = interfaces::list(v, r),
    },
    Key {
        name: "PROTECTED_NETWORKS",
        origin: Origin::Ours,
        form: "networks, as 192.0.2.0/24,2001:db8::/48",
        default: "",
        meaning: "Networks behind this gateway that are watched like the host itself. PortSentry can't \
            see which ports are in use there, so every watched port counts.",
        set: |c, v, r| c.protected_networks = network::list(v, r),
    },
    Key {
        name: "ACK_PROBES",
        origin: Origin::Ours,
        form: "off, log or count",
        default: "log",
        meaning: "Treatment of ACK and FIN+ACK (Maimon) packets that belong to no connection: ignore \
            them, log them without ever blocking, or count them like any probe.",
        set: |c, v, r| put(&mut c.ack_probes, choice(v, r)),
    },
    Key {
        name: "SERVED_GRACE",
        origin: Origin::Ours,
        form: "seconds, 0 to 86400",
        default: "60",
        meaning: "Seconds for which a port is no trap after its last service has gone: packets still \
            reach the network stack, which refuses them. A service can restart without its clients being \
            taken for scanners. After the machine's boot no port is watched for as long. 0 makes the port a trap at once.",
        set: |c, v, r| {
            put(
                &mut c.served_grace,
                value::number(v, 0..=86_400_u32, r).map(|it| Duration::from_secs(it.into())),
            );
        },
    },
];
