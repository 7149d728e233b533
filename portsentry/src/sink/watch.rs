//! Tells when files change, come or go, by watching the directories that lead to them.

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

/// How long after a file's first change it is told, so that a change in several steps is told once.
const SETTLE: Duration = Duration::from_millis(100);
/// Room for the events of one read, in bytes; one takes up to 272.
const BUFFER: usize = 4096;
/// Symbolic links followed for one path, as many as the kernel does (`path_resolution(7)`).
const LINKS: usize = 40;

/// A set of files that are watched for change.
#[derive(Debug)]
pub struct Watch {
    events: EventStream<Vec<u8>>,
    files: Vec<File>,
    /// All that the kernel watches for us.
    watched: HashSet<WatchDescriptor>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    /// The directory entries that decide what the path leads to, links on the way among them.
    way: Vec<(WatchDescriptor, OsString)>,
    due: Option<Instant>,
}

impl Watch {
    /// Watches the files of these names, whether or not they, or the directories that they are in, exist yet.
    /// Relative names are taken from the current directory.
    ///
    /// What happens from here on is told, so whoever reads the files afterwards misses nothing. To be called inside
    /// a tokio runtime that has I/O and time.
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

    /// Waits for the next file that may have changed: written and closed, replaced, removed, created, or its mode or
    /// owner set. Also tells when the way to it changed and it did not, and of changes that are our own.
    ///
    /// After an error other files are still watched, and the one concerned once the way to it changes. Nothing is
    /// lost when the future is dropped.
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

    /// Walks the way to a file as the kernel would, and has each entry on it watched before looking at it, so that
    /// no change falls in between.
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

    /// Lets go of directories that lead nowhere any more.
    fn forget(&mut self) {
        let used: HashSet<_> = self.files.iter().flat_map(|file| file.way.iter().map(|(on, _)| on)).collect();
        let mut watches = self.events.watches();
        for unused in self.watched.extract_if(|watched| !used.contains(watched)) {
            // The only error is that the kernel has let go of it already.
            let _ = watches.remove(unused);
        }
    }
}

impl File {
    fn is_concerned(&self, event: &EventOwned) -> bool {
        // The kernel had to leave out events; or a directory is gone, and the watch on it with it.
        let is_overflow = event.mask.contains(EventMask::Q_OVERFLOW);
        let is_gone = event.mask.contains(EventMask::IGNORED);
        let is_on_the_way =
            |(on, name): &(_, _)| *on == event.wd && (is_gone || event.name.as_ref() == Some(name));
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

/// `None` where a way ends early because nothing is there.
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
