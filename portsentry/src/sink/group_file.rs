//! The groups of sources that may be distributed scans, kept beside the blocked file (`BLOCKED_FILE.groups`), so that a
//! scan that takes days is found although the daemon restarts.
//!
//! The file has a head and the groups, in this machine's byte order. A file of another version, or with anything that
//! this version doesn't write, is refused as a whole.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytemuck::{Pod, Zeroable};
use portsentry_common::scan::group::Group;

use super::{
    atomic_write::{self, MODE, WriteError},
    retry::Retry,
};
use crate::policy::{Groups, MOST_GROUPS};

const MAGIC: [u8; 8] = *b"psgroups";
const VERSION: u32 = 1;
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
}

const HEAD: Head = Head {
    magic: MAGIC,
    version: VERSION,
    #[expect(clippy::cast_possible_truncation, reason = "784")]
    size: size_of::<Group>() as u32,
};

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
        Self { path: path(blocked), written: 0, next, trouble: Retry::default() }
    }

    /// Returns the groups in the file, or none if it is missing.
    pub fn read(&self) -> Result<Vec<Group>, ReadError> {
        let refused = || ReadError::Refused(self.path.clone());
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() > LARGEST as u64) {
            return Err(refused());
        }
        let Some(content) = atomic_write::read(&self.path)? else { return Ok(Vec::new()) };
        parse(&content).ok_or_else(refused)
    }

    /// Writes the groups at `now` in seconds since 1970, if they have changed and it is time, or if this `is_last` time.
    /// Returns a message to log, if any.
    pub fn flush(&mut self, groups: &Groups, now: u32, is_last: bool) -> Option<String> {
        let begin = Instant::now();
        let is_due = begin >= self.next && self.trouble.is_over(begin);
        if self.written == groups.revision() || !(is_due || is_last) {
            return None;
        }
        self.next = begin + EACH;
        let content = render(groups.kept(now));
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

fn path(blocked: &Path) -> PathBuf {
    let mut path = blocked.as_os_str().to_owned();
    path.push(".groups");
    path.into()
}

fn render<'a>(groups: impl Iterator<Item = &'a Group>) -> Vec<u8> {
    let mut content = bytemuck::bytes_of(&HEAD).to_vec();
    groups.for_each(|group| content.extend_from_slice(bytemuck::bytes_of(group)));
    content
}

fn parse(content: &[u8]) -> Option<Vec<Group>> {
    let (head, groups) = content.split_at_checked(size_of::<Head>())?;
    if bytemuck::pod_read_unaligned::<Head>(head) != HEAD || groups.len() % size_of::<Group>() != 0 {
        return None;
    }
    let groups = groups.chunks_exact(size_of::<Group>()).map(bytemuck::pod_read_unaligned::<Group>);
    groups.map(|group| group.is_sound().then_some(group)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::sample_groups;

    const NOW: u32 = 1000;

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
        assert_eq!(missing.read().unwrap(), []);
        let (file, content) = written(directory.path());
        let kept: Vec<Group> = sample_groups().kept(NOW).copied().collect();
        assert_eq!(file.read().unwrap(), kept);
        assert_eq!((kept.len(), content.len()), (1, size_of::<Head>() + size_of::<Group>()));
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
            let error = file.read().unwrap_err().to_string();
            assert!(error.contains("blocked.groups is damaged, or of another version"), "{error}");
        }
        fs::write(&path, "garbage").unwrap();
        file.written = 0;
        assert_eq!(file.flush(&sample_groups(), NOW, true), None);
        assert_eq!(fs::read(&path).unwrap(), content);
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
            parse(&octets);
            parse(&[bytemuck::bytes_of(&HEAD), &octets].concat());
        }
    }
}
