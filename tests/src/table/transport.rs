//! TCP flags, UDP, and destination ports.

use portsentry_common::{classify::Kind, counter::Counter, decide::Verdict};

use super::chapter::{Story, series, story};
use crate::{
    expect::{blocks, is_dropped, is_told, passes, passes_as},
    frames::{ACK, CWR, ECE, FIN, Layer, PSH, RST, SYN, URG, XMAS, tcp, udp},
};

const OWN: &str = "198.51.100.1:23";
const OWN_V6: &str = "[2001:db8::1]:23";

pub(super) fn stories() -> Vec<Story> {
    [probes(), answers(), ports(), blocked()].concat()
}

fn probes() -> Vec<Story> {
    let probe = |flags: u8| tcp(flags).to(OWN);
    vec![
        story("a SYN to a watched port is reported and its source blocked", probe(SYN), blocks(Kind::Syn)),
        story("a SYN over IPv6 is reported and its source blocked", tcp(SYN).to(OWN_V6), blocks(Kind::Syn)),
        story("a SYN that offers ECN is a SYN", probe(SYN | ECE | CWR), blocks(Kind::Syn)),
        story("a SYN with data is a SYN", probe(SYN).payload(100), blocks(Kind::Syn)),
        story("a FIN is a probe", probe(FIN), blocks(Kind::Fin)),
        story("no flag at all is a probe", probe(0), blocks(Kind::Null)),
        story("ECN bits alone count as no flag", probe(ECE | CWR), blocks(Kind::Null)),
        story("an Xmas packet is a probe", probe(XMAS), blocks(Kind::Xmas)),
        story("SYN with FIN is a probe", probe(SYN | FIN), blocks(Kind::Unknown)),
        story("SYN with RST is a probe", probe(SYN | RST), blocks(Kind::Unknown)),
        story("SYN with FIN and ACK is a probe", probe(SYN | FIN | ACK), blocks(Kind::Unknown)),
        story("URG alone is a probe", probe(URG), blocks(Kind::Unknown)),
        story("PSH alone is a probe", probe(PSH), blocks(Kind::Unknown)),
        story("every flag at once is a probe", probe(0xff), blocks(Kind::Unknown)),
        story(
            "FIN with ACK outside any connection is reported",
            probe(FIN | ACK),
            is_told(Kind::Maimon, Verdict::Noticed, 0),
        ),
        story(
            "an ACK outside any connection is reported",
            probe(ACK),
            is_told(Kind::Ack, Verdict::Noticed, 0),
        ),
        story(
            "data outside any connection is reported",
            tcp(PSH | ACK).to(OWN_V6).payload(9),
            is_told(Kind::Ack, Verdict::Noticed, 0),
        ),
        story(
            "a datagram to a watched port is reported and its source blocked",
            udp().to("198.51.100.1:69"),
            blocks(Kind::Udp),
        ),
        story(
            "an IPv6 datagram is reported and its source blocked",
            udp().to("[2001:db8::1]:69").payload(9),
            blocks(Kind::Udp),
        ),
        story(
            "a datagram without a length is as long as its packet",
            udp().to("198.51.100.1:69").with(Layer::Transport, 4, &[0, 0]),
            blocks(Kind::Udp),
        ),
        story(
            "a datagram shorter than its packet is a probe",
            udp().to("198.51.100.1:69").payload(9).with(Layer::Transport, 4, &[0, 8]),
            blocks(Kind::Udp),
        ),
    ]
}

fn answers() -> Vec<Story> {
    vec![
        story("an answer to the host's SYN never counts", tcp(SYN | ACK).to(OWN), passes()),
        story("an answer to the host's SYN with ECN never counts", tcp(SYN | ACK | ECE).to(OWN), passes()),
        story("a reset never counts", tcp(RST).to(OWN), passes()),
        story("a reset with ACK never counts", tcp(RST | ACK).to(OWN_V6), passes()),
        story("a reset with data never counts", tcp(RST | PSH | ACK).to(OWN).payload(9), passes()),
    ]
}

fn ports() -> Vec<Story> {
    let to = |at: &str| tcp(SYN).to(at);
    vec![
        story("the first port of advanced mode is watched", to("198.51.100.1:1"), blocks(Kind::Syn)),
        story("the last port of advanced mode is watched", to("198.51.100.1:1023"), blocks(Kind::Syn)),
        story("the port after advanced mode's last is not watched", to("198.51.100.1:1024"), passes()),
        story("a listed port beyond advanced mode is watched", to("198.51.100.1:1025"), blocks(Kind::Syn)),
        story("the highest port may be listed", to("[2001:db8::1]:65535"), blocks(Kind::Syn)),
        story("an excluded port is not watched", to("198.51.100.1:113"), passes()),
        story("a port excluded for TCP is watched for UDP", udp().to("198.51.100.1:113"), blocks(Kind::Udp)),
        story("a port excluded for UDP is not watched", udp().to("198.51.100.1:520"), passes()),
        story("a port excluded for UDP is watched for TCP", to("198.51.100.1:520"), blocks(Kind::Syn)),
        story("a port listed for TCP isn't watched for UDP", udp().to("198.51.100.1:8080"), passes()),
        story("a port listed for UDP isn't watched for TCP", to("198.51.100.1:1900"), passes()),
        story("port 0 is not watched unless listed", to("198.51.100.1:0"), passes()),
        story("a probe counts from any source port", to(OWN).from("192.0.2.201:53"), blocks(Kind::Syn)),
    ]
}

fn blocked() -> Vec<Story> {
    let blocked = || (tcp(SYN).to(OWN), blocks(Kind::Syn));
    let blocked_v6 = || (tcp(SYN).to(OWN_V6), blocks(Kind::Syn));
    vec![
        series(
            "every packet from a blocked source is dropped, whatever its kind and port",
            [
                blocked(),
                (tcp(SYN).to(OWN), is_dropped()),
                (tcp(SYN).to("198.51.100.1:113"), is_dropped()),
                (tcp(SYN).to("198.51.100.1:22"), is_dropped()),
                (tcp(RST).to("198.51.100.1:22"), is_dropped()),
                (tcp(ACK).to("198.51.100.2:60000"), is_dropped()),
                (udp().to("198.51.100.1:53"), is_dropped()),
                (crate::frames::protocol(1).to("198.51.100.1:0"), is_dropped()),
            ],
        ),
        series(
            "every packet from a blocked IPv6 source is dropped",
            [
                blocked_v6(),
                (tcp(SYN).to("[2001:db8::1]:25"), is_dropped()),
                (udp().to("[2001:db8::2]:60000"), is_dropped()),
                (crate::frames::protocol(58).to("[ff02::1]:0"), is_dropped()),
            ],
        ),
        series(
            "an unreadable packet is dropped if its blocked source is readable",
            [
                blocked(),
                (tcp(SYN).to(OWN).with(Layer::Network, 0, &[0x4f]), is_dropped()),
                (tcp(SYN).to(OWN).cut(Layer::Network, 16), is_dropped()),
                (tcp(SYN).to(OWN).cut(Layer::Network, 15), passes_as(Counter::MalformedIpv4)),
            ],
        ),
        series(
            "an unreadable IPv6 packet is dropped if its blocked source is readable",
            [
                blocked_v6(),
                (tcp(SYN).to(OWN_V6).with(Layer::Network, 0, &[0x40]), is_dropped()),
                (tcp(SYN).to(OWN_V6).cut(Layer::Network, 24), is_dropped()),
                (tcp(SYN).to(OWN_V6).cut(Layer::Network, 23), passes_as(Counter::MalformedIpv6)),
            ],
        ),
        series(
            "a neighbour of a blocked source is not dropped",
            [
                (tcp(SYN).to(OWN).from("192.0.2.202:1"), blocks(Kind::Syn)),
                (tcp(SYN).to("198.51.100.1:113").from("192.0.2.203:1"), passes()),
                (tcp(SYN).to("198.51.100.1:113").from("192.0.2.202:1"), is_dropped()),
            ],
        ),
    ]
}
