//! Destination and source addresses.

use portsentry_common::{classify::Kind, counter::Counter, decide::Verdict};

use super::chapter::{Story, series, story};
use crate::{
    expect::{blocks, is_ignored, is_told, passes, passes_as},
    frames::{ACK, FIN, Packet, RST, SYN, tcp, udp},
};

pub(super) fn stories() -> Vec<Story> {
    [destinations(), protected(), ignored(), implausible()].concat()
}

fn destinations() -> Vec<Story> {
    let to = |at: &str| tcp(SYN).to(at);
    vec![
        story("a probe to another address of the host counts", to("198.51.100.2:23"), blocks(Kind::Syn)),
        story(
            "a probe to another IPv6 address of the host counts",
            to("[2001:db8::2]:23"),
            blocks(Kind::Syn),
        ),
        story("a packet to another host is no probe", to("198.51.100.3:23"), passes()),
        story("a packet to another host's IPv6 address is no probe", to("[2001:db8::3]:23"), passes()),
        story(
            "a packet to a network's broadcast address never counts",
            udp().to("198.51.100.255:138"),
            passes(),
        ),
        story("a broadcast never counts", udp().to("255.255.255.255:67"), passes()),
        story("a packet to a multicast group never counts", udp().to("224.0.0.5:69"), passes()),
        story("a packet to an IPv6 multicast group never counts", udp().to("[ff02::1]:69"), passes()),
        story("a packet to loopback never counts", to("127.0.0.1:23"), passes()),
        story("an IPv4-mapped address isn't the host's", to("[::ffff:198.51.100.1]:23"), passes()),
    ]
}

fn protected() -> Vec<Story> {
    let to = |packet: Packet| packet.to("203.0.113.9:22");
    let datagram = |from: &str, to: &str| udp().from(from).to(to);
    vec![
        story(
            "a probe to a protected network counts, even if the host listens on the port",
            to(tcp(SYN)),
            blocks(Kind::Syn),
        ),
        story(
            "a probe to a protected IPv6 network counts",
            tcp(SYN).to("[2001:db8:100::9]:22"),
            blocks(Kind::Syn),
        ),
        story("a FIN to a protected network is a probe", to(tcp(FIN)), blocks(Kind::Fin)),
        story("an ACK may belong to a protected host's connection", to(tcp(ACK)), passes()),
        story("FIN with ACK may belong to a protected host's connection", to(tcp(FIN | ACK)), passes()),
        story("a reset may belong to a protected host's connection", to(tcp(RST)), passes()),
        story(
            "a client's datagram to a protected service is a probe",
            udp().to("203.0.113.9:53"),
            blocks(Kind::Udp),
        ),
        story(
            "a service's datagram may answer a protected host",
            datagram("192.0.2.204:53", "203.0.113.9:500"),
            passes(),
        ),
        story(
            "a datagram to a client's port may answer a protected host",
            datagram("192.0.2.204:40000", "203.0.113.9:1900"),
            passes(),
        ),
        story(
            "the host's address in a protected network is its own",
            tcp(SYN).to("203.0.113.1:22"),
            passes_as(Counter::Served),
        ),
        story(
            "the host's address in a protected network is watched",
            tcp(SYN).to("203.0.113.1:23"),
            blocks(Kind::Syn),
        ),
        story(
            "an ACK to the host's address in a protected network is looked up",
            tcp(ACK).to("203.0.113.1:23"),
            is_told(Kind::Ack, Verdict::Noticed, 0),
        ),
    ]
}

fn ignored() -> Vec<Story> {
    let syn = || tcp(SYN).to("198.51.100.1:23");
    vec![
        series(
            "an ignored source is reported and never blocked",
            [
                (syn().from("192.0.2.241:1"), is_ignored(Kind::Syn)),
                (udp().to("198.51.100.1:69").from("192.0.2.241:1"), is_ignored(Kind::Udp)),
                (syn().from("192.0.2.241:1"), is_ignored(Kind::Syn)),
            ],
        ),
        story(
            "the last address of an ignored network is ignored",
            syn().from("192.0.2.255:1"),
            is_ignored(Kind::Syn),
        ),
        story(
            "the address before an ignored network is not ignored",
            syn().from("192.0.2.239:1"),
            blocks(Kind::Syn),
        ),
        story(
            "an ignored IPv6 source is reported and never blocked",
            tcp(SYN).to("[2001:db8::1]:23").from("[2001:db8:fee::1]:1"),
            is_ignored(Kind::Syn),
        ),
        story(
            "an ignored source's ACK is reported as ignored",
            tcp(ACK).to("198.51.100.1:23").from("192.0.2.241:1"),
            is_ignored(Kind::Ack),
        ),
        story(
            "the host's own address is never blocked, even if spoofed",
            syn().from("198.51.100.2:1"),
            is_ignored(Kind::Syn),
        ),
    ]
}

fn implausible() -> Vec<Story> {
    let from = |source: &str| tcp(SYN).from(source).to("198.51.100.1:23");
    let from_v6 = |source: &str| tcp(SYN).from(source).to("[2001:db8::1]:23");
    let is_implausible = || passes_as(Counter::Implausible);
    vec![
        story("loopback can't come from outside", from("127.0.0.1:1"), is_implausible()),
        story("the unspecified address is no source", from("0.0.0.0:1"), is_implausible()),
        story("a group is no source", from("224.0.0.5:1"), is_implausible()),
        story("the broadcast address is no source", from("255.255.255.255:1"), is_implausible()),
        story("IPv6 loopback can't come from outside", from_v6("[::1]:1"), is_implausible()),
        story("the unspecified IPv6 address is no source", from_v6("[::]:1"), is_implausible()),
        story("an IPv6 multicast group is no source", from_v6("[ff02::1]:1"), is_implausible()),
        story(
            "an IPv6 packet can't speak for an IPv4 address",
            from_v6("[::ffff:192.0.2.205]:1"),
            is_implausible(),
        ),
        story("the last group is one", from("239.255.255.255:1"), is_implausible()),
        story("a source in the formerly reserved range is a host", from("240.0.0.1:1"), blocks(Kind::Syn)),
        story(
            "the address before the broadcast address is a host",
            from("255.255.255.254:1"),
            blocks(Kind::Syn),
        ),
        story("a link-local source is a host", from_v6("[fe80::1]:1"), blocks(Kind::Syn)),
    ]
}
