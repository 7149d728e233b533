//! Ethernet and VLAN tags.

use portsentry_common::{classify::Kind, counter::Counter};

use super::chapter::{Story, series, story};
use crate::{
    expect::{blocks, is_buried, is_dropped, passes, passes_as},
    frames::{Layer, Packet, SYN, protocol, tcp, udp},
};

/// Adds priority tags of both kinds.
fn tagged(packet: Packet, count: usize) -> Packet {
    (0..count).fold(packet, |packet, at| if at % 3 == 1 { packet.service_vlan(0) } else { packet.vlan(0) })
}

/// Puts the packet in a PPPoE session, with this PPP protocol number.
fn pppoe(packet: Packet, number: &[u8]) -> Packet {
    packet.session(number)
}

pub(super) fn stories() -> Vec<Story> {
    let probe = || tcp(SYN).to("198.51.100.1:23");
    let probe_v6 = || tcp(SYN).to("[2001:db8::1]:23");
    vec![
        story("a probe in a VLAN is reported with its tag", probe().vlan(7), blocks(Kind::Syn)),
        story("an IPv6 probe in a VLAN is reported with its tag", probe_v6().vlan(7), blocks(Kind::Syn)),
        story("a priority tag is no VLAN", probe().vlan(0), blocks(Kind::Syn)),
        story(
            "the inner one of two tags is reported",
            probe().service_vlan(100).vlan(200),
            blocks(Kind::Syn),
        ),
        story("two customer tags work, too", probe_v6().vlan(4095).vlan(1), blocks(Kind::Syn)),
        story("a third tag hides no probe", probe().vlan(1).vlan(2).vlan(3), blocks(Kind::Syn)),
        story("the maximum number of priority tags hides no probe", tagged(probe(), 365), blocks(Kind::Syn)),
        story(
            "priority tags that fill 9,000 bytes hide no probe",
            tagged(probe_v6(), 2230),
            blocks(Kind::Syn),
        ),
        story("behind even more tags the source is unknown", tagged(probe(), 2305), is_buried()),
        series(
            "a blocked source can't hide behind tags",
            [
                (probe(), blocks(Kind::Syn)),
                (tagged(probe(), 3), is_dropped()),
                (tagged(probe(), 300), is_dropped()),
                (tagged(probe(), 2300), is_dropped()),
            ],
        ),
        story("a PPPoE session hides no probe", pppoe(probe(), &[0, 0x21]), blocks(Kind::Syn)),
        story("a PPPoE session hides no probe over IPv6", pppoe(probe_v6(), &[0, 0x57]), blocks(Kind::Syn)),
        story("a compressed protocol number hides no probe", pppoe(probe(), &[0x21]), blocks(Kind::Syn)),
        story(
            "a PPPoE session in a VLAN hides no probe",
            pppoe(probe().vlan(7), &[0, 0x21]),
            blocks(Kind::Syn),
        ),
        story("PPP's own protocols pass", pppoe(probe(), &[0xc0, 0x21]), passes()),
        series(
            "a blocked source is also blocked in a PPPoE session",
            [(probe(), blocks(Kind::Syn)), (pppoe(probe(), &[0, 0x21]), is_dropped())],
        ),
        story(
            "a frame that ends within its PPPoE header can't be read",
            pppoe(probe(), &[0, 0x21]).cut(Layer::Link, 21),
            passes_as(Counter::MalformedLink),
        ),
        story(
            "a frame that ends within its third tag can't be read",
            tagged(probe(), 3).cut(Layer::Link, 25),
            passes_as(Counter::MalformedLink),
        ),
        series(
            "a blocked source is blocked in every VLAN",
            [(probe(), blocks(Kind::Syn)), (udp().to("198.51.100.1:69").vlan(3).vlan(9), is_dropped())],
        ),
        story("a frame with another Ethertype passes", probe().announced_as(0x0806), passes()),
        story("a frame with a length in place of the Ethertype passes", probe().announced_as(46), passes()),
        story(
            "an IPv4 packet announced as IPv6 can't be read",
            probe().announced_as(0x86dd).padding(20),
            passes_as(Counter::MalformedIpv6),
        ),
        story(
            "an IPv6 packet announced as IPv4 can't be read",
            probe_v6().announced_as(0x0800),
            passes_as(Counter::MalformedIpv4),
        ),
        story(
            "a frame that ends within its first tag can't be read",
            probe().vlan(7).cut(Layer::Link, 17),
            passes_as(Counter::MalformedLink),
        ),
        story(
            "a frame that ends within its second tag can't be read",
            probe().vlan(7).vlan(8).cut(Layer::Link, 21),
            passes_as(Counter::MalformedLink),
        ),
        story(
            "a frame that ends right after announcing IPv4 can't be read",
            probe().cut(Layer::Link, 14),
            passes_as(Counter::MalformedIpv4),
        ),
        story("a short frame's padding isn't part of the packet", probe().padding(6), blocks(Kind::Syn)),
        story("ICMP probes no port", protocol(1).to("198.51.100.1:0"), passes()),
        story("ICMPv6 probes no port", protocol(58).to("[2001:db8::1]:0"), passes()),
        story("a tunnel's packets probe no port", protocol(4).to("198.51.100.1:0"), passes()),
        story("a packet without a next header probes no port", protocol(59).to("[2001:db8::1]:0"), passes()),
        story("an encrypted packet probes no port", protocol(50).to("[2001:db8::1]:0"), passes()),
    ]
}
