use super::*;

const SECOND: u64 = 1_000_000_000;
const LIMITS: Limits = Limits {
    repeat_window: Duration::from_mins(1),
    event_rate: 3,
    fence_rate: 2,
    trigger_window: Duration::from_hours(1),
    proof_traps: 2,
};

fn visits() -> Visits {
    Visits::new(LIMITS)
}

fn source(number: u32) -> IpAddr {
    IpAddr::from(number.to_be_bytes())
}

const fn shaken(traps: u32) -> HandshakeCount {
    HandshakeCount { traps, is_connected: false }
}

fn call(source: IpAddr, pair: u32, proof: Proof) -> Call {
    Call { source, pair, proof, now_ns: SECOND }
}

#[test]
fn connections_to_enough_traps_prove_and_datagrams_do_not() {
    let client = |traps| HandshakeCount { traps, is_connected: true };
    let (connection, none) = (Proof::Connection, Proof::None);
    for (trigger, response, fences, proof, is_exempt, shaken, expected) in [
        (0, Response::Block, true, connection, false, shaken(1), (Verdict::Fence, 1)),
        (0, Response::Block, true, connection, false, shaken(2), (Verdict::Block, 1)),
        (0, Response::Block, true, connection, false, client(7), (Verdict::Fence, 1)),
        (0, Response::Block, true, connection, false, client(8), (Verdict::Block, 1)),
        (0, Response::Block, false, connection, false, shaken(1), (Verdict::Block, 1)),
        (1, Response::Block, true, none, false, shaken(9), (Verdict::Fence, 1)),
        (1, Response::Block, false, none, false, shaken(0), (Verdict::Block, 1)),
        (2, Response::Block, true, connection, false, shaken(9), (Verdict::Counted, 1)),
        (1, Response::LogOnly, true, connection, false, shaken(9), (Verdict::Report, 1)),
        (1, Response::CommandOnly, true, none, false, shaken(0), (Verdict::Report, 1)),
        (1, Response::Block, true, connection, true, shaken(9), (Verdict::Ignored, 0)),
    ] {
        let rules = Rules { trigger, response, fences };
        let judged = visits().judge(&call([192, 0, 2, 9].into(), 7, proof), is_exempt, rules, shaken);
        assert_eq!(judged, expected, "{rules:?} {proof:?} {shaken:?}");
    }
}

#[test]
fn who_is_connected_is_spared_for_a_while() {
    for (traps, expected) in [(1, false), (2, true), (7, true), (8, false)] {
        assert_eq!(visits().would_spare(shaken(traps)), expected, "{traps}");
    }
}

#[test]
fn distinct_traps_count_up_to_the_trigger() {
    let rules = Rules { trigger: 2, response: Response::Block, fences: true };
    let mut visits = visits();
    let mut judge = |pair| {
        let call = call([192, 0, 2, 9].into(), pair, Proof::Connection);
        visits.judge(&call, false, rules, shaken(2)).0
    };
    assert_eq!([judge(7), judge(7), judge(8)], [Verdict::Counted, Verdict::Counted, Verdict::Block]);
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
        // Repeats don't put off the end of the window.
        (69, (source(1), 11, tcp), false, false),
        (70, (source(1), 11, tcp), false, true),
        // Whoever is blocked, or blocked anew, is told of, and his window begins anew.
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
    // A repeat takes nothing of it, and what was left out is none.
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
    let rules = Rules { trigger: 3, response: Response::Block, fences: true };
    let mut visits = Visits::new(Limits { event_rate: u32::MAX, ..LIMITS });
    for number in 0..u32::try_from(COUNTED).unwrap() + 7 {
        visits.judge(&call(source(number), 7, Proof::Connection), false, rules, shaken(1));
        assert!(visits.may_tell((source(number), 11, Protocol::Tcp), false, SECOND));
    }
    assert_eq!(visits.counted.len(), 7);
    assert_eq!(visits.told.len(), TOLD.get());
    assert!(visits.may_tell((source(0), 11, Protocol::Tcp), false, SECOND), "the first is forgotten");
    assert!(!visits.may_tell((source(9), 11, Protocol::Tcp), false, SECOND), "and the others are not");
}
