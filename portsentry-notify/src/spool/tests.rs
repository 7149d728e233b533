use std::fs;

use proptest::prelude::*;

use super::*;
use crate::event::tests::event;

fn events(sequences: std::ops::Range<u64>) -> VecDeque<Event> {
    sequences.map(|sequence| event("block", "192.0.2.9", sequence)).collect()
}

fn numbers(waiting: &Waiting) -> Vec<u64> {
    waiting.entries.iter().map(|entry| entry.number).collect()
}

#[test]
fn events_survive_a_restart_and_positions_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), 1 << 20).unwrap();
    spool.add(&mut events(10..13)).unwrap();
    let store = spool.store("mail");
    assert_eq!(store.read::<Cursor>().unwrap(), None);
    let cursor = Cursor { done: 1, sending: Some(2), ..Cursor::default() };
    store.write(&cursor).unwrap();
    drop(spool);
    let spool = Spool::open(directory.path(), 1 << 20).unwrap();
    assert_eq!(spool.store("mail").read().unwrap(), Some(cursor));
    assert_eq!(numbers(&spool.behind(1)), [2, 3]);
    assert_eq!((spool.last(), spool.latest().and_then(|event| event.sequence())), (3, Some(12)));
    spool.add(&mut events(13..14)).unwrap();
    assert_eq!(numbers(&spool.behind(0)), [1, 2, 3, 4]);
}

#[test]
fn a_channel_of_any_name_has_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), 1 << 20).unwrap();
    let (channel, source) = (spool.store("position"), spool.source_store());
    let cursor = Cursor { done: 1, ..Cursor::default() };
    std::thread::scope(|scope| {
        scope.spawn(|| (0..200).for_each(|_| source.write(&7_u64).unwrap()));
        (0..200).for_each(|_| channel.write(&cursor).unwrap());
    });
    assert_eq!((channel.read().unwrap(), source.read().unwrap()), (Some(cursor), Some(7_u64)));
    let names: Vec<_> = fs::read_dir(directory.path()).unwrap().flatten().map(|it| it.file_name()).collect();
    assert_eq!(names.len(), 2, "no temporary file is left: {names:?}");
    fs::write(directory.path().join("position.channel"), "{").unwrap();
    let error = channel.read::<Cursor>().unwrap_err().to_string();
    assert!(error.contains("position.channel is no position"), "{error}");
}

#[test]
fn a_wait_ends_with_an_event_or_with_the_spool() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), 1 << 20).unwrap();
    assert!(spool.wait(0, Duration::ZERO));
    let other = spool.clone();
    let waiting = std::thread::spawn(move || other.wait(0, Duration::from_mins(1)));
    spool.add(&mut events(1..2)).unwrap();
    assert!(waiting.join().unwrap());
    let other = spool.clone();
    let waiting = std::thread::spawn(move || other.pause(Duration::from_mins(1)));
    spool.close();
    assert!(!waiting.join().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever the number of events and restarts, numbers have no gap, the bound holds in memory and on disk, and a
    /// reader learns exactly how many it has lost.
    #[test]
    fn the_spool_is_bounded_and_counts_what_it_drops(batches in prop::collection::vec((1_u64..40, any::<bool>()), 1..12)) {
        const SIZE: usize = 8192;
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(directory.path(), SIZE).unwrap();
        let mut next = 1;
        for (count, restarts) in batches {
            spool.add(&mut events(next..next + count)).unwrap();
            next += count;
            if restarts {
                spool = Spool::open(directory.path(), SIZE).unwrap();
            }
            let waiting = spool.behind(0);
            let kept = u64::try_from(waiting.entries.len()).unwrap();
            prop_assert_eq!(waiting.lost + kept, next - 1);
            prop_assert_eq!(numbers(&waiting), (waiting.lost + 1..next).collect::<Vec<_>>());
            let sequences: Vec<_> = waiting.entries.iter().filter_map(|entry| entry.event.sequence()).collect();
            prop_assert_eq!(sequences, numbers(&waiting));
            let disk: u64 = fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
            prop_assert!(disk <= u64::try_from(SIZE).unwrap(), "{} bytes", disk);
        }
    }

    /// A file that ends anywhere, as after a power failure, keeps its whole lines, and is appended to behind them.
    #[test]
    fn a_torn_line_is_cut_off(cut in 1_u64..2000) {
        let directory = tempfile::tempdir().unwrap();
        Spool::open(directory.path(), 1 << 20).unwrap().add(&mut events(1..6)).unwrap();
        let path = fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
        let text = fs::read(&path).unwrap();
        let length = text.len() - usize::try_from(cut).unwrap() % text.len();
        fs::write(&path, &text[..length]).unwrap();
        let whole = String::from_utf8_lossy(&text[..length]).matches('\n').count();
        let spool = Spool::open(directory.path(), 1 << 20).unwrap();
        prop_assert_eq!(spool.last(), u64::try_from(whole).unwrap());
        spool.add(&mut events(6..7)).unwrap();
        drop(spool);
        let last = Spool::open(directory.path(), 1 << 20).unwrap().last();
        prop_assert_eq!(last, u64::try_from(whole).unwrap() + 1);
    }
}
