//! The groups of sources that may be distributed scans, kept beside the blocked file (`BLOCKED_FILE.groups`), so that a
//! scan that takes days is found although the daemon restarts.
//!
//! The file has a head and the groups, in this machine's byte order. Its groups have ages instead of times, because the
//! clock by which groups live begins anew with the machine. The head has the wall clock's time, so that the time without
//! a daemon counts. A file of another version, or with anything that
//! this version doesn't write, is refused as a whole.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use bytemuck::{Pod, Zeroable};
use portsentry_common::scan::group::Group;

use super::{
    atomic_write::{self, MODE, WriteError},
    beside::beside,
    retry::Retry,
};
use crate::policy::{Groups, MOST_GROUPS};

const MAGIC: [u8; 8] = *b"psgroups";
const VERSION: u32 = 2;
/// Interval at which the file is written, because it may have megabytes.
const EACH: Duration = Duration::from_mins(1);
/// Size of the largest file.
const LARGEST: usize = size_of::<Head>() + MOST_GROUPS * size_of::<Group>();

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
struct Head {
    magic: [u8; 8],
    version: u32,
    /// Size of a group.
    size: u32,
    /// Time when the file was written, in seconds since 1970.
    written: u64,
}

impl Head {
    const fn at(written: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "784")]
        let size = size_of::<Group>() as u32;
        Self { magic: MAGIC, version: VERSION, size, written }
    }
}

/// Reasons why the file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system reported an error.
    #[error(transparent)]
    Io(#[from] WriteError),
    /// It is no file of this version.
    #[error("{0} is damaged, or of another version: the groups of distributed scans begin anew")]
    Refused(PathBuf),
}

/// The file.
#[derive(Debug)]
pub struct GroupFile {
    path: PathBuf,
    /// The revision in the file.
    written: u64,
    next: Instant,
    trouble: Retry,
}

impl GroupFile {
    /// Returns the file beside the blocked file.
    #[must_use]
    pub fn new(blocked: &Path) -> Self {
        let next = Instant::now() + EACH;
        Self { path: beside(blocked, ".groups"), written: 0, next, trouble: Retry::default() }
    }

    /// Returns the groups in the file with times before `now`, or none if it is missing.
    pub fn read(&self, now: u32) -> Result<Vec<Group>, ReadError> {
        let refused = || ReadError::Refused(self.path.clone());
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() > LARGEST as u64) {
            return Err(refused());
        }
        let Some(content) = atomic_write::read(&self.path)? else { return Ok(Vec::new()) };
        parse(&content, now, wall_time()).ok_or_else(refused)
    }

    /// Writes the groups at `now` in seconds, if they have changed and it is time, or if this `is_last` time.
    /// Returns a message to log, if any.
    pub fn flush(&mut self, groups: &Groups, now: u32, is_last: bool) -> Option<String> {
        let begin = Instant::now();
        let is_due = begin >= self.next && self.trouble.is_over(begin);
        if self.written == groups.revision() || !(is_due || is_last) {
            return None;
        }
        self.next = begin + EACH;
        let content = render(groups.kept(now), now, wall_time());
        let written = atomic_write::update(&self.path, MODE, |old| {
            // A host that is no target of such scans needs no file.
            let is_needed = old.is_some() || content.len() > size_of::<Head>();
            (is_needed && old != Some(content.as_slice())).then(|| content.clone())
        });
        if written.is_ok() {
            self.written = groups.revision();
        }
        let problem = written.err().map(|error| error.to_string());
        self.trouble.note(problem, &self.path.display(), begin)
    }
}

/// Returns the time in seconds since 1970.
fn wall_time() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Returns the file of groups that live at `now`, written at a time of the wall clock.
fn render<'a>(groups: impl Iterator<Item = &'a Group>, now: u32, written: u64) -> Vec<u8> {
    let age = |time: u32| now.saturating_sub(time);
    let mut content = bytemuck::bytes_of(&Head::at(written)).to_vec();
    for group in groups {
        let group = Group { first: age(group.first), last: age(group.last), ..*group };
        content.extend_from_slice(bytemuck::bytes_of(&group));
    }
    content
}

/// Returns the groups of a file that is read at `now`, and at a time of the wall clock. If that clock was set back, no
/// time has passed since the file was written.
fn parse(content: &[u8], now: u32, read: u64) -> Option<Vec<Group>> {
    let (head, groups) = content.split_at_checked(size_of::<Head>())?;
    let head = bytemuck::pod_read_unaligned::<Head>(head);
    if head != Head::at(head.written) || groups.len() % size_of::<Group>() != 0 {
        return None;
    }
    let passed = u32::try_from(read.saturating_sub(head.written)).unwrap_or(u32::MAX);
    let time = |age: u32| now.saturating_sub(passed.saturating_add(age));
    let groups = groups.chunks_exact(size_of::<Group>()).map(bytemuck::pod_read_unaligned::<Group>);
    groups
        .map(|group| {
            let group = Group { first: time(group.first), last: time(group.last), ..group };
            group.is_sound().then_some(group)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::sample_groups;

    const NOW: u32 = 1000;

    fn sample() -> Vec<Group> {
        sample_groups().kept(NOW).copied().collect()
    }

    fn written(directory: &Path) -> (GroupFile, Vec<u8>) {
        let mut file = GroupFile::new(&directory.join("blocked"));
        assert_eq!(file.flush(&sample_groups(), NOW, true), None);
        let content = fs::read(directory.join("blocked.groups")).unwrap();
        (file, content)
    }

    #[test]
    fn groups_are_read_as_they_were_written() {
        let directory = tempfile::tempdir().unwrap();
        let missing = GroupFile::new(&directory.path().join("missing"));
        assert_eq!(missing.read(NOW).unwrap(), []);
        let (file, content) = written(directory.path());
        // A moment may pass meanwhile.
        let [group] = file.read(NOW).unwrap()[..] else { panic!("one group") };
        assert!((NOW - 60..=NOW).contains(&group.first), "{}", group.first);
        assert_eq!([Group { first: NOW, last: NOW, ..group }], sample()[..]);
        assert_eq!(content.len(), size_of::<Head>() + size_of::<Group>());
    }

    #[test]
    fn groups_age_without_a_daemon_and_no_clock_that_is_set_back_makes_them_younger() {
        const WRITTEN: u64 = 1_800_000_000;
        let group = Group { first: NOW - 500, last: NOW - 20, ..sample()[0] };
        let content = render([&group].into_iter(), NOW, WRITTEN);
        // The machine has started meanwhile: its clock is another.
        for (now, read, expected) in [
            (5000, WRITTEN, (4500, 4980)),
            (5000, WRITTEN + 100, (4400, 4880)),
            (5000, WRITTEN - 86_400, (4500, 4980)),
            (5000, WRITTEN + 4800, (0, 180)),
            (5000, u64::MAX, (0, 0)),
        ] {
            let read: Vec<_> = parse(&content, now, read).unwrap();
            assert_eq!(read, [Group { first: expected.0, last: expected.1, ..group }]);
        }
    }

    #[test]
    fn no_groups_need_no_file_and_changes_wait_for_their_time() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = GroupFile::new(&directory.path().join("blocked"));
        assert_eq!(file.flush(&Groups::new(7), NOW, true), None);
        assert_eq!(file.flush(&sample_groups(), NOW, false), None);
        assert!(!directory.path().join("blocked.groups").exists());
        file.next = Instant::now();
        assert_eq!(file.flush(&sample_groups(), NOW, false), None);
        assert!(directory.path().join("blocked.groups").exists());
    }

    #[test]
    fn a_damaged_file_is_refused_and_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (mut file, content) = written(directory.path());
        let path = directory.path().join("blocked.groups");
        let mut newer = content.clone();
        newer[8] += 1;
        let mut wrong = content.clone();
        *wrong.get_mut(size_of::<Head>() + 16).unwrap() ^= 0xff;
        let long = vec![0; LARGEST + 1];
        let torn = &content[..content.len() - 1];
        for bad in [&b""[..], b"garbage", torn, &newer, &wrong, &long] {
            fs::write(&path, bad).unwrap();
            let error = file.read(NOW).unwrap_err().to_string();
            assert!(error.contains("blocked.groups is damaged, or of another version"), "{error}");
        }
        fs::write(&path, "garbage").unwrap();
        file.written = 0;
        assert_eq!(file.flush(&sample_groups(), NOW, true), None);
        assert!(fs::read(&path).unwrap().starts_with(&content[..size_of::<Head>() - 8]));
        assert_eq!(file.read(NOW).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
            parse(&octets, NOW, 5);
            parse(&[bytemuck::bytes_of(&Head::at(3)), &octets].concat(), NOW, 5);
        }
    }
}
