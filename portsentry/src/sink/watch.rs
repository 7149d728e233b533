//! Watches files for change, creation and removal, through the directories that lead to them.

use std::{
    collections::{HashSet, VecDeque},
    ffi::OsString,
    fs, io,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use futures_util::StreamExt;
use inotify::{EventMask, EventOwned, EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio::time::{Instant, sleep_until};

/// Delay between a file's first change and its report, so that a change in several steps is reported once.
const SETTLE: Duration = Duration::from_millis(100);
/// Room for the events of one read, in bytes; one event takes up to 272.
const BUFFER: usize = 4096;
/// Maximum number of symbolic links followed for one path, as in the kernel (`path_resolution(7)`).
const LINKS: usize = 40;

/// The last part of a path that stands for every file in the directory.
pub const ANY: &str = "*";

/// A set of watched files.
#[derive(Debug)]
pub struct Watch {
    events: EventStream<Vec<u8>>,
    files: Vec<File>,
    /// The kernel's watch descriptors.
    watched: HashSet<WatchDescriptor>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    /// The directory entries on which the path depends, including those of links.
    way: Vec<(WatchDescriptor, OsString)>,
    due: Option<Instant>,
}

impl Watch {
    /// Watches the files with these names, whether or not they or their directories exist yet. Relative names start
    /// at the current directory.
    ///
    /// Changes are reported from this call on, so that a file read afterwards is never outdated. Must be called
    /// inside a tokio runtime with I/O and time.
    pub fn new(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> io::Result<Self> {
        let events = Inotify::init()?.into_event_stream(vec![0; BUFFER])?;
        let files = paths
            .into_iter()
            .map(|path| Ok(File { path: std::path::absolute(path)?, way: Vec::new(), due: None }));
        let files = files.collect::<io::Result<_>>()?;
        let mut watch = Self { events, files, watched: HashSet::new() };
        for index in 0..watch.files.len() {
            watch.follow(index)?;
        }
        Ok(watch)
    }

    /// Waits for the next file that may have changed: written and closed, replaced, removed, created, or given
    /// another mode or owner. Also reports changes of the path alone, and this process's own changes.
    ///
    /// After an error, other files are still watched. The affected file is watched again once its path changes. The
    /// future can be dropped without losing a change.
    pub async fn changed(&mut self) -> io::Result<PathBuf> {
        loop {
            let now = Instant::now();
            if let Some(file) = self.files.iter_mut().find(|file| file.due.is_some_and(|due| due <= now)) {
                file.due = None;
                return Ok(file.path.clone());
            }
            let next = self.files.iter().filter_map(|file| file.due).min();
            tokio::select! {
                event = self.events.next() => match event {
                    Some(event) => self.take_in(&event?)?,
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                },
                () = sleep_until(next.unwrap_or(now)), if next.is_some() => {}
            }
        }
    }

    fn take_in(&mut self, event: &EventOwned) -> io::Result<()> {
        let mut result = Ok(());
        for index in 0..self.files.len() {
            let file = &mut self.files[index];
            if file.is_concerned(event) {
                file.due.get_or_insert_with(|| Instant::now() + SETTLE);
                result = result.and(self.follow(index));
            }
        }
        self.forget();
        result
    }

    /// Walks the path to a file as the kernel would. Watches each entry before reading it, so that no change is
    /// missed.
    fn follow(&mut self, index: usize) -> io::Result<()> {
        let Some(file) = self.files.get_mut(index) else { return Ok(()) };
        let mut watches = self.events.watches();
        file.way.clear();
        let mut at = PathBuf::new();
        let mut rest: VecDeque<_> = steps(&file.path).collect();
        let mut links = 0;
        while let Some(step) = rest.pop_front() {
            let name = match step {
                Step::Root => {
                    at = "/".into();
                    continue;
                }
                Step::Up => {
                    at.pop();
                    continue;
                }
                Step::Down(name) => name,
            };
            let Some(directory) = unless_missing(watches.add(&at, mask()))? else {
                break;
            };
            self.watched.insert(directory.clone());
            at.push(&name);
            file.way.push((directory, name));
            match fs::read_link(&at) {
                // Not a link.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                read => {
                    let Some(target) = unless_missing(read)? else { break };
                    links += 1;
                    if links > LINKS {
                        break;
                    }
                    at.pop();
                    steps(&target).rev().for_each(|step| rest.push_front(step));
                }
            }
        }
        Ok(())
    }

    /// Stops watching directories that are no longer on any path.
    fn forget(&mut self) {
        let used: HashSet<_> = self.files.iter().flat_map(|file| file.way.iter().map(|(on, _)| on)).collect();
        let mut watches = self.events.watches();
        for unused in self.watched.extract_if(|watched| !used.contains(watched)) {
            // The only possible error is that the kernel has already removed the watch.
            let _ = watches.remove(unused);
        }
    }
}

impl File {
    fn is_concerned(&self, event: &EventOwned) -> bool {
        // The kernel dropped events, or a directory was removed together with its watch.
        let is_overflow = event.mask.contains(EventMask::Q_OVERFLOW);
        let is_gone = event.mask.contains(EventMask::IGNORED);
        let is_on_the_way = |(on, name): &(_, _)| {
            *on == event.wd && (is_gone || name == ANY || event.name.as_ref() == Some(name))
        };
        is_overflow || self.way.iter().any(is_on_the_way)
    }
}

fn mask() -> WatchMask {
    WatchMask::ATTRIB
        | WatchMask::CLOSE_WRITE
        | WatchMask::CREATE
        | WatchMask::DELETE
        | WatchMask::MOVE
        | WatchMask::ONLYDIR
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

fn steps(path: &Path) -> impl DoubleEndedIterator<Item = Step> {
    path.components().filter_map(|component| match component {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Returns `None` if a path ends early because an entry is missing.
fn unless_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
