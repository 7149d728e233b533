//! Smart verify: packets explained by sockets that are open as the packet arrives. The sockets are in
//! [`crate::test_host`].
//!
//! For about a second, the benign-flow cache passes further datagrams or ACKs to the same destination address and
//! port. Therefore no two stories here may share these.

use portsentry_common::{classify::Kind, decide::Verdict};

use super::chapter::{Story, series, story};
use crate::{
    expect::{blocks, is_served, is_told},
    frames::{ACK, FIN, PSH, SYN, XMAS, tcp, udp},
};

pub(super) fn stories() -> Vec<Story> {
    [listeners(), connections(), datagrams(), time_wait()].concat()
}

fn listeners() -> Vec<Story> {
    let to = |at: &str| tcp(SYN).to(at);
    vec![
        story("a SYN to a service on that address is silent", to("198.51.100.1:22"), is_served()),
        story(
            "a SYN to a service on another address of the host is a probe",
            to("198.51.100.2:22"),
            blocks(Kind::Syn),
        ),
        story("a SYN over IPv6 to a service on IPv4 is a probe", to("[2001:db8::1]:22"), blocks(Kind::Syn)),
        story("a SYN to a service on every IPv4 address is silent", to("198.51.100.2:80"), is_served()),
        story(
            "a SYN over IPv6 to a service on every IPv4 address is a probe",
            to("[2001:db8::2]:80"),
            blocks(Kind::Syn),
        ),
        story("a SYN to a service on every address is silent", to("[2001:db8::2]:443"), is_served()),
        story("a SYN over IPv4 to a service on every address is silent", to("198.51.100.2:443"), is_served()),
        story("a SYN to a service on that IPv6 address is silent", to("[2001:db8::1]:25"), is_served()),
        story(
            "a SYN to a service on another IPv6 address of the host is a probe",
            to("[2001:db8::2]:25"),
            blocks(Kind::Syn),
        ),
        story("a service on loopback doesn't serve the outside", to("198.51.100.1:631"), blocks(Kind::Syn)),
        story(
            "a service on IPv6 loopback doesn't serve the outside",
            to("[2001:db8::1]:631"),
            blocks(Kind::Syn),
        ),
        story("an Xmas packet to a service is silent", tcp(XMAS).to("198.51.100.1:22"), is_served()),
        story("a tiny fragment to a service is silent", to("198.51.100.1:22").first_fragment(8), is_served()),
        story("an ACK to a service is silent", tcp(ACK).to("198.51.100.1:80"), is_served()),
        story("a TCP service doesn't serve UDP", udp().to("198.51.100.1:22"), blocks(Kind::Udp)),
    ]
}

fn connections() -> Vec<Story> {
    const LOCAL: &str = "198.51.100.1:8080";
    const LOCAL_V6: &str = "[2001:db8::1]:8080";
    const PEER: &str = "192.0.2.200:50000";
    const PEER_V6: &str = "[2001:db8:bad::c8]:50000";
    let noticed = || is_told(Kind::Ack, Verdict::Noticed, 0);
    vec![
        series(
            "a connection's packets are silent, a stranger's aren't",
            [
                (tcp(ACK).to(LOCAL), noticed()),
                (tcp(ACK).to(LOCAL).from("192.0.2.200:50009"), noticed()),
                (tcp(SYN).to(LOCAL).from(PEER), is_served()),
                (tcp(XMAS).to(LOCAL).from(PEER), is_served()),
                (tcp(SYN).to(LOCAL), blocks(Kind::Syn)),
            ],
        ),
        series(
            "an IPv6 connection's packets are silent, a stranger's aren't",
            [
                (tcp(ACK).to(LOCAL_V6), noticed()),
                (tcp(PSH | ACK).to(LOCAL_V6).from(PEER_V6).payload(9), is_served()),
                (tcp(SYN).to(LOCAL_V6), blocks(Kind::Syn)),
            ],
        ),
    ]
}

fn datagrams() -> Vec<Story> {
    let to = |at: &str| udp().to(at);
    vec![
        story("a datagram to a bound socket is silent", to("198.51.100.1:53"), is_served()),
        story(
            "a datagram to a socket on another address of the host is a probe",
            to("198.51.100.2:53"),
            blocks(Kind::Udp),
        ),
        story("a datagram to a socket on every IPv4 address is silent", to("198.51.100.2:123"), is_served()),
        story("an IPv6 datagram to a socket on IPv4 is a probe", to("[2001:db8::1]:123"), blocks(Kind::Udp)),
        story("a datagram to a socket on every address is silent", to("198.51.100.1:161"), is_served()),
        story(
            "an IPv6 datagram to a socket on every address is silent",
            to("[2001:db8::2]:161"),
            is_served(),
        ),
        story("a datagram to a socket on that IPv6 address is silent", to("[2001:db8::1]:53"), is_served()),
        story("a socket on loopback doesn't serve the outside", to("198.51.100.1:323"), blocks(Kind::Udp)),
        story(
            "a socket on IPv6 loopback doesn't serve the outside",
            to("[2001:db8::1]:323"),
            blocks(Kind::Udp),
        ),
        story("a UDP service doesn't serve TCP", tcp(SYN).to("198.51.100.1:53"), blocks(Kind::Syn)),
        series(
            "a connected socket accepts only its peer's datagrams",
            [
                (to("198.51.100.1:1025"), blocks(Kind::Udp)),
                (to("198.51.100.1:1025").from("192.0.2.206:53"), blocks(Kind::Udp)),
                (to("198.51.100.1:1025").from("192.0.2.200:53"), is_served()),
            ],
        ),
        series(
            "a connected IPv6 socket accepts only its peer's datagrams",
            [
                (to("[2001:db8::1]:1025"), blocks(Kind::Udp)),
                (to("[2001:db8::1]:1025").from("[2001:db8:bad::c8]:53"), is_served()),
            ],
        ),
    ]
}

fn time_wait() -> Vec<Story> {
    const LOCAL: &str = "198.51.100.1:990";
    const LOCAL_V6: &str = "[2001:db8::1]:990";
    const PEER: &str = "192.0.2.200:50001";
    const PEER_V6: &str = "[2001:db8:bad::c8]:50001";
    vec![
        story("a socket in TIME-WAIT doesn't serve its port", tcp(SYN).to(LOCAL), blocks(Kind::Syn)),
        story("a socket in TIME-WAIT doesn't serve its IPv6 port", tcp(SYN).to(LOCAL_V6), blocks(Kind::Syn)),
        story(
            "a SYN to a service is silent even while the last connection from there is in TIME-WAIT",
            tcp(SYN).to("198.51.100.1:80").from("192.0.2.200:50002"),
            is_served(),
        ),
        story(
            "a connection's last FIN may come in TIME-WAIT",
            tcp(FIN | ACK).to(LOCAL).from(PEER),
            is_served(),
        ),
        story(
            "an IPv6 connection's last FIN may come in TIME-WAIT",
            tcp(FIN | ACK).to(LOCAL_V6).from(PEER_V6),
            is_served(),
        ),
        // Last, because it blocks its source.
        story("a FIN without ACK is a probe in TIME-WAIT", tcp(FIN).to(LOCAL).from(PEER), blocks(Kind::Fin)),
        story("a SYN is a probe in TIME-WAIT", tcp(SYN).to(LOCAL_V6).from(PEER_V6), blocks(Kind::Syn)),
    ]
}
