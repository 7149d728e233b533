//! IPv6 and its extension headers.

use portsentry_common::{classify::Kind, counter::Counter};

use super::chapter::{Story, series, story};
use crate::{
    expect::{blocks, is_dropped, passes, passes_as},
    frames::{ACK, Extension, Layer, Packet, SYN, XMAS, tcp, udp},
};

const FRAGMENT_FIRST: Extension = Extension::Fragment { offset: 0, more: true };
const FRAGMENT: Extension = Extension::ATOMIC_FRAGMENT;
const HOP_BY_HOP: Extension = Extension::HopByHop(1);
const ROUTING: Extension = Extension::Routing(3);
const OPTIONS: Extension = Extension::DestinationOptions(1);
const AUTHENTICATION: Extension = Extension::Authentication(12);

fn chain(packet: Packet, extensions: &[Extension]) -> Packet {
    extensions.iter().fold(packet, |packet, extension| packet.extension(*extension))
}

pub(super) fn stories() -> Vec<Story> {
    let probe = || tcp(SYN).to("[2001:db8::1]:23");
    let datagram = || udp().to("[2001:db8::1]:69").payload(32);
    [singles(probe, datagram), chains(probe), fragments(probe, datagram), damaged(probe)].concat()
}

fn singles(probe: fn() -> Packet, datagram: fn() -> Packet) -> Vec<Story> {
    vec![
        story("hop-by-hop options hide no probe", chain(probe(), &[HOP_BY_HOP]), blocks(Kind::Syn)),
        story("a routing header hides no probe", chain(probe(), &[ROUTING]), blocks(Kind::Syn)),
        story("destination options hide no probe", chain(probe(), &[OPTIONS]), blocks(Kind::Syn)),
        story(
            "an authentication header hides no probe",
            chain(probe(), &[AUTHENTICATION]),
            blocks(Kind::Syn),
        ),
        story(
            "an authentication header without a check value hides no probe",
            chain(probe(), &[Extension::Authentication(0)]),
            blocks(Kind::Syn),
        ),
        story("an atomic fragment is a whole packet", chain(probe(), &[FRAGMENT]), blocks(Kind::Syn)),
        story(
            "extension headers hide no Xmas probe",
            chain(tcp(XMAS).to("[2001:db8::1]:23"), &[OPTIONS]),
            blocks(Kind::Xmas),
        ),
        story(
            "extension headers hide no datagram",
            chain(datagram(), &[HOP_BY_HOP, FRAGMENT]),
            blocks(Kind::Udp),
        ),
        story(
            "2 KiB of options hide no probe",
            chain(probe(), &[Extension::DestinationOptions(256)]),
            blocks(Kind::Syn),
        ),
        story(
            "extension headers make no probe of a packet to an unwatched port",
            chain(tcp(SYN).to("[2001:db8::1]:113"), &[OPTIONS]),
            passes(),
        ),
    ]
}

fn chains(probe: fn() -> Packet) -> Vec<Story> {
    let recommended = [HOP_BY_HOP, OPTIONS, ROUTING, FRAGMENT, AUTHENTICATION, OPTIONS];
    let eight = [[OPTIONS; 4], [HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION]].concat();
    let nine = [&eight[..], &[OPTIONS]].concat();
    vec![
        story(
            "extension headers in the recommended order hide no probe",
            chain(probe(), &recommended),
            blocks(Kind::Syn),
        ),
        story(
            "extension headers in reverse order hide no probe",
            {
                let mut chained = recommended;
                chained.reverse();
                chain(probe(), &chained)
            },
            blocks(Kind::Syn),
        ),
        story(
            "two extension headers of the same kind hide no probe",
            chain(probe(), &[HOP_BY_HOP; 2]),
            blocks(Kind::Syn),
        ),
        story("eight extension headers hide no probe", chain(probe(), &eight), blocks(Kind::Syn)),
        story("nine extension headers hide no probe", chain(probe(), &nine), blocks(Kind::Syn)),
        story(
            "a chain that fills 9,000 bytes hides no probe",
            chain(probe(), &[OPTIONS; 1100]),
            blocks(Kind::Syn),
        ),
        story(
            "a longer chain is an unreadable-chain probe",
            chain(probe(), &[OPTIONS; 1153]),
            blocks(Kind::Chain),
        ),
        story(
            "a TCP header behind the first buffer is read",
            chain(probe(), &[Extension::DestinationOptions(256); 3]),
            blocks(Kind::Syn),
        ),
        series(
            "a blocked source can't hide behind nine extension headers",
            [(probe(), blocks(Kind::Syn)), (chain(probe(), &nine), is_dropped())],
        ),
    ]
}

fn fragments(probe: fn() -> Packet, datagram: fn() -> Packet) -> Vec<Story> {
    vec![
        story(
            "a tiny first fragment is a tiny-fragment probe",
            probe().first_fragment(8),
            blocks(Kind::Fragment),
        ),
        story(
            "a first fragment with TCP's flags is judged by them",
            probe().first_fragment(16),
            blocks(Kind::Syn),
        ),
        story("a first fragment of a datagram is a probe", datagram().first_fragment(16), blocks(Kind::Udp)),
        story("a later fragment is never a probe", probe().payload(32).last_fragment(8), passes()),
        story(
            "a later fragment whose data look like an extension header isn't read",
            chain(probe(), &[OPTIONS]).payload(32).last_fragment(16),
            passes(),
        ),
        story(
            "extension headers before and after a fragment header hide no probe",
            chain(probe(), &[HOP_BY_HOP]).first_fragment(24).extension(OPTIONS),
            blocks(Kind::Syn),
        ),
        story(
            "an atomic fragment around a tiny fragment counts as tiny",
            chain(probe(), &[FRAGMENT]).first_fragment(8),
            blocks(Kind::Fragment),
        ),
        story(
            "a first fragment around an atomic one stays a first fragment",
            chain(probe().first_fragment(8), &[FRAGMENT]),
            blocks(Kind::Fragment),
        ),
        story(
            "a first fragment that ends within its extension headers is an unreadable-chain probe",
            chain(probe(), &[FRAGMENT_FIRST, OPTIONS, OPTIONS]).with(Layer::Network, 4, &[0, 16]),
            blocks(Kind::Chain),
        ),
        story(
            "a first fragment that ends before its TCP header is an unreadable-chain probe",
            chain(probe(), &[FRAGMENT_FIRST, OPTIONS]).with(Layer::Network, 4, &[0, 16]),
            blocks(Kind::Chain),
        ),
        story(
            "a first fragment that ends within its UDP header is an unreadable-chain probe",
            chain(datagram(), &[FRAGMENT_FIRST, OPTIONS]).with(Layer::Network, 4, &[0, 20]),
            blocks(Kind::Chain),
        ),
        series(
            "a blocked source's later fragments are dropped",
            [
                (probe().payload(32).first_fragment(8), blocks(Kind::Fragment)),
                (probe().payload(32).last_fragment(8), is_dropped()),
            ],
        ),
    ]
}

fn damaged(probe: fn() -> Packet) -> Vec<Story> {
    /// Offset of the first extension header's length field.
    const LENGTH: usize = 41;
    vec![
        story(
            "an extension header that runs past the packet is an unreadable-chain probe",
            chain(probe(), &[OPTIONS]).with(Layer::Network, LENGTH, &[200]),
            blocks(Kind::Chain),
        ),
        story(
            "an extension header that runs past another host's packet is only counted",
            chain(tcp(SYN).to("[2001:db8:ffff::1]:23"), &[OPTIONS]).with(Layer::Network, LENGTH, &[200]),
            passes_as(Counter::MalformedExtensions),
        ),
        story(
            "an extension header that runs past a packet from no host is only counted",
            chain(probe().from("[ff02::5]:1"), &[OPTIONS]).with(Layer::Network, LENGTH, &[200]),
            passes_as(Counter::MalformedExtensions),
        ),
        story(
            "an extension header that runs into the padding is an unreadable-chain probe",
            chain(probe(), &[OPTIONS]).with(Layer::Network, LENGTH, &[4]).padding(100),
            blocks(Kind::Chain),
        ),
        story(
            "an extension header that covers the TCP header leaves none",
            chain(probe(), &[OPTIONS]).payload(4).with(Layer::Network, LENGTH, &[3]),
            passes_as(Counter::MalformedTcp),
        ),
        story(
            "a truncated extension header is an unreadable-chain probe",
            chain(probe(), &[OPTIONS]).with(Layer::Network, 4, &[0, 6]),
            blocks(Kind::Chain),
        ),
        story(
            "a frame that ends before the announced extension header is an unreadable-chain probe",
            chain(probe(), &[OPTIONS]).with(Layer::Network, 4, &[0, 0]).cut(Layer::Network, 40),
            blocks(Kind::Chain),
        ),
        story(
            "a payload without a length behind hop-by-hop options is the rest of the frame",
            chain(probe(), &[HOP_BY_HOP]).with(Layer::Network, 4, &[0, 0]),
            blocks(Kind::Syn),
        ),
        story(
            "a payload without a length behind destination options is empty",
            chain(probe(), &[OPTIONS]).with(Layer::Network, 4, &[0, 0]),
            blocks(Kind::Chain),
        ),
        story(
            "IPv6 segments merged by Linux have no length, and aren't malformed",
            tcp(ACK).to("[2001:db8::1]:113").with(Layer::Network, 4, &[0, 0]).padding(66_000),
            passes(),
        ),
    ]
}
