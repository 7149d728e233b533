use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;

use super::super::{report::Diagnostic, span::lines};
use super::*;

fn read(text: &str) -> (PortSet, Report) {
    let mut report = Report::new("test");
    let set = list(lines(text).next().unwrap(), &mut report);
    (set, report)
}

#[test]
fn lists_of_both_portsentrys() {
    for (text, ports) in [
        ("1", "1"),
        ("1,11,15", "1,11,15"),
        ("512-515,540", "512-515,540"),
        (" 7, 9 ,11 - 13", "7,9,11-13"),
        ("3,2,1,2,1-2", "1-3"),
        ("007", "7"),
        ("65535", "65535"),
        ("1-65535", "1-65535"),
        ("5-5", "5"),
    ] {
        let (set, report) = read(text);
        assert_eq!(set.to_string(), ports, "{text:?}");
        assert!(report.is_empty(), "{report}");
    }
}

#[test]
fn more_than_64_ports_are_all_used() {
    let text: Vec<String> = (1..=2000).step_by(2).map(|port: u16| port.to_string()).collect();
    assert_eq!(read(&text.join(",")).0.len(), 1000);
}

#[test]
fn what_is_no_port_is_an_error_each() {
    for (text, faults) in [
        ("0", vec!["0"]),
        ("65536,0", vec!["65536", "0"]),
        ("99999999999999999999", vec!["99999999999999999999"]),
        ("ssh,1,+7,-7", vec!["ssh", "+7", ""]),
        ("20-10", vec!["20-10"]),
        ("0-70000", vec!["0", "70000"]),
        ("1-2-3", vec!["2-3"]),
        ("1 2", vec!["1 2"]),
        ("\u{664}", vec!["\u{664}"]),
    ] {
        let (_, report) = read(text);
        assert!(report.has_errors());
        assert_eq!(report.iter().map(Diagnostic::text).collect::<Vec<_>>(), faults, "{text:?}");
    }
}

#[test]
fn a_comma_too_many_is_a_warning() {
    let (set, report) = read("1,,2,");
    assert_eq!(set.to_string(), "1-2");
    assert_eq!(report.iter().map(Diagnostic::column).collect::<Vec<_>>(), [3, 6]);
    assert!(!report.has_errors());
}

#[test]
fn the_bitmap_is_laid_out_as_documented() {
    let set: PortSet = [0, 63, 64, 65535].into_iter().collect();
    let words = set.words();
    assert_eq!((words[0], words[1], words[1023]), (1 | 1 << 63, 1, 1 << 63));
    assert_eq!(words.iter().filter(|&&word| word != 0).count(), 3);
}

#[test]
fn ranges_of_every_size() {
    for (first, last, count) in [(0, u16::MAX, 65536), (63, 64, 2), (64, 127, 64), (9, 9, 1), (9, 8, 0)] {
        let mut set = PortSet::new();
        set.insert_range(first..=last);
        assert_eq!(set.len(), count);
        assert!((0..=u16::MAX).all(|port| set.contains(port) == (first..=last).contains(&port)));
    }
}

/// One change to a set.
#[derive(Debug, Clone)]
enum Change {
    Insert(u16),
    InsertRange(u16, u16),
    Remove(u16),
}

fn change() -> impl Strategy<Value = Change> {
    let port = prop_oneof![any::<u16>(), 0..200u16, 65400..=u16::MAX];
    prop_oneof![
        port.clone().prop_map(Change::Insert),
        (port.clone(), 0..300u16).prop_map(|(a, more)| Change::InsertRange(a, a.saturating_add(more))),
        port.prop_map(Change::Remove),
    ]
}

proptest! {
    #[test]
    fn a_port_set_behaves_as_a_hash_set(changes in prop::collection::vec(change(), 0..40), other: HashSet<u16>) {
        let (mut set, mut model) = (PortSet::new(), HashSet::new());
        for change in changes {
            match change {
                Change::Insert(port) => { set.insert(port); model.insert(port); }
                Change::InsertRange(a, b) => { set.insert_range(a..=b); model.extend(a..=b); }
                Change::Remove(port) => { set.remove(port); model.remove(&port); }
            }
        }
        let ascending: Vec<u16> = model.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), ascending);
        prop_assert_eq!(set.len(), model.len());
        prop_assert_eq!(set.is_empty(), model.is_empty());
        let mut probed = model.iter().chain(&other);
        prop_assert!(probed.all(|port| set.contains(*port) == model.contains(port)));
        let less: HashSet<u16> = set.difference(&other.iter().copied().collect()).iter().collect();
        prop_assert_eq!(less, model.difference(&other).copied().collect::<HashSet<_>>());
    }

    #[test]
    fn a_set_reads_back_from_its_own_words(ports in prop::collection::hash_set(1..=u16::MAX, 1..50)) {
        let set: PortSet = ports.into_iter().collect();
        let (again, report) = read(&set.to_string());
        prop_assert!(report.is_empty());
        prop_assert_eq!(again, set);
    }

    #[test]
    fn no_list_panics(text in "[0-9,\\- ]{0,40}|.{0,40}") {
        read(&text);
    }
}
