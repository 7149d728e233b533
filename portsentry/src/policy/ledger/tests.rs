use std::time::Duration;

use portsentry_common::{block::Proof, classify::Protocol};

use super::*;

const A: IpNet = host(1);
const B: IpNet = host(2);

const fn host(last: u8) -> IpNet {
    IpNet::V4(ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(192, 0, 2, last), 32))
}

fn hold(second: u64) -> Hold {
    let since = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    Hold::for_good(since, 1, Protocol::Tcp)
}

fn line(network: IpNet, second: u64) -> Record {
    Record { network, hold: hold(second) }
}

fn standing(network: IpNet, mirrored: bool) -> SourceState {
    SourceState { network, hold: hold(9), mirrored }
}

fn map<const N: usize>(standings: [SourceState; N]) -> BTreeMap<IpNet, SourceState> {
    standings.map(|standing| (standing.network, standing)).into()
}

fn no_line(_: &Record) -> bool {
    false
}

fn nobody(_: IpNet) -> bool {
    false
}

#[test]
fn a_line_without_a_block_is_blocked_again() {
    let mut ledger = Ledger::default();
    let then = ledger.take_over(Some(&[line(A, 1), line(A, 2)]), &map([]), no_line);
    assert_eq!(then, TakeOver { block: vec![line(A, 1)], ..TakeOver::default() });
    assert_eq!(ledger.records().collect::<Vec<_>>(), [line(A, 1)]);
}

#[test]
fn a_line_and_a_block_agree() {
    let mut ledger = Ledger::default();
    let then = ledger.take_over(Some(&[line(A, 1)]), &map([standing(A, true)]), no_line);
    assert_eq!(then, TakeOver::default());
    assert!(ledger.holds(A));
}

#[test]
fn a_line_taken_out_lifts_the_block() {
    let mut ledger = Ledger::default();
    let then = ledger.take_over(Some(&[]), &map([standing(A, true)]), no_line);
    assert_eq!(then, TakeOver { lift: vec![line(A, 9)], ..TakeOver::default() });
    assert!(ledger.is_empty());
}

#[test]
fn a_block_made_without_a_daemon_is_recorded() {
    let mut ledger = Ledger::default();
    let then = ledger.take_over(Some(&[]), &map([standing(A, false)]), no_line);
    assert_eq!(then, TakeOver { record: vec![line(A, 9)], ..TakeOver::default() });
}

#[test]
fn a_missing_file_lifts_nothing() {
    let mut ledger = Ledger::default();
    let then = ledger.take_over(None, &map([standing(A, true), standing(B, false)]), no_line);
    assert_eq!(then, TakeOver { record: vec![line(B, 9)], ..TakeOver::default() });
    assert_eq!(ledger.len(), 2);
}

#[test]
fn a_fence_ends_and_a_block_takes_its_place() {
    let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    let fence = |end| Hold { is_fence: true, until: Some(at(end)), ..hold(1) };
    let mut ledger = Ledger::default();
    assert!(ledger.enter(A, fence(5)) && ledger.enter(B, fence(6)) && !ledger.enter(B, fence(9)));
    assert_eq!(ledger.over(at(5)).collect::<Vec<_>>(), [A]);
    assert!(ledger.enter(B, hold(2)) && !ledger.enter(B, fence(9)));
    assert_eq!(ledger.over(at(9)).collect::<Vec<_>>(), [A]);
    assert_eq!(ledger.lift(A).map(|record| record.hold), Some(fence(5)));
    assert_eq!(ledger.over(at(9)).count(), 0);
}

#[test]
fn fences_beyond_a_number_are_the_oldest() {
    let mut ledger = Ledger::default();
    for second in [3, 1, 2] {
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let hold = Hold { is_fence: true, until: Some(until), ..hold(0) };
        ledger.enter(host(u8::try_from(second).unwrap()), hold);
    }
    ledger.enter(host(99), hold(0));
    assert_eq!(ledger.surplus(3).count(), 0);
    assert_eq!(ledger.surplus(1).collect::<Vec<_>>(), [A, B]);
}

#[test]
fn an_administrators_terms_are_news_once() {
    let until = |second| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
    let with = |second| {
        let hold = Hold { until: until(second), proof: Proof::Administrator, ..hold(1) };
        Record { network: A, hold }
    };
    let mut ledger = Ledger::default();
    ledger.enter(A, hold(1));
    assert_eq!(ledger.edit(&[with(50)], no_line, nobody).block, [with(50)]);
    let then = ledger.clone().take_over(Some(&[with(50)]), &map([standing(A, true)]), no_line);
    assert_eq!(then, TakeOver::default(), "it is held already");
    let then = Ledger::default().take_over(Some(&[with(50)]), &map([standing(A, true)]), no_line);
    assert_eq!(then, TakeOver { block: vec![with(50)], ..TakeOver::default() });
    ledger.lift(A);
    ledger.enter(A, with(50).hold);
    assert_eq!(ledger.edit(&[with(51)], no_line, nobody), Edit::default(), "as near as rounding");
    assert_eq!(ledger.edit(&[line(A, 1)], no_line, nobody), Edit::default(), "no terms are no other terms");
}

#[test]
fn an_edited_file_blocks_and_lifts() {
    let [c, d, e] = [3, 4, 5].map(host);
    let mut ledger = Ledger::default();
    for source in [A, B, c] {
        ledger.enter(source, hold(1));
    }
    let edit =
        ledger.edit(&[line(A, 7), line(d, 2), line(e, 3)], |line| line.network == e, |source| source == c);
    assert_eq!(edit, Edit { block: vec![line(d, 2)], lift: vec![B], exempt: vec![e] });
}

#[test]
fn who_is_never_blocked_is_lifted_and_left_out() {
    let mut ledger = Ledger::default();
    let c = host(3);
    let lines = [line(A, 1), line(c, 1)];
    let then = ledger.take_over(Some(&lines), &map([standing(A, true), standing(B, true)]), |_| true);
    let lift = vec![line(c, 1), line(A, 9), line(B, 9)];
    assert_eq!(then, TakeOver { lift, ..TakeOver::default() });
    assert!(ledger.is_empty());
}

#[test]
fn a_network_is_asked_for_all_that_is_in_it() {
    let mut ledger = Ledger::default();
    let hold = Hold::ordered(SystemTime::UNIX_EPOCH, None);
    let all = [
        "192.0.2.0/24",
        "192.0.2.0/32",
        "192.0.2.9/32",
        "192.0.2.128/25",
        "192.0.3.0/32",
        "192.0.0.0/16",
        "::/64",
    ];
    for network in all {
        ledger.enter(network.parse().unwrap(), hold);
    }
    for (network, expected) in [
        ("192.0.2.0/24", &["192.0.2.0/24", "192.0.2.0/32", "192.0.2.9/32", "192.0.2.128/25"][..]),
        ("192.0.2.0/25", &["192.0.2.0/32", "192.0.2.9/32"]),
        ("192.0.2.9/32", &["192.0.2.9/32"]),
        (
            "0.0.0.0/0",
            &[
                "192.0.0.0/16",
                "192.0.2.0/24",
                "192.0.2.0/32",
                "192.0.2.9/32",
                "192.0.2.128/25",
                "192.0.3.0/32",
            ],
        ),
        ("::/0", &["::/64"]),
    ] {
        let found: Vec<String> = ledger.within(network.parse().unwrap()).map(|it| it.to_string()).collect();
        assert_eq!(found, expected, "{network}");
    }
}
