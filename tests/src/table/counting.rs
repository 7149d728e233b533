//! Which probes count, and as how many: the trigger, ACK probes, IPv6 networks.

use portsentry_common::{
    classify::Kind,
    decide::Verdict::{Counted, Noticed},
    settings::AckProbes,
};

use super::{
    chapter::{Chapter, series, story},
    targets::{OWN, OWN_UDP, OWN_V6},
};
use crate::{
    expect::{blocks, blocks_at, is_dropped, is_ignored, is_told, passes},
    frames::{ACK, FIN, SYN, XMAS, tcp, udp},
    scenario::Scenario,
};

pub(super) fn chapters() -> Vec<Chapter> {
    vec![third(), by_network(), acks_count(), acks_off()]
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
                    (tcp(ACK).to(OWN), is_told(Kind::Ack, Noticed, 0)),
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
