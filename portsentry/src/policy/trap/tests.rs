use portsentry_common::{classify::Kind, settings::Response};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn settings() -> Settings {
    Settings {
        repeat_ns: 60 * SECOND,
        event_rate: 3,
        fence_rate: 2,
        fence_ns: SECOND,
        proof_traps: 2,
        trigger: 1,
        tcp_response: Response::Block as u8,
        udp_response: Response::Block as u8,
        ..Settings::UNSET
    }
}

fn visits() -> Visits {
    Visits::new(settings())
}

fn source(number: u32) -> IpNet {
    IpAddr::from(number.to_be_bytes()).into()
}

const fn shaken(traps: u32) -> HandshakeCount {
    HandshakeCount { traps, is_connected: false }
}

const fn probe(protocol: Protocol) -> Probe {
    Probe { protocol, kind: Kind::Connect, source_port: 40_000, port: 11, flags: 0 }
}

#[test]
fn connections_to_enough_traps_prove_and_datagrams_do_not() {
    let client = |traps| HandshakeCount { traps, is_connected: true };
    let (connection, none) = (Proof::Connection, Proof::None);
    let blocks = settings();
    let unproven = Settings { fence_ns: 0, ..blocks };
    let reports = Settings { tcp_response: Response::Report as u8, ..blocks };
    let later = Settings { trigger: 2, ..blocks };
    for (settings, hits, proof, shaken, expected) in [
        (blocks, 1, connection, shaken(1), Verdict::Fence),
        (blocks, 1, connection, shaken(2), Verdict::Block),
        (blocks, 1, connection, client(7), Verdict::Fence),
        (blocks, 1, connection, client(8), Verdict::Block),
        (blocks, 1, none, shaken(9), Verdict::Fence),
        (unproven, 1, connection, shaken(1), Verdict::Block),
        (unproven, 1, none, shaken(0), Verdict::Block),
        (later, 1, connection, shaken(9), Verdict::Counted),
        (later, 2, connection, shaken(9), Verdict::Block),
        (reports, 1, connection, shaken(9), Verdict::Report),
    ] {
        let visits = Visits::new(settings);
        let judged = visits.judge(&probe(Protocol::Tcp), hits, proof, shaken);
        assert_eq!(judged, expected, "{settings:?} {hits} {proof:?} {shaken:?}");
        assert_eq!(visits.counts(), settings.trigger > 1);
        assert_eq!(visits.asks_for_proof(Protocol::Tcp), settings.fence_ns != 0 && settings != reports);
    }
}

#[test]
fn handshakes_add_up_while_nothing_is_blocked() {
    let mut visits =
        Visits::new(Settings { tcp_response: Response::Report as u8, tally_ns: 3600 * SECOND, ..settings() });
    assert!(visits.would_ask_for_proof(Protocol::Tcp) && !visits.would_ask_for_proof(Protocol::Udp));
    for (number, pair, second, expected) in
        [(1, 11, 0, false), (1, 11, 1, false), (2, 15, 2, false), (1, 15, 3, true), (1, 79, 7300, false)]
    {
        let shaken = visits.rehearse(source(number), pair, second * SECOND);
        assert_eq!(visits.would_block(shaken), expected, "{number} {pair}");
    }
}

#[test]
fn who_is_connected_is_spared_for_a_while() {
    for (traps, expected) in [(1, false), (2, true), (7, true), (8, false)] {
        assert_eq!(visits().would_spare(shaken(traps)), expected, "{traps}");
    }
}

#[test]
fn a_repeat_is_no_news_until_the_window_is_over() {
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    let mut visits = visits();
    for (second, sight, entered, expected) in [
        (10, (source(1), 11, tcp), false, true),
        (11, (source(1), 11, tcp), false, false),
        (12, (source(1), 11, udp), false, true),
        (13, (source(1), 12, tcp), false, true),
        (14, (source(2), 11, tcp), false, true),
        // Repeats don't extend the window.
        (69, (source(1), 11, tcp), false, false),
        (70, (source(1), 11, tcp), false, true),
        // A source that is blocked, for the first time or again, is reported, and its window starts over.
        (90, (source(1), 11, tcp), true, true),
        (149, (source(1), 11, tcp), false, false),
        (150, (source(1), 11, tcp), false, true),
    ] {
        assert_eq!(visits.may_tell(sight, entered, second * SECOND), expected, "{second}: {sight:?}");
    }
    assert_eq!(visits.left_out(), LeftOut::default(), "repeats are not missed");
}

#[test]
fn no_more_is_told_than_the_rate_and_the_rest_is_counted() {
    let mut visits = visits();
    let mut tell =
        |number, entered, at_ns| visits.may_tell((source(number), 11, Protocol::Udp), entered, at_ns);
    let told: Vec<bool> = (0..8).map(|number| tell(number, number % 2 == 0, SECOND)).collect();
    assert_eq!(told, [true, true, true, false, false, false, false, false]);
    // A repeat uses no token, and doesn't count as left out.
    assert!(!tell(0, false, SECOND + SECOND / 3));
    assert!(tell(7, false, SECOND + SECOND / 3));
    assert!(!tell(6, false, SECOND + SECOND / 3));
    assert_eq!(visits.left_out(), LeftOut { untold: 6, unfenced: 0 });
    assert_eq!(visits.left_out(), LeftOut::default(), "it is said once");
}

#[test]
fn no_more_are_fenced_than_the_rate_and_the_rest_is_counted() {
    let mut visits = visits();
    assert_eq!([SECOND; 4].map(|now_ns| visits.may_fence(now_ns)), [true, true, false, false]);
    assert!(visits.may_fence(SECOND + SECOND / 2));
    assert_eq!(visits.left_out(), LeftOut { untold: 0, unfenced: 2 });
}

#[test]
fn memory_is_bounded() {
    let mut visits = Visits::new(Settings { event_rate: 1_000_000, ..settings() });
    let may_tell = |visits: &mut Visits, number, at_ns| {
        visits.may_tell((source(number), 11, Protocol::Tcp), false, at_ns)
    };
    for number in 0..u32::try_from(TOLD.get()).unwrap() + 7 {
        assert!(may_tell(&mut visits, number, SECOND));
    }
    assert_eq!(visits.told.len(), TOLD.get());
    assert!(may_tell(&mut visits, 0, SECOND), "the first is forgotten");
    assert!(!may_tell(&mut visits, 9, SECOND), "and the others are not");
}
