//! Packets that pass a fence because a device above the interface may have a socket for them. No look-up from the
//! interface finds such a socket.

use portsentry_common::classify::Kind;

use super::chapter::{Chapter, Story, series};
use crate::{
    expect::{Expected, fences, is_fenced_off, is_fenced_through},
    frames::{ACK, FIN, SYN, tcp, udp},
    scenario::Scenario,
};

/// A source port of the host's requests.
const EPHEMERAL: u16 = 40_000;

pub(super) fn chapters() -> Vec<Chapter> {
    let fencing = || {
        Scenario::with(|settings| {
            settings.fence_ns = 3_600_000_000_000;
            settings.fence_rate = u32::MAX;
            settings.first_ephemeral = 32_768;
            settings.last_ephemeral = 60_999;
        })
    };
    let through = is_fenced_through;
    vec![
        Chapter {
            what: "a fence where devices lie above the interface",
            scenario: fencing().with_table(false),
            stories: vec![
                segments("segments that open nothing may belong to a hidden socket", V4, through),
                segments("those over IPv6 may be, too", V6, through),
                datagrams("datagrams to ephemeral ports may belong to a hidden socket", V4, through),
                datagrams("IPv6 datagrams may, too", V6, through),
            ],
        },
        Chapter {
            what: "a fence where no device lies above the interface",
            scenario: fencing(),
            stories: vec![
                segments("segments outside any connection are dropped", V4, off),
                segments("IPv6 segments outside any connection are dropped, too", V6, off),
                datagrams("unsolicited datagrams are dropped", V4, off),
                datagrams("unsolicited datagrams over IPv6 are dropped, too", V6, off),
            ],
        },
    ]
}

/// Two addresses of the host.
const V4: [&str; 2] = ["198.51.100.1", "198.51.100.2"];
const V6: [&str; 2] = ["[2001:db8::1]", "[2001:db8::2]"];

fn off() -> Expected {
    is_fenced_off(None)
}

fn segments(what: &'static str, [host, _]: [&str; 2], expected: fn() -> Expected) -> Story {
    let to = |flags: u8, port: u16| tcp(flags).to(&format!("{host}:{port}"));
    series(
        what,
        [
            (to(SYN, 23), fences(Kind::Syn)),
            (to(SYN | ACK, EPHEMERAL), expected()),
            (to(ACK, EPHEMERAL), expected()),
            (to(FIN | ACK, EPHEMERAL), expected()),
            (to(ACK, 23), expected()),
            (to(SYN, EPHEMERAL), off()),
            (to(FIN, EPHEMERAL), off()),
            (to(0, EPHEMERAL), off()),
            (to(SYN, 8081), off()),
        ],
    )
}

fn datagrams(what: &'static str, [host, other]: [&str; 2], expected: fn() -> Expected) -> Story {
    let to = |host: &str, port: u16| udp().to(&format!("{host}:{port}"));
    series(
        what,
        [
            (tcp(SYN).to(&format!("{host}:23")), fences(Kind::Syn)),
            (to(host, EPHEMERAL), expected()),
            (to(host, 500), expected()),
            (to(other, 500), off()),
            (to(host, 501), off()),
            (to(other, 1900), off()),
        ],
    )
}
