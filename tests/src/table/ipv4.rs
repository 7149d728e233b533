//! IPv4 options and fragments.

use portsentry_common::{classify::Kind, counter::Counter};

use super::chapter::{Story, series, story};
use crate::{
    expect::{blocks, is_dropped, passes, passes_as},
    frames::{ACK, FIN, Layer, SYN, protocol, tcp, udp},
};

pub(super) fn stories() -> Vec<Story> {
    let probe = || tcp(SYN).to("198.51.100.1:23");
    let datagram = || udp().to("198.51.100.1:69").payload(32);
    vec![
        story("IP options hide no probe", probe().ipv4_options(4), blocks(Kind::Syn)),
        story("as many IP options as possible hide no probe", probe().ipv4_options(40), blocks(Kind::Syn)),
        story("IP options hide no datagram", datagram().ipv4_options(12), blocks(Kind::Udp)),
        story(
            "a first fragment too small for TCP's flags is a tiny-fragment probe",
            probe().first_fragment(8),
            blocks(Kind::Fragment),
        ),
        story(
            "IP options don't make a tiny first fragment larger",
            probe().ipv4_options(8).first_fragment(8),
            blocks(Kind::Fragment),
        ),
        story(
            "a first fragment with TCP's flags is judged by them",
            probe().first_fragment(16),
            blocks(Kind::Syn),
        ),
        story(
            "a first fragment with the whole TCP header is judged by its flags",
            tcp(FIN).to("198.51.100.1:23").payload(32).first_fragment(24),
            blocks(Kind::Fin),
        ),
        story("a first fragment of a datagram is a probe", datagram().first_fragment(8), blocks(Kind::Udp)),
        story(
            "a tiny fragment to an unwatched port is no probe",
            tcp(ACK).to("198.51.100.1:113").first_fragment(8),
            passes(),
        ),
        story("a later fragment is never a probe", probe().payload(32).last_fragment(8), passes()),
        story(
            "a fragment in the middle is never a probe",
            probe().payload(32).middle_fragment(16, 16),
            passes(),
        ),
        story("a later fragment of a datagram is never a probe", datagram().last_fragment(8), passes()),
        series(
            "a blocked source's later fragments are dropped",
            [
                (probe().payload(32).first_fragment(8), blocks(Kind::Fragment)),
                (probe().payload(32).middle_fragment(8, 16), is_dropped()),
                (probe().payload(32).last_fragment(24), is_dropped()),
            ],
        ),
        story(
            "a first fragment that ends within the ports can't be read",
            probe().first_fragment(3),
            passes_as(Counter::MalformedTcp),
        ),
        story(
            "a first fragment that ends within the UDP header can't be read",
            datagram().first_fragment(7),
            passes_as(Counter::MalformedUdp),
        ),
        story(
            "segments merged by Linux have no length, and aren't malformed",
            tcp(ACK).to("198.51.100.1:113").with(Layer::Network, 2, &[0, 0]).padding(66_000),
            passes(),
        ),
        story(
            "a fragmented packet of another protocol passes",
            protocol(1).to("198.51.100.1:0").first_fragment(8),
            passes(),
        ),
        story(
            "the reserved bit changes nothing",
            probe().with(Layer::Network, 6, &[0x80]),
            blocks(Kind::Syn),
        ),
        story(
            "a wrong header checksum changes nothing",
            probe().with(Layer::Network, 10, &[0xde, 0xad]),
            blocks(Kind::Syn),
        ),
        story(
            "a jumbo frame is judged by the headers in its first buffer",
            udp().to("198.51.100.1:69").payload(8000),
            blocks(Kind::Udp),
        ),
    ]
}
