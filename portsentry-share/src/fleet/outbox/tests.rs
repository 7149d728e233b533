use proptest::prelude::*;

use super::{super::wire::tests::block, *};

fn outbox(rate: u32) -> (Outbox, Instant) {
    let now = Instant::now();
    let mut outbox = Outbox::new(1, rate, now);
    outbox.read(0);
    (outbox, now)
}

#[test]
fn news_are_repeated_until_the_state_has_them() {
    let (mut outbox, now) = outbox(100);
    let news = outbox.say(vec![block("gw1", "192.0.2.9")], 0, now).expect("news");
    let ready = outbox.take_ready(now);
    assert_eq!(ready.len(), 1);
    assert_eq!(outbox.take_ready(now), [], "it is on its way");
    assert_eq!(outbox.take_repeats(now), [] as [Vec<u8>; 0]);
    let later = now + REPEATS[0];
    assert_eq!(outbox.take_repeats(later), std::slice::from_ref(&news));
    assert_eq!(outbox.take_repeats(later), [] as [Vec<u8>; 0]);
    let beat = outbox.beat(9);
    assert_eq!((beat.number, beat.stored, outbox.waiting()), (2, 1, 1));
    outbox.refused(ready[0].0, later);
    assert_eq!(outbox.take_ready(later), [], "after a pause");
    let later = later + REPEATS[1];
    let again = outbox.take_ready(later);
    assert_eq!((again.len(), &again[0].1), (1, &ready[0].1));
    assert_eq!(outbox.take_repeats(later), [news]);
    outbox.stored(ready[0].0, 7);
    assert_eq!(outbox.waiting(), 1, "a late answer to the first attempt");
    outbox.stored(again[0].0, 8);
    let beat = outbox.beat(9);
    assert_eq!((beat.stored, beat.sequence, outbox.waiting()), (2, 8, 0));
    assert_eq!(outbox.take_repeats(later + REPEATS[2]), [] as [Vec<u8>; 0]);
}

#[test]
fn the_state_is_read_once_in_each_run_of_a_companion() {
    let mut outbox = Outbox::new(1, 100, Instant::now());
    let beat = outbox.beat(0);
    assert_eq!((beat.number, beat.stored), (1, 0), "it isn't known what the state has");
    outbox.read(9);
    outbox.read(9);
    let beat = outbox.beat(0);
    assert_eq!((beat.number, beat.stored, beat.sequence), (1, 1, 9));
}

#[test]
fn a_later_word_follows_the_one_that_is_on_its_way() {
    for is_stored in [true, false] {
        let (mut outbox, now) = outbox(100);
        outbox.say(vec![block("gw1", "192.0.2.9")], 0, now);
        let first = outbox.take_ready(now);
        outbox.say(vec![block("gw1", "192.0.2.9")], 0, now);
        assert_eq!(outbox.take_ready(now), [], "over two connections, the later one could be stored first");
        if is_stored {
            outbox.stored(first[0].0, 1);
        } else {
            outbox.refused(first[0].0, now);
        }
        assert_eq!((outbox.waiting(), outbox.beat(0).stored), (1, 2));
        let second = outbox.take_ready(now + PAUSE);
        assert_eq!(second.len(), 1);
        outbox.stored(second[0].0, 2);
        assert_eq!((outbox.waiting(), outbox.beat(0).stored), (0, 3));
    }
}

#[test]
fn too_many_words_are_no_news() {
    let (mut outbox, now) = outbox(2);
    let news =
        (0..20).filter(|last| outbox.say(vec![block("gw1", &format!("192.0.2.{last}"))], 0, now).is_some());
    assert_eq!(news.count(), 10);
    assert_eq!((outbox.beat(0).number, outbox.waiting()), (21, 20));
    assert!(outbox.say(vec![block("gw1", "192.0.2.99")], 0, now + Duration::from_secs(1)).is_some());
}

#[test]
fn a_word_without_an_answer_is_sent_again() {
    let (mut outbox, now) = outbox(100);
    outbox.say(vec![block("gw1", "192.0.2.9"), block("gw1", "192.0.2.8")], 0, now);
    let numbers = |ready: Vec<(u64, Stored)>| ready.into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    assert_eq!(numbers(outbox.take_ready(now)), [1, 2]);
    let later = now + PATIENCE + PAUSE;
    assert_eq!(outbox.take_ready(later), []);
    outbox.say(vec![block("gw1", "192.0.2.7")], 0, now);
    assert_eq!(numbers(outbox.take_ready(later + PAUSE)), [4, 5, 6], "each over the other connection");
}

proptest! {
    /// Whatever the answers, each word is stored in the end, and the number of stored news never runs ahead of a word that is
    /// waiting.
    #[test]
    fn every_word_is_stored_in_the_end(words in prop::collection::vec((0..6_u8, any::<bool>()), 1..60)) {
        let (mut outbox, mut now) = outbox(1000);
        let mut last: HashMap<u8, u64> = HashMap::new();
        for (address, is_stored) in words {
            outbox.say(vec![block("gw1", &format!("192.0.2.{address}"))], 0, now);
            last.insert(address, outbox.beat(0).number);
            for (identification, _) in outbox.take_ready(now) {
                if is_stored { outbox.stored(identification, 1) } else { outbox.refused(identification, now) }
            }
            let stored = outbox.beat(0).stored;
            for (address, number) in &last {
                let key = format!("block.192-0-2-{address}");
                prop_assert_eq!(outbox.waiting.contains_key(&key), outbox.unstored.contains_key(number));
                prop_assert!(!outbox.waiting.contains_key(&key) || stored < *number);
            }
            prop_assert!(outbox.ready.len() <= outbox.waiting());
            now += PAUSE;
        }
        for (identification, _) in outbox.take_ready(now) {
            outbox.stored(identification, 1);
        }
        prop_assert_eq!((outbox.waiting(), outbox.sent.len(), outbox.unstored.len()), (0, 0, 0));
        prop_assert_eq!(outbox.beat(0).stored, outbox.beat(0).number);
    }
}
