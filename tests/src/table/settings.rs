//! The same packets under other settings, or with other things in the maps.

use portsentry_common::{
    classify::Kind,
    counter::Counter,
    decide::Verdict::{Counted, Report},
    settings::{AckProbes, Response},
};

use super::{Chapter, series, story};
use crate::{
    expect::{blocks, blocks_at, finds_no_room, is_dropped, is_ignored, is_told, passes},
    frames::{ACK, FIN, SYN, XMAS, tcp, udp},
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
        networks(),
    ]
}

fn third() -> Chapter {
    let syn = |port: u16| tcp(SYN).to(&format!("198.51.100.1:{port}"));
    Chapter {
        what: "the third probe blocks",
        scenario: Scenario::with(|settings| settings.trigger = 3),
        stories: vec![
            series(
                "the third probe of whatever kinds and ports blocks",
                [
                    (syn(1), is_told(Kind::Syn, Counted, 1)),
                    (udp().to(OWN_UDP), is_told(Kind::Udp, Counted, 2)),
                    (tcp(XMAS).to("198.51.100.2:3"), blocks_at(Kind::Xmas, 3)),
                    (syn(4), is_dropped()),
                ],
            ),
            series(
                "what is no probe doesn't count",
                [
                    (syn(1), is_told(Kind::Syn, Counted, 1)),
                    (syn(113), passes()),
                    (tcp(ACK).to(OWN), is_told(Kind::Ack, portsentry_common::decide::Verdict::Noticed, 0)),
                    (syn(2).payload(32).last_fragment(8), passes()),
                    (syn(1), is_told(Kind::Syn, Counted, 2)),
                    (syn(1), blocks_at(Kind::Syn, 3)),
                ],
            ),
            series(
                "IPv6 sources are counted each for itself",
                [
                    (tcp(SYN).to(OWN_V6), is_told(Kind::Syn, Counted, 1)),
                    (tcp(SYN).to(OWN_V6).from("[2001:db8:bad::cf]:1"), is_told(Kind::Syn, Counted, 1)),
                    (tcp(SYN).to(OWN_V6), is_told(Kind::Syn, Counted, 2)),
                    (tcp(SYN).to(OWN_V6).from("[2001:db8:bad::cf]:1"), is_told(Kind::Syn, Counted, 2)),
                    (tcp(SYN).to(OWN_V6), blocks_at(Kind::Syn, 3)),
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

fn reporting() -> Chapter {
    Chapter {
        what: "nothing is blocked",
        scenario: Scenario::with(|settings| {
            settings.tcp_response = Response::Report as u8;
            settings.udp_response = Response::Report as u8;
        }),
        stories: vec![
            series(
                "every probe is told, and passes",
                [
                    (tcp(SYN).to(OWN), is_told(Kind::Syn, Report, 1)),
                    (tcp(SYN).to(OWN), is_told(Kind::Syn, Report, 1)),
                    (udp().to(OWN_UDP), is_told(Kind::Udp, Report, 1)),
                ],
            ),
            story(
                "every probe over IPv6 is told, and passes",
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
            story("an ACK to a protected network doesn't", tcp(ACK).to("203.0.113.9:22"), passes()),
        ],
    }
}

fn acks_off() -> Chapter {
    Chapter {
        what: "ACK probes are not looked for",
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
        what: "nothing is blocked, and what was told is not told again",
        scenario: Scenario::with(|settings| {
            settings.tcp_response = Response::Report as u8;
            settings.repeat_ns = u64::MAX;
        }),
        stories: vec![
            series(
                "the same source, port and kind is told once",
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
                "a block is told, whatever was told before",
                [
                    (tcp(SYN).to("198.51.100.1:69"), told(Kind::Syn)),
                    (udp().to(OWN_UDP), blocks(Kind::Udp)),
                    (udp().to(OWN_UDP), is_dropped()),
                ],
            ),
            series(
                "an ignored source is told once",
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
                "a probe blocks without being told",
                [
                    (tcp(SYN).to(OWN), blocks(Kind::Syn).untold(Counter::OverRate)),
                    (tcp(SYN).to(OWN), is_dropped()),
                ],
            ),
            story(
                "an ignored source is not told",
                tcp(SYN).to(OWN).from("192.0.2.244:1"),
                is_ignored(Kind::Syn).untold(Counter::OverRate),
            ),
        ],
    }
}

fn no_room() -> Chapter {
    Chapter {
        what: "one source of each family fits the blocked maps",
        scenario: Scenario { max_blocked: 1, ..Scenario::default() },
        stories: vec![
            series(
                "a source that finds no room is dropped probe by probe",
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
                "IPv6 sources have room of their own",
                [
                    (tcp(SYN).to(OWN_V6), blocks(Kind::Syn)),
                    (tcp(SYN).to(OWN_V6).from("[2001:db8:bad::d0]:1"), finds_no_room(Kind::Syn)),
                ],
            ),
        ],
    }
}

fn standing() -> Chapter {
    /// A time of `CLOCK_MONOTONIC` that no test lives to see, and one that is long past.
    const FAR: u64 = u64::MAX;
    const PAST: u64 = 1;
    let silent = || tcp(SYN).to("198.51.100.1:113");
    let silent_v6 = || tcp(SYN).to("[2001:db8::1]:113");
    Chapter {
        what: "some are blocked from the start",
        scenario: Scenario::default()
            .blocked("192.0.2.209", 0)
            .blocked("192.0.2.210", FAR)
            .blocked("192.0.2.211", PAST)
            .blocked("2001:db8:bad::d1", 0)
            .blocked("2001:db8:bad::d3", PAST)
            .blocked("192.0.2.245", 0),
        stories: vec![
            story("a block for good is enforced", silent().from("192.0.2.209:1"), is_dropped()),
            story("a block that isn't over is enforced", silent().from("192.0.2.210:1"), is_dropped()),
            story(
                "a block for good over IPv6 is enforced",
                silent_v6().from("[2001:db8:bad::d1]:1"),
                is_dropped(),
            ),
            story(
                "a blocked source is dropped though it be ignored",
                silent().from("192.0.2.245:1"),
                is_dropped(),
            ),
            series(
                "a source whose block is over may pass, and be blocked anew",
                [
                    (silent().from("192.0.2.211:1"), passes()),
                    (tcp(SYN).to(OWN).from("192.0.2.211:1"), blocks(Kind::Syn)),
                    (silent().from("192.0.2.211:1"), is_dropped()),
                ],
            ),
            series(
                "an IPv6 source whose block is over may pass, and be blocked anew",
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
            .blocked_network("2001:db8:bad:7::/64", u64::MAX),
        stories: vec![
            story("who is in a blocked network is dropped", silent().from("192.0.2.130:1"), is_dropped()),
            story("at a blocked network's end, too", silent().from("192.0.2.239:1"), is_dropped()),
            story("who is beside it passes", silent().from("192.0.2.127:1"), passes()),
            story("of an ignored network in it nothing is dropped", silent().from("192.0.2.244:1"), passes()),
            story(
                "the narrowest decides, and its time may be over",
                silent().from("192.0.2.194:1"),
                passes(),
            ),
            story("over IPv6, too", silent_v6().from("[2001:db8:bad::1]:1"), is_dropped()),
            story("and in a network within", silent_v6().from("[2001:db8:bad:7::1]:1"), is_dropped()),
            story("and not beside it", silent_v6().from("[2001:db8:bae::1]:1"), passes()),
            story(
                "what can't be parsed is dropped, too",
                silent().from("192.0.2.130:1").first_fragment(8),
                is_dropped(),
            ),
            series(
                "who is beside it is blocked as anybody",
                [
                    (tcp(SYN).to(OWN).from("192.0.2.126:1"), blocks(Kind::Syn)),
                    (silent().from("192.0.2.126:1"), is_dropped()),
                ],
            ),
        ],
    }
}
