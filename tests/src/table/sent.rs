//! Packets that answer the host.

use portsentry_common::{classify::Kind, decide::Verdict};

use super::chapter::{Chapter, Story, series, story};
use crate::{
    expect::{blocks, is_served, is_told},
    frames::{ACK, FIN, SYN, tcp, udp},
    scenario::Scenario,
};

pub(super) fn chapters() -> Vec<Chapter> {
    const HOUR_NS: u64 = 3_600_000_000_000;
    let scenario = Scenario::with(|settings| {
        settings.session_ns = HOUR_NS;
        settings.first_ephemeral = 32_768;
        settings.last_ephemeral = 60_999;
        settings.remembers = 0;
    });
    vec![Chapter {
        what: "the host sent packets a moment ago",
        scenario: scenario.with_sent(),
        stories: stories(),
    }]
}

/// Each story has sources of its own, because the first probe blocks.
fn stories() -> Vec<Story> {
    let [client, other] = ["192.0.2.200:50000", "192.0.2.200:50009"];
    vec![
        series(
            "a datagram from the port that the host asked is an answer",
            [
                (udp().from("192.0.2.200:53").to("198.51.100.1:990"), is_served()),
                (udp().from("[2001:db8:bad::c8]:53").to("[2001:db8::1]:990"), is_served()),
                (udp().from("192.0.2.200:1234").to("198.51.100.1:1900"), is_served()),
            ],
        ),
        series(
            "a segment of a translated connection is no probe",
            [
                (tcp(ACK).from(client).to("198.51.100.2:1023"), is_served()),
                (tcp(ACK | FIN).from(client).to("198.51.100.2:1023"), is_served()),
                (tcp(ACK).from(other).to("198.51.100.2:1023"), is_told(Kind::Ack, Verdict::Noticed, 0)),
            ],
        ),
        story(
            "a datagram that nobody asked for is a probe, whatever its source port",
            udp().from("192.0.2.61:53").to("198.51.100.1:990"),
            blocks(Kind::Udp),
        ),
        story(
            "a SYN from the port of a translated client is a probe",
            tcp(SYN).from("192.0.2.200:50001").to("198.51.100.2:23"),
            blocks(Kind::Syn),
        ),
    ]
}
