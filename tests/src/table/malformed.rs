//! Headers that contradict each other or the frame. Such frames pass, and are counted by cause.

use portsentry_common::{classify::Kind, counter::Counter};

use super::chapter::{Story, story};
use crate::{
    expect::{blocks, passes, passes_as},
    frames::{Layer, SYN, tcp, udp},
};

pub(super) fn stories() -> Vec<Story> {
    [ipv4(), ipv6(), transport()].concat()
}

fn ipv4() -> Vec<Story> {
    let probe = || tcp(SYN).to("198.51.100.1:23");
    let malformed = || passes_as(Counter::MalformedIpv4);
    vec![
        story(
            "an IPv4 packet with another version can't be read",
            probe().with(Layer::Network, 0, &[0x65]),
            malformed(),
        ),
        story(
            "an IPv4 header shorter than its fields can't be read",
            probe().with(Layer::Network, 0, &[0x44]),
            malformed(),
        ),
        story(
            "an IPv4 header of length zero can't be read",
            probe().with(Layer::Network, 0, &[0x40]),
            malformed(),
        ),
        story(
            "an IPv4 header longer than its packet can't be read",
            probe().with(Layer::Network, 0, &[0x4f]),
            malformed(),
        ),
        story(
            "an IPv4 header as long as its packet leaves no TCP header",
            probe().with(Layer::Network, 0, &[0x4a]),
            passes_as(Counter::MalformedTcp),
        ),
        story(
            "an IPv4 packet shorter than its header can't be read",
            probe().with(Layer::Network, 2, &[0, 19]),
            malformed(),
        ),
        story(
            "an IPv4 packet longer than its frame can't be read",
            probe().with(Layer::Network, 2, &[0, 41]),
            malformed(),
        ),
        story(
            "an IPv4 packet of maximum length can't be read",
            probe().with(Layer::Network, 2, &[0xff, 0xff]),
            malformed(),
        ),
        story("a frame that lost its last byte can't be read", probe().cut(Layer::Network, 39), malformed()),
        story(
            "a frame that ends within the IPv4 header can't be read",
            probe().cut(Layer::Network, 19),
            malformed(),
        ),
        story(
            "a frame that ends before the IPv4 source can't be read",
            probe().cut(Layer::Network, 12),
            malformed(),
        ),
        story(
            "an IPv4 total length that covers only the header leaves no TCP header",
            probe().with(Layer::Network, 2, &[0, 20]),
            passes_as(Counter::MalformedTcp),
        ),
    ]
}

fn ipv6() -> Vec<Story> {
    let probe = || tcp(SYN).to("[2001:db8::1]:23");
    let malformed = || passes_as(Counter::MalformedIpv6);
    vec![
        story(
            "an IPv6 packet with another version can't be read",
            probe().with(Layer::Network, 0, &[0x45]),
            malformed(),
        ),
        story(
            "an IPv6 packet longer than its frame can't be read",
            probe().with(Layer::Network, 4, &[0, 21]),
            malformed(),
        ),
        story(
            "an IPv6 packet of maximum length can't be read",
            probe().with(Layer::Network, 4, &[0xff, 0xff]),
            malformed(),
        ),
        story(
            "a frame that ends within the IPv6 header can't be read",
            probe().cut(Layer::Network, 39),
            malformed(),
        ),
        story(
            "a frame that ends before the IPv6 source can't be read",
            probe().cut(Layer::Network, 8),
            malformed(),
        ),
        story(
            "an IPv6 packet without payload leaves no TCP header",
            probe().with(Layer::Network, 4, &[0, 0]),
            passes_as(Counter::MalformedTcp),
        ),
        story(
            "traffic class and flow label change nothing",
            probe().with(Layer::Network, 0, &[0x6f, 0xff, 0xff, 0xff]),
            blocks(Kind::Syn),
        ),
    ]
}

fn transport() -> Vec<Story> {
    let probe = || tcp(SYN).to("198.51.100.1:23");
    let datagram = || udp().to("198.51.100.1:69");
    let bad_tcp = || passes_as(Counter::MalformedTcp);
    let bad_udp = || passes_as(Counter::MalformedUdp);
    vec![
        story("a TCP header cut by the IP packet's end can't be read", probe().carrying(19), bad_tcp()),
        story("a missing TCP header can't be read", probe().carrying(0), bad_tcp()),
        story(
            "a data offset below the minimum can't be read",
            probe().with(Layer::Transport, 12, &[0x40]),
            bad_tcp(),
        ),
        story(
            "a data offset past the packet can't be read",
            probe().with(Layer::Transport, 12, &[0x60]),
            bad_tcp(),
        ),
        story(
            "a data offset past a first fragment's end points into the next fragment",
            probe().payload(20).with(Layer::Transport, 12, &[0xa0]).first_fragment(24),
            blocks(Kind::Syn),
        ),
        story(
            "a data offset below the minimum can't be read in a first fragment either",
            probe().payload(20).first_fragment(24).with(Layer::Transport, 12, &[0x40]),
            bad_tcp(),
        ),
        story(
            "a data offset to the very end of the packet is valid",
            probe().payload(40).with(Layer::Transport, 12, &[0xf0]),
            blocks(Kind::Syn),
        ),
        story(
            "the reserved bits change nothing",
            probe().with(Layer::Transport, 12, &[0x5f]),
            blocks(Kind::Syn),
        ),
        story("a UDP header cut by the IP packet's end can't be read", datagram().carrying(7), bad_udp()),
        story(
            "a datagram shorter than its header can't be read",
            datagram().with(Layer::Transport, 4, &[0, 7]),
            bad_udp(),
        ),
        story(
            "a datagram longer than its packet can't be read",
            datagram().with(Layer::Transport, 4, &[0, 9]),
            bad_udp(),
        ),
        story(
            "a datagram longer than a first fragment continues in the next",
            datagram().payload(32).first_fragment(16),
            blocks(Kind::Udp),
        ),
        story(
            "an unreadable packet to another host is counted all the same",
            tcp(SYN).to("203.0.114.9:23").carrying(10),
            bad_tcp(),
        ),
        story(
            "damage behind the headers changes nothing",
            tcp(SYN).to("198.51.100.1:113").payload(9).with(Layer::Transport, 20, b"damage"),
            passes(),
        ),
    ]
}
