//! Packets of blocked sources and networks, and blocks that find no room or aren't enforced.

use portsentry_common::{classify::Kind, decide::Verdict::Report};

use super::{
    chapter::{Chapter, series, story},
    targets::{OWN, OWN_V6},
};
use crate::{
    expect::{blocks, finds_no_room, is_dropped, is_told, passes},
    frames::{SYN, tcp},
    scenario::Scenario,
};

pub(super) fn chapters() -> Vec<Chapter> {
    vec![standing(), networks(), no_room(), abandoned()]
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
