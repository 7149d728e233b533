//! Ports served a moment ago, sockets that no look-up finds, and answers to closed sockets. The table is in
//! [`crate::test_host`].

use portsentry_common::{classify::Kind, settings::AckProbes};

use super::chapter::{Chapter, series, story};
use crate::{
    expect::{blocks, is_served, passes},
    frames::{ACK, FIN, SYN, XMAS, tcp, udp},
    scenario::Scenario,
};

pub(super) fn chapters() -> Vec<Chapter> {
    vec![lately(), every_bind(), answers(), ephemeral()]
}

fn lately() -> Chapter {
    let syn = |at: &str| tcp(SYN).to(at);
    let datagram = |at: &str| udp().to(at);
    Chapter {
        what: "services that stopped a moment ago, or are bound to devices",
        scenario: Scenario::default().with_table(false),
        stories: vec![
            series(
                "a port that was served a moment ago is no trap for any packet",
                [
                    (syn("198.51.100.1:110"), is_served()),
                    (tcp(XMAS).to("198.51.100.2:110"), is_served()),
                    (tcp(FIN).to("198.51.100.2:110"), is_served()),
                    (tcp(ACK).to("203.0.113.1:110"), is_served()),
                    (datagram("198.51.100.1:514"), is_served()),
                    (syn("[2001:db8::2]:143"), is_served()),
                    (syn("198.51.100.2:143"), is_served()),
                ],
            ),
            story(
                "a port that was served over IPv4 is a trap over IPv6",
                syn("[2001:db8::1]:110"),
                blocks(Kind::Syn),
            ),
            story(
                "a port that was served over TCP is a trap over UDP",
                datagram("198.51.100.1:110"),
                blocks(Kind::Udp),
            ),
            series(
                "an address that was served is no trap",
                [
                    (syn("198.51.100.1:21"), is_served()),
                    (syn("[2001:db8::1]:21"), is_served()),
                    (datagram("198.51.100.1:69"), is_served()),
                ],
            ),
            story("another address of that port is a trap", syn("198.51.100.2:21"), blocks(Kind::Syn)),
            story("another IPv6 address of that port is a trap", syn("[2001:db8::2]:21"), blocks(Kind::Syn)),
            story("another address is a trap over UDP", datagram("198.51.100.2:69"), blocks(Kind::Udp)),
            story(
                "a port whose service stopped long ago is a trap",
                syn("198.51.100.1:65535"),
                blocks(Kind::Syn),
            ),
            story(
                "an address whose service stopped long ago is a trap",
                syn("198.51.100.1:7"),
                blocks(Kind::Syn),
            ),
            story(
                "a port that was served over IPv6 long ago is a trap",
                datagram("[2001:db8::1]:7"),
                blocks(Kind::Udp),
            ),
            series(
                "a service on a device above the interface is a service",
                [
                    (syn("198.51.100.1:8080"), is_served()),
                    (syn("198.51.100.2:8080"), is_served()),
                    (syn("[2001:db8::1]:1025"), is_served()),
                    (syn("198.51.100.1:1025"), is_served()),
                    (syn("198.51.100.1:79"), is_served()),
                    (datagram("198.51.100.2:1900"), is_served()),
                ],
            ),
            story(
                "an IPv4 service on a device doesn't cover IPv6",
                syn("[2001:db8::1]:8080"),
                blocks(Kind::Syn),
            ),
            story(
                "a service on a device doesn't cover another address",
                syn("198.51.100.2:79"),
                blocks(Kind::Syn),
            ),
            story(
                "a service on a device doesn't cover another address for UDP",
                datagram("198.51.100.1:1900"),
                blocks(Kind::Udp),
            ),
            story(
                "a service on a device above another interface doesn't count",
                syn("198.51.100.1:513"),
                blocks(Kind::Syn),
            ),
            story(
                "a service on an address behind another interface doesn't count",
                datagram("198.51.100.1:111"),
                blocks(Kind::Udp),
            ),
        ],
    }
}

fn every_bind() -> Chapter {
    Chapter {
        what: "a table that holds every bind",
        scenario: Scenario::default().with_table(true),
        stories: vec![
            series(
                "a packet to a bound port is still looked up",
                [
                    (tcp(SYN).to("198.51.100.1:22"), is_served()),
                    (tcp(SYN).to("[2001:db8::2]:443"), is_served()),
                    (udp().to("198.51.100.2:123"), is_served()),
                    (udp().to("[2001:db8::1]:1025").from("[2001:db8:bad::c8]:53"), is_served()),
                ],
            ),
            story(
                "a bound port is a trap on another address",
                tcp(SYN).to("198.51.100.2:22"),
                blocks(Kind::Syn),
            ),
            story("an unbound port is a trap", tcp(SYN).to("198.51.100.1:23"), blocks(Kind::Syn)),
            story("an unbound port is a trap for datagrams", udp().to("[2001:db8::1]:23"), blocks(Kind::Udp)),
            story("a port bound on loopback is a trap", tcp(SYN).to("198.51.100.1:631"), blocks(Kind::Syn)),
            story(
                "a connection's segments are looked up even after its listener closes",
                tcp(ACK).to("198.51.100.1:8080").from("192.0.2.200:50000"),
                is_served(),
            ),
        ],
    }
}

fn answers() -> Chapter {
    let lease = |from: &str, to: &str| udp().from(from).to(to);
    Chapter {
        what: "replies to the host's own DHCP client",
        scenario: Scenario::default(),
        stories: vec![
            series(
                "a reply passes even if no socket expects it",
                [
                    (lease("192.0.2.210:67", "198.51.100.1:68"), passes()),
                    (lease("192.0.2.210:67", "198.51.100.1:68"), passes()),
                    (lease("[2001:db8:bad::d2]:547", "[2001:db8::1]:546"), passes()),
                ],
            ),
            story(
                "a packet from another port is no reply",
                lease("192.0.2.211:66", "198.51.100.1:68"),
                blocks(Kind::Udp),
            ),
            story(
                "a packet to another port is no reply",
                lease("192.0.2.212:67", "198.51.100.1:69"),
                blocks(Kind::Udp),
            ),
            story(
                "DHCPv6 has other ports",
                lease("[2001:db8:bad::d3]:67", "[2001:db8::1]:68"),
                blocks(Kind::Udp),
            ),
            story(
                "DHCP over IPv4 has these",
                lease("192.0.2.213:547", "198.51.100.1:546"),
                blocks(Kind::Udp),
            ),
            story(
                "TCP has no DHCP",
                tcp(SYN).from("192.0.2.214:67").to("198.51.100.1:68"),
                blocks(Kind::Syn),
            ),
        ],
    }
}

fn ephemeral() -> Chapter {
    let at = |port: u16| format!("198.51.100.1:{port}");
    Chapter {
        what: "watched ports that are ephemeral, with ACK probes counted",
        scenario: Scenario::with(|settings| {
            settings.ack_probes = AckProbes::Count as u8;
            settings.first_ephemeral = 1024;
            settings.last_ephemeral = 65_534;
        }),
        stories: vec![
            series(
                "an answer to a closed socket is no probe",
                [
                    (udp().from("192.0.2.220:53").to(&at(1900)), passes()),
                    (udp().from("192.0.2.220:40000").to(&at(1025)), passes()),
                    (tcp(ACK).from("192.0.2.220:443").to(&at(8080)), passes()),
                    (tcp(FIN | ACK).from("192.0.2.220:443").to(&at(1025)), passes()),
                ],
            ),
            story("a SYN answers nothing", tcp(SYN).to(&at(8080)), blocks(Kind::Syn)),
            story("nor does a FIN", tcp(FIN).to(&at(8080)), blocks(Kind::Fin)),
            story("a port above the range is not ephemeral", udp().to(&at(65_535)), blocks(Kind::Udp)),
            story("nor is one below it", tcp(ACK).to(&at(23)), blocks(Kind::Ack)),
        ],
    }
}
