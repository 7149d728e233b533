use std::time::{Duration, SystemTime};

use portsentry_common::{classify::Protocol, decide::Verdict};
use proptest::prelude::*;

use super::{
    super::{hold::is_same_moment, sample_scan, sample_sighting},
    Effect::{Allow, Deny, Emit, File, History, Map, Metric, Run, Share},
    *,
};

const NETWORK: IpNet = IpNet::V4(ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(192, 0, 2, 9), 32));

fn rules(kills_on_proof: bool) -> Rules {
    Rules {
        terms: Terms {
            block: Duration::from_mins(1),
            factor: 2,
            longest: Duration::ZERO,
            fence: Duration::from_secs(5),
        },
        tcp: Response::Block,
        udp: Response::LogOnly,
        kills_on_proof,
        tells_changes: false,
    }
}

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(second)
}

fn block() -> Record {
    Record {
        network: NETWORK,
        hold: Hold { proof: Proof::Cookie, ..Hold::for_good(at(1000), 11, Protocol::Tcp) },
    }
}

fn fence() -> Record {
    let hold = Hold { is_fence: true, proof: Proof::None, ..block().hold };
    Record { hold, ..block() }
}

fn ordered() -> Record {
    Record { network: NETWORK, hold: Hold::ordered(at(2000), Some(at(2060))) }
}

/// The effects of blocking or fencing a free network, for each cause.
#[test]
fn each_way_in_has_its_effects() {
    use Admission::{Administrator, List, Offline, Peer, Scan, Sighting, TakenOver, Trap, Untold};
    let kill = [Run(Occasion::Kill), Deny { is_new: true }];
    let show = File(FileChange::Show);
    let probe = [Emit(Line::Attack), Emit(Line::Blocked), History(HistoryAction::Blocked), show];
    let order = [Map(Change::Enter), Emit(Line::Ordered), History(HistoryAction::Blocked), show];
    for (cause, record, first) in [
        (Sighting, block(), &[&probe[..], &kill].concat()[..]),
        (Scan, block(), &[&probe[..], &kill].concat()),
        (Trap, block(), &[&probe[..], &kill].concat()),
        (Untold, block(), &[&[Emit(Line::Found), History(HistoryAction::Blocked), show][..], &kill].concat()),
        (TakenOver, block(), &[Map(Change::Enter), show, Deny { is_new: false }]),
        (Administrator, ordered(), &[&order[..], &kill].concat()),
        (Offline, ordered(), &[&order[..], &kill].concat()),
        (List, ordered(), &[Map(Change::Enter)]),
        (Peer, block(), &[Map(Change::Enter), Emit(Line::OfPeer)]),
    ] {
        let mut register = Register::new(rules(false));
        let decision = register.admit(cause, record);
        let is_own = !matches!(cause, List | Peer | TakenOver) && !record.hold.is_fence;
        let share: &[Effect] = if is_own { &[Share(Shared::Block)] } else { &[] };
        let expected = [first, &[Metric(Count::Admitted(cause))], share].concat();
        assert_eq!(decision.effects, expected, "{cause:?}");
    }
}

#[test]
fn each_way_out_has_its_effects() {
    let all = |cause, forget: &[Effect], history: &[Effect]| {
        let first = if cause == Release::Crowded { vec![] } else { vec![Map(Change::Remove)] };
        let is_early = matches!(cause, Release::Administrator | Release::Exempt);
        let acquit = if is_early { vec![Map(Change::Acquit)] } else { vec![] };
        let told = if cause == Release::Crowded { vec![] } else { vec![Emit(Line::Lifted)] };
        let files = [File(FileChange::Hide), Allow, Run(Occasion::Lift), Metric(Count::Released(cause))];
        [&first[..], forget, &acquit, &told, history, &files].concat()
    };
    let (forget, lifted) = ([Map(Change::Forget)], [History(HistoryAction::Lifted)]);
    for cause in Release::ALL {
        let mut register = Register::new(rules(false));
        register.admit(Admission::Sighting, fence());
        let is_early = matches!(cause, Release::Administrator | Release::Exempt | Release::Fleet);
        let history = if is_early { &lifted[..] } else { &[] };
        assert_eq!(register.release(cause, NETWORK).1, all(cause, &[], history), "a fence, {cause:?}");
        assert!(register.ledger().is_empty());
        if cause != Release::Crowded {
            register.admit(Admission::Sighting, block());
            let shared = (cause == Release::Administrator).then_some(Share(Shared::Lift));
            let expected: Vec<_> = all(cause, &forget, &lifted).into_iter().chain(shared).collect();
            assert_eq!(register.release(cause, NETWORK).1, expected, "a block, {cause:?}");
        }
        let unknown = register.release(Release::Over, NETWORK);
        let kernel = [
            Map(Change::Remove),
            Map(Change::Forget),
            Emit(Line::Lifted),
            Metric(Count::Released(Release::Over)),
        ];
        assert_eq!(unknown, (None, kernel.into()), "one that no register knows");
    }
}

#[test]
fn commands_are_run_once_at_the_trigger_or_on_proof() {
    let runs = |decision: Decision| -> Vec<Occasion> {
        let run = |effect: &Effect| if let Run(occasion) = effect { Some(*occasion) } else { None };
        decision.effects.iter().filter_map(run).collect()
    };
    for (on_proof, tells_changes, expected) in [
        (false, false, [&[Occasion::Kill][..], &[], &[]]),
        (false, true, [&[Occasion::Kill], &[Occasion::Change], &[]]),
        (true, true, [&[], &[Occasion::Kill], &[]]),
    ] {
        let mut register = Register::new(Rules { tells_changes, ..rules(on_proof) });
        let records = [fence(), block(), block()];
        let ran = records.map(|record| runs(register.admit(Admission::Sighting, record)));
        assert_eq!(ran.each_ref().map(Vec::as_slice), expected, "{on_proof} {tells_changes}");
        let lift = Run(Occasion::Lift);
        assert!(register.release(Release::Over, NETWORK).1.contains(&lift));
        register.admit(Admission::Sighting, fence());
        assert_eq!(register.release(Release::Over, NETWORK).1.contains(&lift), !on_proof);
    }
}

#[test]
fn who_comes_again_is_blocked_for_longer_and_an_administrators_block_is_no_offence() {
    let mut register = Register::new(rules(false));
    let first = register.admit(Admission::Sighting, block());
    assert_eq!(first.record.hold.until, Some(at(1060)));
    register.release(Release::Over, NETWORK);
    let again = register.admit(Admission::Untold, block());
    assert_eq!(again.record.hold.until, Some(at(1120)));
    assert_eq!(again.effects[..2], [Map(Change::Extend), Emit(Line::Reoffended { times: 2 })]);
    register.release(Release::Over, NETWORK);
    for cause in [Admission::Administrator, Admission::TakenOver] {
        register.admit(cause, ordered());
        register.release(Release::Over, NETWORK);
    }
    assert_eq!(register.until(NETWORK, &block().hold), Some(at(1120)), "two blocks so far");
}

#[test]
fn an_administrator_changes_the_terms_of_a_block() {
    let mut register = Register::new(rules(false));
    register.admit(Admission::Sighting, block());
    let decision = register.admit(Admission::Administrator, ordered());
    let expected = Hold { until: Some(at(2060)), proof: Proof::Administrator, ..block().hold };
    assert_eq!(decision.record.hold, expected);
    assert_eq!(register.ledger().get(NETWORK), Some(&expected));
    assert!(
        decision.effects.contains(&Deny { is_new: false })
            && !decision.effects.contains(&Run(Occasion::Kill))
    );
    assert_eq!(register.admit(Admission::Sighting, block()).effects, [Emit(Line::Attack)]);
}

fn sighting(verdict: Verdict) -> Sighting {
    Sighting { verdict, ..sample_sighting() }
}

#[test]
fn each_verdict_that_holds_nobody_has_its_effects() {
    for (verdict, response, first, again) in [
        (Verdict::Counted, Response::Block, &[Emit(Line::Notice)][..], &[Emit(Line::Notice)][..]),
        (Verdict::Noticed, Response::Block, &[Emit(Line::Notice)], &[Emit(Line::Notice)]),
        (Verdict::Ignored, Response::Block, &[Emit(Line::Notice)], &[Emit(Line::Notice)]),
        (
            Verdict::Report,
            Response::LogOnly,
            &[Emit(Line::Attack), Emit(Line::LeftAlone), History(HistoryAction::Reported)],
            &[Emit(Line::Attack), History(HistoryAction::Reported)],
        ),
        (
            Verdict::Report,
            Response::CommandOnly,
            &[Emit(Line::Attack), History(HistoryAction::Reported), Run(Occasion::Command)],
            &[Emit(Line::Attack), History(HistoryAction::Reported), Run(Occasion::Command)],
        ),
        (
            Verdict::Full,
            Response::Block,
            &[Emit(Line::Attack), Emit(Line::Full)],
            &[Emit(Line::Attack), Emit(Line::Full)],
        ),
    ] {
        let mut register = Register::new(Rules { tcp: response, ..rules(false) });
        assert_eq!(register.witness(&sighting(verdict)), first, "{verdict:?}");
        assert_eq!(register.witness(&sighting(verdict)), again, "{verdict:?} again");
        assert!(register.ledger().is_empty());
    }
}

/// `SCAN_DETECTION` asks for it, not `BLOCK_TCP`: no command runs, and no log watcher bans the source.
#[test]
fn a_reported_scan_has_a_line_of_its_own() {
    let effects = [Emit(Line::Scan), History(HistoryAction::Reported), Metric(Count::Scan)];
    for response in [Response::Block, Response::LogOnly, Response::CommandOnly] {
        let mut register = Register::new(Rules { tcp: response, ..rules(false) });
        let scan = Sighting { scan: Some(sample_scan()), ..sighting(Verdict::Report) };
        assert_eq!(register.witness(&scan), effects, "{response:?}");
        assert_eq!(register.witness(&scan), [], "{response:?}: not once for each port");
        assert!(register.ledger().is_empty());
        let first = register.witness(&sighting(Verdict::Report));
        assert_eq!(first.contains(&Emit(Line::LeftAlone)), response != Response::CommandOnly);
    }
}

#[test]
fn the_reason_for_a_scans_fence_is_its_evidence() {
    let scan = Sighting { scan: Some(sample_scan()), ..sighting(Verdict::Fence) };
    let reason = "sweep: 6 failed first contacts within 42 s, score 15.4";
    let case = Case::held(Admission::of(&scan), fence(), Some(&scan), Why::Usual);
    assert_eq!((case.cause, case.reason.as_str()), ("scan", reason));
    assert_eq!(Admission::of(&sighting(Verdict::Fence)), Admission::Sighting);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    In(Admission, bool),
    Out(Release),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let cause = prop::sample::select(&Admission::ALL[..]);
    let way_in = (cause, any::<bool>()).prop_map(|(cause, is_fence)| Step::In(cause, is_fence));
    let way_out = prop::sample::select(&Release::ALL[..]).prop_map(Step::Out);
    prop::collection::vec(prop_oneof![way_in, way_out], 0..20)
}

proptest! {
    /// In any sequence of events, commands that ran for a block or fence also run for its release. `hosts.deny` and
    /// the blocked file name the network exactly as long as the register does.
    #[test]
    fn what_is_done_is_undone(steps in steps(), on_proof: bool) {
        let mut register = Register::new(rules(on_proof));
        let (mut is_killed, mut is_denied, mut is_shown) = (false, false, false);
        for step in steps {
            let effects = match step {
                // The block list's and the peers' entries are only in the kernel's maps.
                Step::In(Admission::List | Admission::Peer, _) => continue,
                Step::In(cause @ (Admission::Administrator | Admission::Offline), _) => register.admit(cause, ordered()).effects,
                Step::In(cause, is_fence) => {
                    register.admit(cause, if is_fence { fence() } else { block() }).effects
                }
                Step::Out(Release::Crowded) if register.ledger().get(NETWORK).is_some_and(|hold| !hold.is_fence) => continue,
                Step::Out(cause) => register.release(cause, NETWORK).1,
            };
            for effect in effects {
                match effect {
                    Run(Occasion::Kill) => {
                        prop_assert!(!is_killed, "once");
                        is_killed = true;
                    }
                    Run(Occasion::Lift) => is_killed = false,
                    Deny { .. } => is_denied = true,
                    Allow => is_denied = false,
                    File(change) => is_shown = change == FileChange::Show,
                    _ => {}
                }
            }
            let hold = register.ledger().get(NETWORK);
            prop_assert_eq!(is_shown, hold.is_some());
            prop_assert_eq!(is_denied, hold.is_some_and(|hold| register.rules().kills(hold)));
            prop_assert!(!is_killed || is_denied);
        }
    }

    #[test]
    fn a_block_never_ends_before_the_first_ones_time(times in 1..6_u32) {
        let mut register = Register::new(rules(false));
        for number in 0..times {
            let until = register.admit(Admission::Sighting, block()).record.hold.until.unwrap();
            prop_assert!(is_same_moment(until, at(1000 + (60 << number))));
            register.release(Release::Over, NETWORK);
        }
    }
}
