use std::{cell::RefCell, fs};

use super::*;

#[test]
fn events_reach_the_file_before_the_writer_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.json");
    let mut writer = Writer::start(JsonLog::File(path.clone())).unwrap();
    for count in 0..3000 {
        writer.tell(&Event::new(Action::Note).with(Field::Count, count).json("words", None));
    }
    drop(writer);
    let text = fs::read_to_string(path).unwrap();
    let counts = text.lines().map(|line| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["portsentry"]["count"].as_u64().unwrap()
    });
    assert!(counts.eq(0..3000));
}

#[test]
fn what_finds_no_room_is_counted_and_told() {
    let (sender, events) = sync_channel(2);
    let (_news, news) = channel();
    let (_, end) = sync_channel(0);
    let mut writer = Writer { sender: Some(sender), news, end, untold: 0, lost: 0 };
    for _ in 0..5 {
        writer.tell(&Event::new(Action::Note).json("event", None));
    }
    assert_eq!((events.try_iter().count(), writer.lost()), (2, 3));
    writer.tell(&Event::new(Action::Note).json("after", None));
    let [loss, after] = [events.recv().unwrap(), events.recv().unwrap()];
    assert!(loss.contains(r#""action":"loss""#) && loss.contains(r#""count":3"#), "{loss}");
    assert!(after.contains(r#""message":"after""#), "{after}");
}

#[test]
fn trouble_is_told_once_and_what_waited_is_written_afterwards() {
    let (sender, events) = sync_channel(10);
    for number in 0..4 {
        sender.send(number.to_string()).unwrap();
    }
    let written = RefCell::new(Vec::new());
    let mut attempts = 0;
    let mut keeps = Some(sender);
    let mut sink = |lines: &[String]| {
        attempts += 1;
        match attempts {
            // One line fits, then none, then all.
            1 => {
                written.borrow_mut().extend_from_slice(&lines[..1]);
                (1, Err(io::Error::other("full")))
            }
            2 | 3 => (0, Err(io::Error::other("full"))),
            _ => {
                keeps = None;
                written.borrow_mut().extend_from_slice(lines);
                (lines.len(), Ok(()))
            }
        }
    };
    let mut news = Vec::new();
    run(&events, &mut sink, "the log", Duration::ZERO, |told| news.push(told));
    assert_eq!(*written.borrow(), ["0", "1", "2", "3"]);
    assert_eq!(news.len(), 2, "{news:?}");
    assert!(news[0].starts_with("ERROR: the log can't be written: full") && news[1].contains("again"));
}

#[test]
fn the_end_does_not_wait_for_a_full_disk() {
    let (sender, events) = sync_channel(10);
    sender.send("event".into()).unwrap();
    drop(sender);
    let mut attempts = 0;
    let mut sink = |_: &[String]| {
        attempts += 1;
        (0, Err(io::Error::other("full")))
    };
    run(&events, &mut sink, "the log", PAUSE, drop);
    assert!((1..=2).contains(&attempts));
}
