use std::{fs, time::Duration};

use portsentry_common::classify::Protocol;

use super::*;
use crate::policy::{
    Hold,
    register::{Admission, HistoryAction, Why},
};
use crate::sink::Denied;

fn files(dir: &tempfile::TempDir) -> Files {
    let path = |name: &str| dir.path().join(name).display().to_string();
    let text = format!(
        "KILL_HOSTS_DENY=\"ALL: $TARGET$ : DENY\"\nHISTORY_FILE=\"{}\"\nEVIDENCE_FILE=\"{}\"\nBLOCKED_FILE=\"{}\"\n\
         WRAPPER_HOSTS_DENY=\"{}\"\n",
        path("history"),
        path("evidence"),
        path("blocked"),
        path("hosts.deny")
    );
    Files::new(&Config::parse(&text, "test").unwrap().0, Modes::default())
}

fn record(last: u8) -> Record {
    let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_389_179);
    Record {
        network: std::net::IpAddr::from([192, 0, 2, last]).into(),
        hold: Hold::for_good(since, 1, Protocol::Tcp),
    }
}

fn case(record: &Record) -> Case {
    Case::held(Admission::Untold, *record, None, Why::Usual)
}

fn block(files: &mut Files, ledger: &mut Ledger, record: &Record) {
    ledger.enter(record.network, record.hold);
    files.recorder().record(HistoryAction::Blocked, &case(record), &record.source().into());
    files.show(record);
    files.deny(&case(record), true);
}

fn lift(files: &mut Files, record: &Record) {
    files.hide(record);
    files.allow(record);
}

#[test]
fn a_block_reaches_all_three_files_and_leaves_two_when_lifted() {
    let dir = tempfile::tempdir().unwrap();
    let (mut files, mut ledger) = (files(&dir), Ledger::default());
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    fs::write(dir.path().join("hosts.deny"), "# mine\n").unwrap();
    block(&mut files, &mut ledger, &record(9));
    let done = files.flush(&ledger);
    assert_eq!(done.shown, [record(9).network]);
    assert_eq!(done.denied, [Denied { network: record(9).network, line: "ALL: 192.0.2.9 : DENY".into() }]);
    assert!(read("blocked").ends_with("Host: 192.0.2.9/192.0.2.9 Port: 1 TCP Blocked\n"));
    assert_eq!(read("history"), read("blocked"));
    assert_eq!(read("hosts.deny"), "# mine\nALL: 192.0.2.9 : DENY\n");

    ledger.lift(record(9).network);
    lift(&mut files, &record(9));
    assert_eq!(files.flush(&ledger), Flushed::default());
    assert_eq!((read("blocked").as_str(), read("hosts.deny").as_str()), ("", "# mine\n"));
    assert!(!read("history").is_empty());
}

#[test]
fn a_block_that_the_files_have_is_not_written_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    let mut first = files(&dir);
    block(&mut first, &mut ledger, &record(9));
    first.flush(&ledger);
    let mut second = files(&dir);
    assert_eq!(second.read(), (Some(vec![record(9)]), vec![]));
    assert_eq!(second.recorder().unwritten(vec![record(9), record(10)]), (vec![record(10)], None));
    second.deny(&case(&record(9)), false);
    assert_eq!(second.flush(&ledger).denied, []);
    assert_eq!(fs::read_to_string(dir.path().join("hosts.deny")).unwrap().lines().count(), 1);
}

#[test]
fn a_line_that_was_there_before_stays_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hosts.deny");
    fs::write(&path, "ALL: 192.0.2.9 : DENY\n").unwrap();
    let mut ledger = Ledger::default();
    let mut first = files(&dir);
    for number in [9, 10] {
        block(&mut first, &mut ledger, &record(number));
    }
    first.flush(&ledger);
    let mut second = files(&dir);
    second.read();
    for number in [9, 10] {
        second.deny(&case(&record(number)), false);
        second.flush(&ledger);
        ledger.lift(record(number).network);
        lift(&mut second, &record(number));
    }
    second.flush(&ledger);
    assert_eq!(fs::read_to_string(&path).unwrap(), "ALL: 192.0.2.9 : DENY\n");
    // A block that is released before it was written was never written.
    block(&mut second, &mut ledger, &record(9));
    lift(&mut second, &record(9));
    second.flush(&ledger);
    assert_eq!(fs::read_to_string(&path).unwrap(), "ALL: 192.0.2.9 : DENY\n");
    // A line that is removed and added again at once is PortSentry's.
    block(&mut second, &mut ledger, &record(10));
    second.flush(&ledger);
    lift(&mut second, &record(10));
    second.deny(&case(&record(10)), true);
    second.flush(&ledger);
    lift(&mut second, &record(10));
    second.flush(&ledger);
    assert_eq!(fs::read_to_string(&path).unwrap(), "ALL: 192.0.2.9 : DENY\n");
}

#[test]
fn the_files_of_1_2_are_read_where_ours_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = files(&dir);
    assert_eq!(files.read().0, None);
    let line = |last| {
        blocked_file::render(
            std::iter::once(record(last)),
            &BTreeMap::new(),
            &BTreeSet::new(),
            &TimeZone::UTC,
        )
    };
    fs::write(dir.path().join("blocked.atcp"), line(1)).unwrap();
    fs::write(dir.path().join("blocked.sudp"), line(2) + "torn").unwrap();
    let (records, problems) = files.read();
    assert_eq!(records, Some(vec![record(2), record(1)]));
    assert_eq!(problems.len(), 1);
    fs::write(dir.path().join("blocked"), "").unwrap();
    assert_eq!(files.read().0, Some(vec![]));
}

#[test]
fn an_edit_is_read_before_the_file_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut files, mut ledger) = (files(&dir), Ledger::default());
    block(&mut files, &mut ledger, &record(9));
    files.flush(&ledger);
    assert_eq!(files.edited(), None);
    let path = dir.path().join("blocked");
    fs::write(&path, "192.0.2.77\n").unwrap();
    block(&mut files, &mut ledger, &record(10));
    for is_edited in [false, true] {
        let done = files.flush(&ledger);
        assert_eq!((done.shown, done.is_edited), (vec![], is_edited));
    }
    let (lines, problems) = files.edited().unwrap();
    assert_eq!((lines.len(), lines[0].source(), problems.len()), (1, [192, 0, 2, 77].into(), 0));
    assert!(files.is_unshown(record(10).network) && !files.is_unshown(record(9).network));
    assert_eq!(files.flush(&ledger).shown, [record(10).network]);
    assert_eq!(files.edited(), None);
}

#[test]
fn trouble_is_told_once_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (mut files, mut ledger) = (files(&dir), Ledger::default());
    fs::create_dir(dir.path().join("blocked")).unwrap();
    block(&mut files, &mut ledger, &record(9));
    let done = files.flush(&ledger);
    assert_eq!((done.shown.len(), done.denied.len(), done.news.len()), (0, 1, 1));
    assert_eq!(files.flush(&ledger), Flushed::default());
    fs::remove_dir(dir.path().join("blocked")).unwrap();
    files.blocked_trouble = Retry::default();
    files.blocked_trouble.note(
        Some("x".into()),
        &"x",
        Instant::now().checked_sub(Duration::from_mins(1)).unwrap(),
    );
    let done = files.flush(&ledger);
    assert_eq!(done.shown, [record(9).network]);
    assert!(done.news[0].contains("can be written again"), "{:?}", done.news);
}
