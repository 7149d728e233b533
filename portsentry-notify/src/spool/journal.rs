//! The events on disk: files of lines, each of which begins with its number. The oldest file is removed when they grow too
//! large. A line that was torn by a power failure is cut off.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::event::Event;

/// Number of files that share the size of the spool.
const FILES: usize = 8;
const EXTENSION: &str = "events";

/// The files, of which the last is open.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    /// Maximum size of a file in bytes.
    share: usize,
    /// The first number of each file, ascending.
    firsts: Vec<u64>,
    open: Option<(File, usize)>,
}

/// An event's number, the event, and its length on disk.
pub(super) type Found = (u64, Event, usize);

impl Journal {
    /// Opens the files in `directory`, and returns their events.
    pub(super) fn open(directory: &Path, size: usize) -> io::Result<(Self, Vec<Found>)> {
        let mut firsts: Vec<u64> =
            fs::read_dir(directory)?.flatten().filter_map(|entry| first(&entry.path())).collect();
        firsts.sort_unstable();
        let mut found: Vec<Found> = Vec::new();
        let mut journal =
            Self { directory: directory.into(), share: size / FILES, firsts: Vec::new(), open: None };
        for number in firsts {
            let path = journal.path(number);
            let text = fs::read(&path)?;
            let mut whole = 0;
            for line in text.split_inclusive(|byte| *byte == b'\n') {
                let Some((number, event)) = read(line) else { break };
                if found.last().is_some_and(|(last, ..)| *last >= number) {
                    break;
                }
                whole += line.len();
                found.push((number, event, line.len()));
            }
            if whole == 0 {
                fs::remove_file(&path)?;
                continue;
            }
            let file = OpenOptions::new().append(true).open(&path)?;
            if whole < text.len() {
                file.set_len(u64::try_from(whole).unwrap_or(u64::MAX))?;
            }
            journal.firsts.push(number);
            journal.open = Some((file, whole));
        }
        Ok((journal, found))
    }

    /// Appends an event. Returns its length on disk.
    pub(super) fn append(&mut self, number: u64, event: &Event) -> io::Result<usize> {
        let line = format!("{number} {}\n", event.value());
        if self.open.as_ref().is_none_or(|(_, length)| length + line.len() > self.share && *length > 0) {
            self.sync()?;
            let path = self.path(number);
            // Appending, so that the end is where the next line belongs also after a part of one was cut off.
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
            self.open = Some((file, 0));
            self.firsts.push(number);
            while self.firsts.len() > FILES {
                let oldest = self.firsts.remove(0);
                fs::remove_file(self.path(oldest))?;
            }
        }
        let Some((file, length)) = &mut self.open else { return Ok(0) };
        if let Err(error) = file.write_all(line.as_bytes()) {
            // A part of a line would hide the next one.
            file.set_len(u64::try_from(*length).unwrap_or(u64::MAX))?;
            return Err(error);
        }
        *length += line.len();
        Ok(line.len())
    }

    /// Waits until all events are on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.open.as_ref().map_or(Ok(()), |(file, _)| file.sync_data())
    }

    fn path(&self, first: u64) -> PathBuf {
        self.directory.join(format!("{first:020}.{EXTENSION}"))
    }
}

/// Returns the first number of the file at `path`, if it is one of the journal's.
fn first(path: &Path) -> Option<u64> {
    path.extension().filter(|extension| *extension == EXTENSION)?;
    path.file_stem()?.to_str()?.parse().ok()
}

fn read(line: &[u8]) -> Option<(u64, Event)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (number, event) = line.split_once(' ')?;
    Some((number.parse().ok()?, Event::read(event)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::event;

    #[test]
    fn an_event_behind_a_write_that_failed_is_found_at_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(directory.path(), 1 << 20).unwrap();
        journal.append(1, &event("block", "192.0.2.9", 1)).unwrap();
        // A full disk takes a part of the line, which `append` cuts off.
        let (file, length) = journal.open.as_mut().unwrap();
        file.write_all(b"2 {\"event\"").unwrap();
        file.set_len(u64::try_from(*length).unwrap()).unwrap();
        for number in [2, 3] {
            journal.append(number, &event("block", "192.0.2.9", number)).unwrap();
        }
        let (_, found) = Journal::open(directory.path(), 1 << 20).unwrap();
        assert_eq!(found.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
