use super::*;

const SECOND: u64 = 1_000_000_000;
const LIMITS: Limits = Limits { repeat_window: Duration::from_mins(1), event_rate: 3, fence_rate: 2 };

fn visits() -> Visits {
    Visits::new(LIMITS)
}

fn source(number: u32) -> IpAddr {
    IpAddr::from(number.to_be_bytes())
}

#[test]
fn a_visit_without_proof_is_fenced_where_fences_are() {
    for (trigger, response, fences, proof, is_exempt, expected) in [
        (0, Response::Block, true, Proof::Connection, false, (Verdict::Block, 1)),
        (1, Response::Block, true, Proof::None, false, (Verdict::Fence, 1)),
        (1, Response::Block, false, Proof::None, false, (Verdict::Block, 1)),
        (2, Response::Block, true, Proof::Connection, false, (Verdict::Counted, 1)),
        (1, Response::LogOnly, true, Proof::Connection, false, (Verdict::Report, 1)),
        (1, Response::CommandOnly, true, Proof::None, false, (Verdict::Report, 1)),
        (1, Response::Block, true, Proof::Connection, true, (Verdict::Ignored, 0)),
    ] {
        let rules = Rules { trigger, response, fences };
        let judged = visits().judge([192, 0, 2, 9].into(), proof, is_exempt, rules);
        assert_eq!(judged, expected, "{rules:?} {proof:?}");
    }
}

#[test]
fn visits_count_up_to_the_trigger() {
    let rules = Rules { trigger: 2, response: Response::Block, fences: true };
    let mut visits = visits();
    let mut judge = || visits.judge([192, 0, 2, 9].into(), Proof::Connection, false, rules).0;
    assert_eq!([judge(), judge()], [Verdict::Counted, Verdict::Block]);
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
        visits.judge(source(number), Proof::Connection, false, rules);
        assert!(visits.may_tell((source(number), 11, Protocol::Tcp), false, SECOND));
    }
    assert_eq!(visits.counted.len(), 7);
    assert_eq!(visits.told.len(), TOLD.get());
    assert!(visits.may_tell((source(0), 11, Protocol::Tcp), false, SECOND), "the first is forgotten");
    assert!(!visits.may_tell((source(9), 11, Protocol::Tcp), false, SECOND), "and the others are not");
}
