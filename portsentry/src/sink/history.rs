//! The history file: one line for every block ever made, append-only.

use std::{collections::VecDeque, io, net::IpAddr, path::PathBuf};

use super::{HistoryLine, append, rotated};
use crate::policy::{Record, is_same_moment, register::HistoryAction};

/// Maximum number of pending lines, about 6 MB. If it is exceeded, the oldest are dropped and counted.
const WAITING: usize = 65_536;
/// Number of bytes at the end of the file, and of the rotated ones, that are searched for the last lines of an earlier run.
const TAIL: u64 = 8 << 20;

/// The file, opened for each batch so that it may be rotated at any time.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    waiting: VecDeque<String>,
    dropped: u64,
    is_begun: bool,
}

impl History {
    pub fn new(path: PathBuf) -> Self {
        Self { path, waiting: VecDeque::new(), dropped: 0, is_begun: false }
    }

    /// Returns the path.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Queues a line for the next [`History::flush`].
    pub fn append(&mut self, line: String) {
        if self.waiting.len() == WAITING {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(line);
    }

    /// Writes the pending lines. Lines that can't be written stay pending. Returns the number of lines dropped
    /// since the last call.
    ///
    /// The first call creates the file even if no line is pending, because log watchers such as fail2ban refuse to
    /// start without it.
    pub fn flush(&mut self) -> io::Result<u64> {
        if self.waiting.is_empty() && self.is_begun {
            return Ok(0);
        }
        if self.waiting.is_empty() {
            append::create(&self.path)?;
            self.is_begun = true;
            return Ok(0);
        }
        let (written, result) = append::append(&self.path, self.waiting.make_contiguous());
        self.waiting.drain(..written);
        result?;
        self.is_begun = true;
        Ok(std::mem::take(&mut self.dropped))
    }

    /// Returns recent blocks and fences, as recorded by an earlier run.
    pub fn recent(&self) -> io::Result<Vec<HistoryLine>> {
        let held =
            |past: &HistoryLine| !matches!(past.action, HistoryAction::Lifted | HistoryAction::Forgotten);
        Ok(self.tail()?.lines().filter_map(HistoryLine::read).filter(held).collect())
    }

    /// Returns the sources recently blocked for a probe, once for each block.
    pub fn blocked(&self) -> io::Result<Vec<IpAddr>> {
        let is_probe = |past: &HistoryLine| past.action == HistoryAction::Blocked && past.port != 0;
        let blocked = self.recent()?.into_iter().filter(is_probe);
        Ok(blocked.map(|past| past.network.addr()).collect())
    }

    /// Reads the end of the file, and of the rotated files before it.
    fn tail(&self) -> io::Result<String> {
        let (mut tail, mut left) = (Vec::new(), TAIL);
        for part in rotated::open(&self.path)?.parts {
            let is_current = part.path == self.path;
            let read = match part.read(left) {
                // A damaged older file hides nothing else.
                Err(_) if !is_current => break,
                read => read?,
            };
            let Some((text, is_cut)) = read else { break };
            left -= text.len() as u64;
            tail.splice(..0, text);
            if is_cut || left == 0 {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&tail).into_owned())
    }
}

/// Whether `record` is among the `recent` lines.
pub fn is_written(recent: &[HistoryLine], record: &Record) -> bool {
    let is_it = |past: &HistoryLine| {
        record.network.contains(&past.network) && is_same_moment(past.time, record.hold.since)
    };
    recent.iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        time::{Duration, SystemTime},
    };

    use jiff::tz::TimeZone;
    use portsentry_common::{block::Proof, classify::Protocol};

    use super::*;
    use crate::{
        policy::Hold,
        sink::{Named, classic, revival},
    };

    fn history() -> (tempfile::TempDir, History) {
        let dir = tempfile::tempdir().unwrap();
        let history = History::new(dir.path().join("history"));
        (dir, history)
    }

    #[test]
    fn it_is_there_before_its_first_line() {
        let (_dir, mut history) = history();
        history.flush().unwrap();
        assert_eq!(fs::read_to_string(&history.path).unwrap(), "");
        fs::remove_file(&history.path).unwrap();
        history.flush().unwrap();
        assert!(!history.path.exists(), "only once: a rotated file comes back with its first line");
    }

    #[test]
    fn lines_are_appended_whole() {
        let (_dir, mut history) = history();
        history.append("first".into());
        history.flush().unwrap();
        fs::write(&history.path, "first\ntor").unwrap();
        history.append("second".into());
        history.append("third".into());
        history.flush().unwrap();
        assert_eq!(fs::read_to_string(&history.path).unwrap(), "first\ntor\nsecond\nthird\n");
    }

    #[test]
    fn a_rotated_file_is_begun_anew() {
        let (dir, mut history) = history();
        history.append("first".into());
        history.flush().unwrap();
        fs::rename(&history.path, dir.path().join("old")).unwrap();
        history.append("second".into());
        history.flush().unwrap();
        assert_eq!(fs::read_to_string(&history.path).unwrap(), "second\n");
    }

    #[test]
    fn what_was_written_before_a_rotation_is_known() {
        let (dir, mut history) = history();
        let line = |last: u8| {
            let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_389_179);
            let source: IpAddr = [192, 0, 2, last].into();
            classic::record(since, &Named::from(source), 1, Protocol::Tcp, "Blocked", &TimeZone::UTC)
        };
        for (last, name) in [(1, "history.2"), (2, "history.1")] {
            history.append(line(last));
            history.flush().unwrap();
            fs::rename(&history.path, dir.path().join(name)).unwrap();
        }
        history.append(line(3));
        history.flush().unwrap();
        let mut blocked = history.blocked().unwrap();
        blocked.sort();
        assert_eq!(blocked, [1, 2, 3].map(|last| IpAddr::from([192, 0, 2, last])));
    }

    #[test]
    fn lines_wait_for_a_file_that_can_not_be_written() {
        let (dir, mut history) = history();
        let missing = dir.path().join("folder");
        history.path = missing.join("history");
        for number in 0..WAITING + 3 {
            history.append(number.to_string());
        }
        assert!(history.flush().is_err());
        fs::create_dir(&missing).unwrap();
        assert_eq!(history.flush().unwrap(), 3);
        let text = fs::read_to_string(&history.path).unwrap();
        assert_eq!((text.lines().next(), text.lines().count()), (Some("3"), WAITING));
    }

    #[test]
    fn a_link_is_not_followed() {
        let (dir, mut history) = history();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &history.path).unwrap();
        history.append("line".into());
        assert!(history.flush().is_err());
        assert!(history.recent().is_err());
    }

    #[test]
    fn another_name_of_a_file_is_not_written_to() {
        let (dir, mut history) = history();
        let precious = dir.path().join("precious");
        fs::write(&precious, "root:x:0:0\n").unwrap();
        fs::hard_link(&precious, &history.path).unwrap();
        history.append("line".into());
        let problem = history.flush().unwrap_err().to_string();
        assert!(problem.contains("hard link"), "{problem}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "root:x:0:0\n");
    }

    #[test]
    fn what_was_written_is_known_again_in_either_format() {
        let (_dir, mut history) = history();
        let since = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_389_179_999);
        let proof = Proof::None;
        let hold = Hold { proof, ..Hold::for_good(since, 1, Protocol::Tcp) };
        let record = |last| Record { network: IpAddr::from([192, 0, 2, last]).into(), hold };
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        history.append(classic::record(
            since,
            &Named::from(record(1).source()),
            1,
            Protocol::Tcp,
            "Blocked",
            &zone,
        ));
        history
            .append(revival::stamp(since, &zone) + &revival::block(&record(2), &record(2).source().into()));
        history.append("torn 192.0.2.3".into());
        history.flush().unwrap();
        let recent = history.recent().unwrap();
        assert!(is_written(&recent, &record(1)));
        assert!(is_written(&recent, &record(2)));
        assert!(!is_written(&recent, &record(3)));
        let later = Hold { since: since + Duration::from_secs(10), ..hold };
        assert!(!is_written(&recent, &Record { hold: later, ..record(1) }));
    }
}
