//! The same packets with other settings or map contents.

use portsentry_common::{
    classify::Kind,
    counter::Counter,
    decide::Verdict::{Counted, Report},
    settings::{AckProbes, Response},
};

use super::{Chapter, series, story};
use crate::{
    expect::{
        blocks, blocks_at, fences, finds_no_room, is_dropped, is_fenced_off, is_fenced_through, is_ignored,
        is_told, passes,
    },
    frames::{ACK, Extension, FIN, Layer, Packet, SYN, XMAS, tcp, udp},
    scenario::Scenario,
};

const OWN: &str = "198.51.100.1:23";
const OWN_V6: &str = "[2001:db8::1]:23";
const OWN_UDP: &str = "198.51.100.1:69";

pub(super) fn chapters() -> Vec<Chapter> {
    vec![
        third(),
        reporting(),
        udp_only(),
        acks_count(),
        acks_off(),
        repeats(),
        over_rate(),
        no_room(),
        standing(),
        abandoned(),
        networks(),
        fenced(),
        by_network(),
    ]
}

fn third() -> Chapter {
    let syn = |port: u16| tcp(SYN).to(&format!("198.51.100.1:{port}"));
    Chapter {
        what: "the third probe blocks",
        scenario: Scenario::with(|settings| settings.trigger = 3),
        stories: vec![
            series(
                "the third probe blocks, whatever the kinds and ports",
                [
                    (syn(1), is_told(Kind::Syn, Counted, 1)),
                    (udp().to(OWN_UDP), is_told(Kind::Udp, Counted, 2)),
                    (tcp(XMAS).to("198.51.100.2:3"), blocks_at(Kind::Xmas, 3)),
                    (syn(4), is_dropped()),
                ],
            ),
            series(
                "other packets don't count",
                [
                    (syn(1), is_told(Kind::Syn, Counted, 1)),
                    (syn(113), passes()),
                    (tcp(ACK).to(OWN), is_told(Kind::Ack, portsentry_common::decide::Verdict::Noticed, 0)),
                    (syn(2).payload(32).last_fragment(8), passes()),
                    (syn(2), is_told(Kind::Syn, Counted, 2)),
                    (syn(3), blocks_at(Kind::Syn, 3)),
                ],
            ),
            series(
                "repeated tries of one port count once",
                [
                    (syn(1), is_told(Kind::Syn, Counted, 1)),
                    (syn(1), is_told(Kind::Syn, Counted, 1)),
                    (syn(1).from("192.0.2.3:40001"), is_told(Kind::Syn, Counted, 1)),
                    (syn(1).from("192.0.2.3:40002"), is_told(Kind::Syn, Counted, 1)),
                    (tcp(FIN).to("198.51.100.1:1"), is_told(Kind::Fin, Counted, 1)),
                    (udp().to("198.51.100.1:1"), is_told(Kind::Udp, Counted, 1)),
                    (syn(2), is_told(Kind::Syn, Counted, 2)),
                    (syn(1), is_told(Kind::Syn, Counted, 2)),
                    (syn(2), is_told(Kind::Syn, Counted, 2)),
                ],
            ),
            series(
                "repeated tries of a silent protected host count once",
                [
                    (tcp(SYN).to("203.0.113.9:23"), is_told(Kind::Syn, Counted, 1)),
                    (tcp(SYN).to("203.0.113.9:23"), is_told(Kind::Syn, Counted, 1)),
                    (tcp(SYN).to("203.0.113.9:23"), is_told(Kind::Syn, Counted, 1)),
                ],
            ),
            series(
                "one port on several addresses counts several times",
                [
                    (tcp(SYN).to("203.0.113.9:23"), is_told(Kind::Syn, Counted, 1)),
                    (tcp(SYN).to("203.0.113.10:23"), is_told(Kind::Syn, Counted, 2)),
                    (tcp(SYN).to("203.0.113.11:23"), blocks_at(Kind::Syn, 3)),
                ],
            ),
            series(
                "IPv6 sources are counted separately",
                [
                    (tcp(SYN).to(OWN_V6), is_told(Kind::Syn, Counted, 1)),
                    (tcp(SYN).to(OWN_V6).from("[2001:db8:bad::cf]:1"), is_told(Kind::Syn, Counted, 1)),
                    (tcp(SYN).to("[2001:db8::1]:24"), is_told(Kind::Syn, Counted, 2)),
                    (
                        tcp(SYN).to("[2001:db8::1]:24").from("[2001:db8:bad::cf]:1"),
                        is_told(Kind::Syn, Counted, 2),
                    ),
                    (tcp(SYN).to("[2001:db8::2]:24"), blocks_at(Kind::Syn, 3)),
                    (tcp(SYN).to(OWN_V6), is_dropped()),
                ],
            ),
            story(
                "an ignored source isn't counted",
                tcp(SYN).to(OWN).from("192.0.2.242:1"),
                is_ignored(Kind::Syn),
            ),
        ],
    }
}

fn by_network() -> Chapter {
    let syn = |source: &str, port: u16| {
        tcp(SYN).from(&format!("[{source}]:1")).to(&format!("[2001:db8::1]:{port}"))
    };
    let counted = |hits| is_told(Kind::Syn, Counted, hits);
    let scenario = Scenario::with(|settings| {
        *settings = settings.held_by(64);
        settings.trigger = 3;
    });
    Chapter {
        what: "IPv6 sources are blocked by their /64",
        scenario: scenario
            .blocked("2001:db8:bad:a1::5", 0)
            .blocked_by("2001:db8:bad:a2::", 64, 0)
            .blocked("2001:db8:bad:a3::5", 0)
            .blocked_by("2001:db8:bad:a3::", 64, 1)
            .blocked("2001:db8:bad:a4::", 0)
            .blocked_by("2001:db8:5::", 64, 0)
            .blocked_by("2001:db8::", 64, 0),
        stories: vec![
            series(
                "addresses of one network count as one source",
                [
                    (syn("2001:db8:bad:1::1", 1), counted(1).by(64)),
                    (syn("2001:db8:bad:1::2", 2), counted(2).by(64)),
                    (syn("2001:db8:bad:1::2", 1), counted(2).by(64)),
                    (syn("2001:db8:bad:2::2", 3), counted(1).by(64)),
                    (syn("2001:db8:bad:1:ffff::3", 3), blocks_at(Kind::Syn, 3).by(64)),
                    (syn("2001:db8:bad:1::4", 4), is_dropped()),
                    (syn("2001:db8:bad:2::2", 4), counted(2).by(64)),
                ],
            ),
            series(
                "neighbours on a link are separate sources",
                [
                    (syn("2001:db8:5::1", 1), counted(1)),
                    (syn("2001:db8:5::2", 2), counted(1)),
                    (syn("2001:db8:5::1", 2), counted(2)),
                    (syn("2001:db8:5::1", 3), blocks_at(Kind::Syn, 3)),
                    (syn("2001:db8:5::1", 4), is_dropped()),
                    (syn("2001:db8:5::2", 4), counted(2)),
                ],
            ),
            series(
                "link-local, translated and Teredo addresses are separate sources",
                [
                    (syn("fe80::1", 1), counted(1)),
                    (syn("fe80::2", 2), counted(1)),
                    (syn("64:ff9b::192.0.2.1", 1), counted(1)),
                    (syn("64:ff9b::192.0.2.2", 2), counted(1)),
                    (syn("2001:0:5ef5:79fb::1", 1), counted(1)),
                    (syn("2001:0:5ef5:79fb::2", 2), counted(1)),
                ],
            ),
            series(
                "the block of one address covers no other of its network",
                [
                    (syn("2001:db8:bad:a1::5", 113), is_dropped()),
                    (syn("2001:db8:bad:a1::6", 113), passes()),
                    (syn("2001:db8:bad:a4::", 113), is_dropped()),
                    (syn("2001:db8:bad:a4::1", 113), passes()),
                ],
            ),
            series(
                "a network's expired block hides no other",
                [(syn("2001:db8:bad:a3::5", 113), is_dropped()), (syn("2001:db8:bad:a3::6", 113), passes())],
            ),
            series(
                "an exempt source or a neighbour passes in a blocked network",
                [
                    (syn("2001:db8:bad:a2::7", 113), is_dropped()),
                    (syn("2001:db8:5::7", 113), passes()),
                    (syn("2001:db8::7", 113), is_dropped()),
                    (syn("2001:db8::2", 113), passes()),
                ],
            ),
        ],
    }
}

fn reporting() -> Chapter {
    Chapter {
        what: "nothing is blocked",
        scenario: Scenario::with(|settings| {
            settings.tcp_response = Response::Report as u8;
            settings.udp_response = Response::Report as u8;
        }),
        stories: vec![
            series(
                "every probe is reported, and passes",
                [
                    (tcp(SYN).to(OWN), is_told(Kind::Syn, Report, 1)),
                    (tcp(SYN).to(OWN), is_told(Kind::Syn, Report, 1)),
                    (udp().to(OWN_UDP), is_told(Kind::Udp, Report, 1)),
                ],
            ),
            story(
                "every IPv6 probe is reported, and passes",
                tcp(0).to(OWN_V6),
                is_told(Kind::Null, Report, 1),
            ),
        ],
    }
}

fn udp_only() -> Chapter {
    Chapter {
        what: "UDP probes block, TCP's don't",
        scenario: Scenario::with(|settings| settings.tcp_response = Response::Report as u8),
        stories: vec![series(
            "a block by UDP drops TCP too",
            [
                (tcp(SYN).to(OWN), is_told(Kind::Syn, Report, 1)),
                (udp().to(OWN_UDP), blocks(Kind::Udp)),
                (tcp(SYN).to(OWN), is_dropped()),
            ],
        )],
    }
}

fn acks_count() -> Chapter {
    Chapter {
        what: "ACK probes count",
        scenario: Scenario::with(|settings| settings.ack_probes = AckProbes::Count as u8),
        stories: vec![
            story("an ACK outside any connection blocks", tcp(ACK).to(OWN), blocks(Kind::Ack)),
            story(
                "FIN with ACK outside any connection blocks",
                tcp(FIN | ACK).to(OWN_V6),
                blocks(Kind::Maimon),
            ),
            story("an ACK to a protected network doesn't block", tcp(ACK).to("203.0.113.9:22"), passes()),
        ],
    }
}

fn acks_off() -> Chapter {
    Chapter {
        what: "ACK probes are not detected",
        scenario: Scenario::with(|settings| settings.ack_probes = AckProbes::Off as u8),
        stories: vec![
            story("an ACK leaves no trace", tcp(ACK).to(OWN), passes()),
            story("FIN with ACK leaves no trace", tcp(FIN | ACK).to(OWN_V6), passes()),
            story("a FIN does", tcp(FIN).to(OWN_V6), blocks(Kind::Fin)),
        ],
    }
}

fn repeats() -> Chapter {
    let syn = || tcp(SYN).to(OWN);
    let told = |kind| is_told(kind, Report, 1);
    let repeated = |kind| is_told(kind, Report, 1).untold(Counter::Repeated);
    Chapter {
        what: "no source is blocked, and events are not repeated",
        scenario: Scenario::with(|settings| {
            settings.tcp_response = Response::Report as u8;
            settings.repeat_ns = u64::MAX;
        }),
        stories: vec![
            series(
                "the same source, port and kind is reported once",
                [
                    (syn(), told(Kind::Syn)),
                    (syn(), repeated(Kind::Syn)),
                    (tcp(SYN).to("198.51.100.2:23").vlan(9), repeated(Kind::Syn)),
                    (tcp(FIN).to(OWN), told(Kind::Fin)),
                    (tcp(SYN).to("198.51.100.1:24"), told(Kind::Syn)),
                    (syn().from("192.0.2.207:9"), told(Kind::Syn)),
                    (syn(), repeated(Kind::Syn)),
                ],
            ),
            series(
                "a block is reported, whatever was reported before",
                [
                    (tcp(SYN).to("198.51.100.1:69"), told(Kind::Syn)),
                    (udp().to(OWN_UDP), blocks(Kind::Udp)),
                    (udp().to(OWN_UDP), is_dropped()),
                ],
            ),
            series(
                "an ignored source is reported once",
                [
                    (syn().from("192.0.2.243:1"), is_ignored(Kind::Syn)),
                    (syn().from("192.0.2.243:1"), is_ignored(Kind::Syn).untold(Counter::Repeated)),
                ],
            ),
        ],
    }
}

fn over_rate() -> Chapter {
    Chapter {
        what: "no event may be told",
        scenario: Scenario::with(|settings| settings.event_rate = 0),
        stories: vec![
            series(
                "a probe blocks without a report",
                [
                    (tcp(SYN).to(OWN), blocks(Kind::Syn).untold(Counter::OverRate)),
                    (tcp(SYN).to(OWN), is_dropped()),
                ],
            ),
            story(
                "an ignored source is not reported",
                tcp(SYN).to(OWN).from("192.0.2.244:1"),
                is_ignored(Kind::Syn).untold(Counter::OverRate),
            ),
        ],
    }
}

fn no_room() -> Chapter {
    Chapter {
        what: "the blocked maps have room for one source of each family",
        scenario: Scenario { max_blocked: 1, ..Scenario::default() },
        stories: vec![
            series(
                "without room for its source, each probe is dropped by itself",
                [
                    (tcp(SYN).to(OWN), blocks(Kind::Syn)),
                    (tcp(SYN).to(OWN), is_dropped()),
                    (tcp(SYN).to(OWN).from("192.0.2.208:1"), finds_no_room(Kind::Syn)),
                    (tcp(SYN).to(OWN).from("192.0.2.208:1"), finds_no_room(Kind::Syn)),
                    (tcp(SYN).to("198.51.100.1:113").from("192.0.2.208:1"), passes()),
                    (tcp(SYN).to(OWN), is_dropped()),
                ],
            ),
            series(
                "IPv6 sources have a separate map",
                [
                    (tcp(SYN).to(OWN_V6), blocks(Kind::Syn)),
                    (tcp(SYN).to(OWN_V6).from("[2001:db8:bad::d0]:1"), finds_no_room(Kind::Syn)),
                ],
            ),
        ],
    }
}

/// `OPEN_AFTER`, with a daemon that never wrote a heartbeat.
fn abandoned() -> Chapter {
    let syn = || tcp(SYN).to(OWN).from("192.0.2.9:1");
    Chapter {
        what: "the daemon died long ago, and blocks are not enforced",
        scenario: Scenario::with(|settings| {
            settings.open_after_ns = 1;
            settings.fence_ns = 1;
        })
        .blocked("192.0.2.209", 0)
        .blocked_network("2001:db8:3::/48", 0),
        stories: vec![
            series(
                "a probe is reported, and passes each time",
                [(syn(), is_told(Kind::Syn, Report, 1)), (syn(), is_told(Kind::Syn, Report, 1))],
            ),
            story("a blocked source passes", tcp(SYN).to("198.51.100.1:113").from("192.0.2.209:1"), passes()),
            story(
                "a source in a blocked network passes",
                tcp(SYN).to("[2001:db8::1]:113").from("[2001:db8:3::1]:1"),
                passes(),
            ),
        ],
    }
}

fn standing() -> Chapter {
    /// A time of `CLOCK_MONOTONIC` in the far future, and one in the distant past.
    const FAR: u64 = u64::MAX;
    const PAST: u64 = 1;
    let silent = || tcp(SYN).to("198.51.100.1:113");
    let silent_v6 = || tcp(SYN).to("[2001:db8::1]:113");
    Chapter {
        what: "some sources are blocked from the start",
        scenario: Scenario::default()
            .blocked("192.0.2.209", 0)
            .blocked("192.0.2.210", FAR)
            .blocked("192.0.2.211", PAST)
            .blocked("2001:db8:bad::d1", 0)
            .blocked("2001:db8:bad::d3", PAST)
            .blocked("192.0.2.245", 0),
        stories: vec![
            story("a permanent block is enforced", silent().from("192.0.2.209:1"), is_dropped()),
            story("an unexpired block is enforced", silent().from("192.0.2.210:1"), is_dropped()),
            story(
                "a permanent block over IPv6 is enforced",
                silent_v6().from("[2001:db8:bad::d1]:1"),
                is_dropped(),
            ),
            story(
                "a blocked source is dropped even if it is ignored",
                silent().from("192.0.2.245:1"),
                is_dropped(),
            ),
            series(
                "a source with an expired block passes, and can be blocked again",
                [
                    (silent().from("192.0.2.211:1"), passes()),
                    (tcp(SYN).to(OWN).from("192.0.2.211:1"), blocks(Kind::Syn)),
                    (silent().from("192.0.2.211:1"), is_dropped()),
                ],
            ),
            series(
                "an IPv6 source with an expired block passes, and can be blocked again",
                [
                    (silent_v6().from("[2001:db8:bad::d3]:1"), passes()),
                    (tcp(SYN).to(OWN_V6).from("[2001:db8:bad::d3]:1"), blocks(Kind::Syn)),
                    (silent_v6().from("[2001:db8:bad::d3]:1"), is_dropped()),
                ],
            ),
            story("a neighbour of blocked sources is not blocked", silent(), passes()),
        ],
    }
}

fn networks() -> Chapter {
    let silent = || tcp(SYN).to("198.51.100.1:113");
    let silent_v6 = || tcp(SYN).to("[2001:db8::1]:113");
    Chapter {
        what: "networks are blocked",
        scenario: Scenario::default()
            .blocked_network("192.0.2.128/25", 0)
            .blocked_network("192.0.2.192/30", 1)
            .blocked_network("2001:db8:bad::/48", 0)
            .blocked_network("::/16", 0)
            .blocked_network("2001:db8:bad:7::/64", u64::MAX),
        stories: vec![
            story("a source in a blocked network is dropped", silent().from("192.0.2.130:1"), is_dropped()),
            story(
                "the last source of a blocked network is dropped, too",
                silent().from("192.0.2.239:1"),
                is_dropped(),
            ),
            story("a source outside it passes", silent().from("192.0.2.127:1"), passes()),
            story("an ignored network in a blocked network passes", silent().from("192.0.2.244:1"), passes()),
            story(
                "the narrowest network decides, even with an expired block",
                silent().from("192.0.2.194:1"),
                passes(),
            ),
            story("over IPv6, too", silent_v6().from("[2001:db8:bad::1]:1"), is_dropped()),
            story(
                "a nested network is blocked, too",
                silent_v6().from("[2001:db8:bad:7::1]:1"),
                is_dropped(),
            ),
            series(
                "an IPv6 network that contains all mapped addresses contains no IPv4 host",
                [
                    (tcp(SYN).to(OWN).from("192.0.2.125:1"), blocks(Kind::Syn)),
                    (silent().from("192.0.2.124:1"), passes()),
                ],
            ),
            story(
                "an IPv6 source outside the blocked networks passes",
                silent_v6().from("[2001:db8:bae::1]:1"),
                passes(),
            ),
            story(
                "an unreadable packet is dropped, too",
                silent().from("192.0.2.130:1").first_fragment(8),
                is_dropped(),
            ),
            series(
                "a source outside the blocked networks is blocked as usual",
                [
                    (tcp(SYN).to(OWN).from("192.0.2.126:1"), blocks(Kind::Syn)),
                    (silent().from("192.0.2.126:1"), is_dropped()),
                ],
            ),
        ],
    }
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
