//! Edits the blocked file as an administrator would: line by line, without changing other lines.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ipnet::IpNet;

use super::{
    annotation::Annotation,
    atomic_write::{self, MODE, WriteError},
    blocked_file,
    files::SUFFIXES,
};
use crate::policy::{Record, name_of, register::asked_because};

/// Result of an edit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edited {
    /// Networks and hosts whose line was added or removed.
    pub changed: Vec<IpNet>,
    /// Networks and hosts whose line needed no change.
    pub unchanged: Vec<IpNet>,
    /// The records of the removed lines.
    pub removed: Vec<Record>,
}

/// Kind of edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a line with this annotation for each source. An annotation without an end and an administrator's own words
    /// leaves existing lines unchanged.
    Block(Annotation),
    /// Removes the sources' lines.
    Unblock,
}

/// Edits the blocked file at `path`, which is replaced as a whole or left alone. A new file starts with the content
/// of the files of 1.2's modes, because a daemon reads those only if there is no blocked file.
pub fn edit(path: &Path, change: &Change, sources: &BTreeSet<IpNet>) -> Result<Edited, WriteError> {
    let edited = RefCell::new(Edited::default());
    let classic = classic(path)?;
    atomic_write::update(path, MODE, |old| {
        let (new, done) = rewrite(old.unwrap_or(&classic), change, sources);
        let is_new = !done.changed.is_empty();
        edited.replace(done);
        is_new.then_some(new)
    })?;
    Ok(edited.into_inner())
}

/// Returns the content of the files of 1.2's modes.
fn classic(path: &Path) -> Result<Vec<u8>, WriteError> {
    let mut all = Vec::new();
    for suffix in SUFFIXES {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{suffix}"));
        all.extend(atomic_write::read(&PathBuf::from(beside))?.unwrap_or_default());
        if all.last().is_some_and(|last| *last != b'\n') {
            all.push(b'\n');
        }
    }
    Ok(all)
}

/// Returns the file's new content and the changes.
#[must_use]
pub fn rewrite(old: &[u8], change: &Change, sources: &BTreeSet<IpNet>) -> (Vec<u8>, Edited) {
    let old = if blocked_file::is_text(old) { old.to_vec() } else { text_of(old) };
    let mut held = BTreeSet::<IpNet>::new();
    let mut removed = Vec::new();
    let mut new = Vec::with_capacity(old.len());
    for line in old.split_inclusive(|byte| *byte == b'\n') {
        let record = blocked_file::read_line(&String::from_utf8_lossy(line), SystemTime::UNIX_EPOCH);
        let is_named = |record: &Record, source: &IpNet| match change {
            Change::Block(_) => record.network == *source,
            // Unblocking a host that is blocked by its IPv6 network unblocks the whole network, and unblocking a network
            // everything in it.
            Change::Unblock => {
                source.contains(&record.network)
                    || blocked_file::is_prefix(record.network) && record.network.contains(source)
            }
        };
        let is_meant = |record: &Record| sources.iter().any(|source| is_named(record, source));
        let meant = record.filter(is_meant);
        let is_kept = match (change, meant) {
            (_, None) => true,
            // A block replaces a fence, and an annotation replaces another.
            (Change::Block(remark), Some(record)) => !record.hold.is_fence && !has_terms(remark),
            (Change::Unblock, Some(_)) => false,
        };
        if is_kept {
            new.extend_from_slice(line);
        } else {
            removed.extend(meant);
        }
        let counts = *change == Change::Unblock || is_kept;
        let meant = meant.filter(|_| counts);
        held.extend(sources.iter().filter(|source| meant.is_some_and(|record| is_named(&record, source))));
    }
    // The text after a removed first line must not look like 2.x's form.
    if !blocked_file::is_text(&new) {
        new.splice(..0, *b"#\n");
    }
    let (is_held, is_not): (Vec<IpNet>, Vec<IpNet>) =
        sources.iter().partition(|source| held.contains(source));
    let Change::Block(remark) = change else {
        return (new, Edited { changed: is_held, unchanged: is_not, removed });
    };
    if new.last().is_some_and(|last| *last != b'\n') {
        new.push(b'\n');
    }
    for source in &is_not {
        new.extend_from_slice(format!("{}{remark}\n", name_of(*source)).as_bytes());
    }
    (new, Edited { changed: is_not, unchanged: is_held, removed })
}

/// Whether `remark` has an end, or more of a reason than the administrator's name.
fn has_terms(remark: &Annotation) -> bool {
    let is_given = |reason: &String| asked_because(reason) != Some("");
    remark.until.is_some() || remark.reason.as_ref().is_some_and(is_given)
}

/// Converts 2.x's binary file to bare addresses.
fn text_of(old: &[u8]) -> Vec<u8> {
    let (records, _) = blocked_file::parse(old, SystemTime::UNIX_EPOCH);
    records.iter().flat_map(|record| format!("{}\n", record.name()).into_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FILE: &str = "# mine\n\
         1795389179 - 11/22/2026 23:12:59 Host: a.example/192.0.2.9 Port: 1 TCP Blocked\n\
         1795389180 - 11/22/2026 23:13:00 Host: 192.0.2.8/192.0.2.8 Port: 7 UDP Fenced\n\
         nonsense 192.0.2.7\n2001:db8::9 # a guest\n192.0.2.6";

    const BLOCK: Change = Change::Block(Annotation { until: None, reason: None });

    fn sources(text: &str) -> BTreeSet<IpNet> {
        text.split_whitespace().map(|word| word.parse::<std::net::IpAddr>().unwrap().into()).collect()
    }

    #[test]
    fn only_the_lines_that_are_meant_change() {
        let lines: Vec<&str> = FILE.lines().collect();
        for (change, named, expected, changed) in [
            (Change::Unblock, "192.0.2.9", [&lines[..1], &lines[2..]].concat(), "192.0.2.9"),
            (Change::Unblock, "192.0.2.8", [&lines[..2], &lines[3..]].concat(), "192.0.2.8"),
            (Change::Unblock, "2001:db8::9 192.0.2.6", lines[..4].to_vec(), "192.0.2.6 2001:db8::9"),
            (Change::Unblock, "192.0.2.7", lines.clone(), ""),
            (BLOCK, "192.0.2.9 192.0.2.6", lines.clone(), ""),
            (BLOCK, "192.0.2.7", [&lines[..], &["192.0.2.7"]].concat(), "192.0.2.7"),
            (BLOCK, "192.0.2.8", [&lines[..2], &lines[3..], &["192.0.2.8"]].concat(), "192.0.2.8"),
        ] {
            let (new, done) = rewrite(FILE.as_bytes(), &change, &sources(named));
            let new = String::from_utf8(new).unwrap();
            assert_eq!(new.lines().collect::<Vec<_>>(), expected, "{change:?} {named}");
            assert_eq!(done.changed, sources(changed).into_iter().collect::<Vec<_>>(), "{change:?} {named}");
            assert_eq!(done.changed.len() + done.unchanged.len(), sources(named).len());
        }
    }

    #[test]
    fn terms_take_the_place_of_others() {
        let until = Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_795_400_000));
        let change = Change::Block(Annotation { until, reason: Some("a guest".into()) });
        let (new, done) = rewrite(b"192.0.2.9 # mine\n192.0.2.8\n", &change, &sources("192.0.2.9"));
        assert_eq!(
            String::from_utf8(new).unwrap(),
            "192.0.2.8\n192.0.2.9 # until 2026-11-23T02:13:20Z because \"a guest\"\n"
        );
        assert_eq!(done.changed, [sources("192.0.2.9").pop_first().unwrap()]);
    }

    #[test]
    fn an_administrators_name_alone_changes_no_block() {
        let change = Change::Block(Annotation { until: None, reason: Some("alice asked for it".into()) });
        let (new, done) = rewrite(b"192.0.2.9 # mine\n", &change, &sources("192.0.2.8 192.0.2.9"));
        assert_eq!(
            String::from_utf8(new).unwrap(),
            "192.0.2.9 # mine\n192.0.2.8 # because \"alice asked for it\"\n"
        );
        assert_eq!(done.unchanged, [sources("192.0.2.9").pop_first().unwrap()]);
    }

    #[test]
    fn the_binary_file_of_2_becomes_text() {
        let mut old = 2_u16.to_ne_bytes().to_vec();
        old.extend([192, 0, 2, 9]);
        let (new, _) = rewrite(&old, &BLOCK, &sources("192.0.2.1"));
        assert_eq!(new, b"192.0.2.9\n192.0.2.1\n");
    }

    #[test]
    fn a_text_file_stays_one() {
        let old = b"192.0.2.9\n\x02\0\xc0\0\x02\x07".as_slice();
        let (new, _) = rewrite(old, &Change::Unblock, &sources("192.0.2.9"));
        assert_eq!(new, [b"#\n", &old[10..]].concat());
    }

    #[test]
    fn the_files_of_1_2s_modes_are_not_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blocked");
        fs::write(directory.path().join("blocked.stcp"), "192.0.2.1").unwrap();
        fs::write(directory.path().join("blocked.sudp"), "192.0.2.2\n").unwrap();
        edit(&path, &BLOCK, &sources("192.0.2.3")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "192.0.2.1\n192.0.2.2\n192.0.2.3\n");
    }

    #[test]
    fn a_file_that_says_it_already_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blocked");
        let done = edit(&path, &Change::Unblock, &sources("192.0.2.3")).unwrap();
        assert_eq!(done.unchanged, [sources("192.0.2.3").pop_first().unwrap()]);
        assert!(!path.exists());
    }
}
