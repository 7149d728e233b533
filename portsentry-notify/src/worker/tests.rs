use std::{
    collections::VecDeque,
    sync::{Mutex, mpsc},
};

use super::*;
use crate::{config, event::tests::event};

/// What a receiver answers, in turn, and then that it has the message.
type Answers = Arc<Mutex<VecDeque<Outcome>>>;

struct Receiver {
    answers: Answers,
    messages: mpsc::Sender<(String, Vec<u64>, u64)>,
    most: usize,
}

impl Channel for Receiver {
    fn send(&mut self, message: &Message) -> Outcome {
        let sequences = message.events.iter().filter_map(crate::event::Event::sequence).collect();
        self.messages.send((message.key.clone(), sequences, message.lost)).unwrap();
        self.answers.lock().unwrap().pop_front().unwrap_or(Outcome::Sent)
    }

    fn most(&self) -> usize {
        self.most
    }
}

struct Bench {
    _directory: tempfile::TempDir,
    spool: Spool,
    answers: Answers,
    messages: mpsc::Receiver<(String, Vec<u64>, u64)>,
    sender: mpsc::Sender<(String, Vec<u64>, u64)>,
    settings: String,
}

impl Bench {
    fn new(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path(), 1 << 20).unwrap();
        let (sender, messages) = mpsc::channel();
        Self {
            _directory: directory,
            spool,
            answers: Answers::default(),
            messages,
            sender,
            settings: settings.into(),
        }
    }

    fn worker(&self) -> Worker {
        let text = format!(
            "[it]\nCHANNEL=\"webhook\"\nURL=\"http://localhost/\"\nEVENTS=\"block\"\n{}",
            self.settings
        );
        let (mut config, _) = config::parse(&text, "it").unwrap_or_else(|report| panic!("{report}"));
        let channel =
            Receiver { answers: Arc::clone(&self.answers), messages: self.sender.clone(), most: FULL };
        Worker::new(config.channels.remove(0), Box::new(channel), |_| true, &self.spool, "web1").unwrap()
    }

    fn add(&self, events: &[(&str, u64)]) {
        let events =
            events.iter().map(|(action, number)| event(action, &format!("192.0.2.{number}"), *number));
        self.spool.add(&mut events.collect()).unwrap();
    }

    /// Takes steps until a worker has nothing to do, or must wait.
    fn settle(&self, worker: &mut Worker) -> Vec<(String, Vec<u64>, u64)> {
        loop {
            let waiting = self.spool.behind(worker.cursor.done);
            match worker.step(&waiting, Timestamp::now()) {
                Step::Wait(time) if time.is_zero() => {}
                Step::Idle | Step::Wait(_) => break,
                Step::Send(entries) => {
                    worker.send(&entries);
                }
            }
        }
        self.messages.try_iter().collect()
    }
}

#[test]
fn a_new_channel_begins_with_the_next_event_and_takes_its_own() {
    let bench = Bench::new("");
    bench.add(&[("block", 1)]);
    let mut worker = bench.worker();
    bench.add(&[("fence", 2), ("block", 3), ("block", 4), ("note", 5)]);
    assert_eq!(bench.settle(&mut worker), [("it-3-4".into(), vec![3, 4], 0)]);
    assert_eq!(bench.settle(&mut worker), []);
}

#[test]
fn after_a_kill_the_same_message_is_sent_again_and_nothing_else() {
    let bench = Bench::new("");
    let mut worker = bench.worker();
    bench.add(&[("block", 1), ("block", 2)]);
    let waiting = bench.spool.behind(0);
    let Step::Send(entries) = worker.step(&waiting, Timestamp::now()) else { panic!("it is due") };
    // Killed after the receiver has it, before the position is written.
    let cursor = Cursor { sending: Some(entries[1].number), ..worker.cursor.clone() };
    worker.store.write(&cursor).unwrap();
    drop(worker);
    bench.add(&[("block", 3)]);
    let mut worker = bench.worker();
    assert_eq!(bench.settle(&mut worker), [("it-1-2".into(), vec![1, 2], 0), ("it-3".into(), vec![3], 0)]);
    drop(worker);
    assert_eq!(bench.settle(&mut bench.worker()), []);
}

#[test]
fn a_refused_message_is_skipped_and_counted() {
    let bench = Bench::new("");
    let mut worker = bench.worker();
    bench.answers.lock().unwrap().extend([
        Outcome::Refused("no".into()),
        Outcome::Refused("no".into()),
        Outcome::Refused("no".into()),
    ]);
    bench.spool.close();
    bench.add(&[("block", 1), ("block", 2)]);
    let sent = bench.settle(&mut worker);
    assert_eq!(sent.len(), 3);
    bench.add(&[("block", 3)]);
    assert_eq!(bench.settle(&mut worker), [("it-3".into(), vec![3], 2)]);
}

#[test]
fn a_failure_sends_it_again_and_a_long_rest_is_kept_over_restarts() {
    let bench = Bench::new("");
    let mut worker = bench.worker();
    let rest = Some(Duration::from_hours(2));
    bench
        .answers
        .lock()
        .unwrap()
        .extend([Outcome::Later("busy".into(), None), Outcome::Later("limit".into(), rest)]);
    bench.spool.close();
    bench.add(&[("block", 1)]);
    assert_eq!(bench.settle(&mut worker).len(), 2, "once more, and then it rests");
    assert_eq!(bench.settle(&mut bench.worker()), []);
}

#[test]
fn a_source_is_sent_once_also_within_a_message() {
    let bench = Bench::new("ONCE=\"15m\"\n");
    let mut worker = bench.worker();
    let again: Vec<_> = [1, 1, 2].into_iter().map(|last| ("block", last)).collect();
    bench.add(&again);
    assert_eq!(bench.settle(&mut worker), [("it-1-2".into(), vec![1, 2], 0)]);
    bench.add(&[("block", 2), ("block", 3)]);
    assert_eq!(bench.settle(&mut bench.worker()), [("it-3".into(), vec![3], 0)]);
}

#[test]
fn what_waited_for_a_limit_is_one_message() {
    let bench = Bench::new("RATE=\"1/1h\"\n");
    let mut worker = bench.worker();
    bench.add(&[("block", 1)]);
    assert_eq!(bench.settle(&mut worker).len(), 1);
    let more: Vec<_> = (2..200).map(|number| ("block", number)).collect();
    bench.add(&more);
    assert_eq!(bench.settle(&mut worker), []);
    worker.cursor.recent.clear();
    assert_eq!(bench.settle(&mut worker)[0].1.len(), 198);
}

#[test]
fn events_without_a_source_are_never_a_repetition() {
    let bench = Bench::new("ONCE=\"15m\"\n");
    let mut worker = bench.worker();
    let events = (1..3).map(|sequence| {
        let mut value = event("block", "", sequence).value().clone();
        value["source"] = serde_json::Value::Null;
        crate::event::Event::of(value)
    });
    bench.spool.add(&mut events.collect()).unwrap();
    bench.add(&[("block", 3)]);
    assert_eq!(bench.settle(&mut worker), [("it-1-3".into(), vec![1, 2, 3], 0)]);
}

#[test]
fn lost_events_are_counted_once_however_often_the_channel_looks() {
    let bench = Bench::new("");
    let mut worker = bench.worker();
    // The files of five events are gone.
    bench.spool.reserve(5);
    for _ in 0..3 {
        assert_eq!(bench.settle(&mut worker), []);
    }
    bench.add(&[("block", 6)]);
    assert_eq!(bench.settle(&mut worker), [("it-6".into(), vec![6], 5)]);
}

#[test]
fn a_message_whose_events_are_gone_is_given_up_and_its_events_are_counted_once() {
    let bench = Bench::new("");
    let mut worker = bench.worker();
    bench.spool.reserve(5);
    (worker.cursor.sending, worker.cursor.refused) = (Some(2), REFUSALS - 1);
    bench.add(&[("block", 6)]);
    bench.answers.lock().unwrap().push_back(Outcome::Refused("no".into()));
    bench.spool.close();
    let message = ("it-6".into(), vec![6], 5);
    assert_eq!(bench.settle(&mut worker), [message.clone(), message], "it is tried again");
}

#[test]
fn no_new_event_has_a_number_of_a_message_on_its_way() {
    let bench = Bench::new("");
    let worker = bench.worker();
    worker.store.write(&Cursor { done: 1, sending: Some(4), ..Cursor::default() }).unwrap();
    let _worker = bench.worker();
    assert_eq!(bench.spool.last(), 4);
}
