//! SYNs of fenced sources to own addresses, where the fence is open.

use portsentry_common::classify::Kind;

use super::chapter::{Chapter, Story, series};
use crate::{
    expect::{fences, is_answered, is_fenced_off, is_fenced_through},
    frames::{Checksum, Extension, Packet, SYN, XMAS, tcp},
    scenario::{Scenario, open_fences},
};

/// A maximum segment size.
const SIZE: [u8; 4] = [2, 4, 5, 180];
const TRAP: &str = "198.51.100.1:11";
const SERVICE: &str = "198.51.100.1:22";
/// Neither served nor watched.
const OTHER: &str = "198.51.100.1:40404";

pub(super) fn chapters() -> Vec<Chapter> {
    let [(forwarding, forward), (accepting, accept)] = open_fences(&Scenario::default());
    let of = |what, scenario, accepts| Chapter { what, scenario, stories: stories(accepts) };
    vec![of(forwarding, forward, false), of(accepting, accept, true)]
}

/// A SYN as stacks send it. Interfaces without Ethernet headers send no answers, and carry no tags.
fn syn(to: &str) -> Packet {
    tcp(SYN).to(to).tcp_options(&SIZE).checksum(Checksum::Right).vlan(7)
}

fn stories(accepts: bool) -> Vec<Story> {
    // Its source is fenced by another probe first.
    let fenced = |to: &str| (tcp(XMAS).to(to), fences(Kind::Xmas));
    let of_service = || if accepts { is_answered() } else { is_fenced_through() };
    let dropped = || is_fenced_off(None);
    let bare = |to: &str| syn(to).tcp_options(&[]);
    let of_bare = || if accepts { is_answered() } else { dropped() };
    let partial = |to: &str| syn(to).checksum(Checksum::Partial);
    let wrong = |to: &str| syn(to).checksum(Checksum::Zero);
    let of_wrong = if accepts { dropped() } else { is_fenced_through() };
    let prefix = if accepts { 64 } else { 0 };
    let [trap_v6, service_v6] = ["[2001:db8::1]:11", "[2001:db8::1]:25"];
    vec![
        series(
            "every port answers a fenced source's SYN",
            [
                fenced(TRAP),
                (syn(TRAP), is_answered()),
                (syn(OTHER), is_answered()),
                (syn(SERVICE), of_service()),
                (syn(SERVICE).vlan(8), of_service()),
                (syn(OTHER).vlan(8).vlan(9), dropped()),
            ],
        ),
        series(
            "a SYN without options is answered where no service answers",
            [fenced(TRAP), (bare(TRAP), of_bare()), (bare(OTHER), of_bare()), (bare(SERVICE), of_bare())],
        ),
        series(
            "a checksum that is left to a card is answered on every port",
            [
                fenced(TRAP),
                (partial(TRAP), is_answered()),
                (partial(OTHER), is_answered()),
                (partial(SERVICE), of_service()),
            ],
        ),
        series(
            "a SYN with a wrong checksum is answered on no port",
            [fenced(TRAP), (wrong(TRAP), dropped()), (wrong(OTHER), dropped()), (wrong(SERVICE), of_wrong)],
        ),
        series(
            "a SYN that no stack sends is dropped on every port",
            [
                fenced(TRAP),
                (syn(OTHER).payload(1), dropped()),
                (syn(SERVICE).payload(1), dropped()),
                (syn(OTHER).ipv4_options(4), dropped()),
                (syn(SERVICE).ipv4_options(4), dropped()),
                (syn(OTHER).first_fragment(24), dropped()),
                (syn(SERVICE).first_fragment(24), dropped()),
            ],
        ),
        series(
            "the same holds over IPv6",
            [
                (tcp(XMAS).to(trap_v6), fences(Kind::Xmas).by(prefix)),
                (syn(trap_v6), is_answered()),
                (syn(service_v6), of_service()),
                (partial(service_v6), of_service()),
                (bare(trap_v6), of_bare()),
                (wrong(trap_v6), dropped()),
                (syn(service_v6).extension(Extension::HopByHop(1)), dropped()),
                (syn(trap_v6).extension(Extension::HopByHop(1)), dropped()),
            ],
        ),
    ]
}
