use std::collections::HashSet;

use super::*;

fn probe(kind: Kind, source_port: u16, port: u16) -> Probe {
    let protocol = if kind == Kind::Udp { Protocol::Udp } else { Protocol::Tcp };
    Probe { protocol, kind, source_port, port, flags: 0 }
}

#[test]
fn a_question_asks_for_something_new() {
    for (kind, source_port, port, expected) in [
        (Kind::Syn, 40_000, 443, true),
        (Kind::Syn, 20, 50_000, true),
        (Kind::Udp, 40_000, 53, true),
        (Kind::Udp, 53, 40_000, false),
        (Kind::Udp, 123, 123, false),
        (Kind::Udp, 40_000, 4500, false),
        (Kind::Ack, 40_000, 443, false),
        (Kind::Fin, 40_000, 443, false),
        (Kind::Xmas, 40_000, 443, false),
        (Kind::Fragment, 40_000, 443, false),
    ] {
        assert_eq!(is_question(&probe(kind, source_port, port)), expected, "{kind:?} {source_port} {port}");
    }
}

#[test]
fn questions_that_differ_in_one_part_have_different_hashes() {
    let mut all = HashSet::new();
    for word in 0..64 {
        let bit = 1_u64 << word;
        all.insert(hash([bit, 7], [8, 9], 10, 11));
        all.insert(hash([6, bit], [8, 9], 10, 11));
        all.insert(hash([6, 7], [bit, 9], 10, 11));
        all.insert(hash([6, 7], [8, bit], 10, 11));
        all.insert(hash([6, 7], [8, 9], bit, 11));
    }
    // The five questions with a bit that equals the usual value are one.
    assert!(all.len() > 5 * 64 - 5, "{}", all.len());
    assert!(!all.contains(&0));
}
