//! Which probes are only reported, and which reports are left out.

use portsentry_common::{classify::Kind, counter::Counter, decide::Verdict::Report, settings::Response};

use super::{
    chapter::{Chapter, series, story},
    targets::{OWN, OWN_UDP, OWN_V6},
};
use crate::{
    expect::{blocks, is_dropped, is_ignored, is_told},
    frames::{FIN, SYN, tcp, udp},
    scenario::Scenario,
};

pub(super) fn chapters() -> Vec<Chapter> {
    vec![reporting(), udp_only(), repeats(), over_rate()]
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
