//! A fenced source's packets.

use portsentry_common::{classify::Kind, counter::Counter};

use super::{
    chapter::{Chapter, series, story},
    targets::{OWN, OWN_V6},
};
use crate::{
    expect::{fences, is_fenced_off, is_fenced_through},
    frames::{Extension, Layer, Packet, SYN, tcp, udp},
    scenario::Scenario,
};

pub(super) fn chapters() -> Vec<Chapter> {
    vec![fenced()]
}

/// A fenced source's packet never passes if its transport header can't be read.
fn fenced() -> Chapter {
    const OPTIONS: Extension = Extension::DestinationOptions(1);
    const FIRST: Extension = Extension::Fragment { offset: 0, more: true };
    const HOUR_NS: u64 = 3_600_000_000_000;
    let probe = || tcp(SYN).to(OWN);
    let probe_v6 = || tcp(SYN).to(OWN_V6);
    let service = || tcp(SYN).to("198.51.100.1:113");
    let service_v6 = || tcp(SYN).to("[2001:db8::1]:113");
    let chained = |count: usize| (0..count).fold(service_v6(), |packet, _| packet.extension(OPTIONS));
    let tagged = |count: usize| (0..count).fold(service(), |packet, _| packet.vlan(0));
    let dropped = || is_fenced_off(None);
    let unread = |cause| is_fenced_off(Some(cause));
    Chapter {
        what: "the first probe fences",
        scenario: Scenario::with(|settings| {
            settings.fence_ns = HOUR_NS;
            settings.fence_rate = u32::MAX;
        }),
        stories: vec![
            series(
                "a fenced source opens no connection behind tags or in a PPPoE session",
                [
                    (probe(), fences(Kind::Syn)),
                    (tagged(1), dropped()),
                    (tagged(3), dropped()),
                    (tagged(365), dropped()),
                    (tagged(2300), dropped()),
                    (service().session(&[0, 0x21]), dropped()),
                    (service().session(&[0x21]).vlan(7), dropped()),
                ],
            ),
            series(
                "a fenced source opens no connection behind any number of extension headers",
                [
                    (probe_v6(), fences(Kind::Syn)),
                    (chained(8), dropped()),
                    (chained(9), dropped()),
                    (chained(180), dropped()),
                    (chained(1100), dropped()),
                    (chained(1200), dropped()),
                ],
            ),
            series(
                "a fenced source's first fragment without a transport header is dropped",
                [
                    (probe_v6(), fences(Kind::Syn)),
                    (
                        [FIRST, OPTIONS, OPTIONS].into_iter().fold(service_v6(), Packet::extension).with(
                            Layer::Network,
                            4,
                            &[0, 16],
                        ),
                        dropped(),
                    ),
                    (service_v6().first_fragment(3), dropped()),
                    (udp().to("[2001:db8::1]:53").first_fragment(7), dropped()),
                    (service_v6().payload(32).last_fragment(8), is_fenced_through()),
                ],
            ),
            series(
                "a fenced source's packet that contradicts itself is dropped",
                [
                    (probe(), fences(Kind::Syn)),
                    (service().with(Layer::Network, 0, &[0x44]), unread(Counter::MalformedIpv4)),
                    (service().with(Layer::Network, 2, &[0, 41]), unread(Counter::MalformedIpv4)),
                    (service().with(Layer::Transport, 12, &[0x40]), unread(Counter::MalformedTcp)),
                    (service().first_fragment(3), unread(Counter::MalformedTcp)),
                ],
            ),
            series(
                "a payload without a length opens no connection for a fenced source",
                [
                    (probe_v6(), fences(Kind::Syn)),
                    (
                        service_v6().extension(Extension::HopByHop(1)).with(Layer::Network, 4, &[0, 0]),
                        dropped(),
                    ),
                    (service_v6().with(Layer::Network, 4, &[0, 0]), unread(Counter::MalformedTcp)),
                ],
            ),
            story(
                "a first fragment that ends within its extension headers fences its source",
                [FIRST, OPTIONS, OPTIONS].into_iter().fold(service_v6(), Packet::extension).with(
                    Layer::Network,
                    4,
                    &[0, 16],
                ),
                fences(Kind::Chain),
            ),
        ],
    }
}
