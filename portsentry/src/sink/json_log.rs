//! Events as JSON, one a line, on a thread of its own: whoever tells of one never waits for the disk or a reader.
//! What does not fit in the queue is counted, and the count is an event itself.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, channel, sync_channel},
    thread,
    time::Duration,
};

use super::{
    append,
    event::{Action, Event, Field},
};
use crate::config::JsonLog;

/// Events that wait at the most, about 8 MB.
const QUEUE: usize = 8192;
/// Events written in one go.
const BATCH: usize = 1024;
/// How long it is waited until a file that could not be written is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end is waited for: a disk that hangs must not keep the daemon.
const PATIENCE: Duration = Duration::from_secs(2);

/// The way to the thread that writes.
#[derive(Debug)]
pub struct Writer {
    /// `None` once it is to end.
    sender: Option<SyncSender<String>>,
    news: Receiver<String>,
    /// Never sent to: it is cut off when the thread ends.
    end: Receiver<()>,
    /// Events lost since the last that found room.
    untold: u64,
    /// All that were lost.
    lost: u64,
}

impl Writer {
    /// Starts the thread.
    pub fn start(target: &JsonLog) -> io::Result<Self> {
        let (sender, events) = sync_channel(QUEUE);
        let (news_sender, news) = channel();
        let (end_sender, end) = sync_channel(0);
        let target = target.clone();
        thread::Builder::new().name("events".into()).spawn(move || {
            let tell = |problem| drop(news_sender.send(problem));
            match target {
                JsonLog::Stdout => run(&events, &mut stdout, "JSON_LOG", PAUSE, tell),
                JsonLog::File(path) => {
                    run(&events, &mut file(&path), &path.display().to_string(), PAUSE, tell);
                }
            }
            drop(end_sender);
        })?;
        Ok(Self { sender: Some(sender), news, end, untold: 0, lost: 0 })
    }

    /// Hands over one event; `message` are the log's words for it.
    pub fn tell(&mut self, event: &Event, message: &str) {
        let Some(sender) = &self.sender else { return };
        if self.untold > 0 {
            let why = "JSON_LOG could not be written as fast as events came, or at all";
            let loss = Event::new(Action::Loss).with(Field::Count, self.untold).with(Field::EventReason, why);
            let message = format!("{} events are missing here: {why}", self.untold);
            if sender.try_send(loss.json(&message)).is_ok() {
                self.untold = 0;
            }
        }
        if sender.try_send(event.json(message)).is_err() {
            self.untold += 1;
            self.lost += 1;
        }
    }

    /// What has gone wrong with writing, or is right again, each told once.
    pub fn news(&self) -> impl Iterator<Item = String> + '_ {
        self.news.try_iter()
    }

    /// Events that were left out.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// Waits for what is still to be written, for a bounded time.
impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        // Whether it has ended or hangs, this is all the time it gets.
        let _ = self.end.recv_timeout(PATIENCE);
    }
}

/// Writes lines whole to where they go; says how many got there, and what went wrong if not all.
trait Sink: FnMut(&[String]) -> (usize, io::Result<()>) {}
impl<T: FnMut(&[String]) -> (usize, io::Result<()>)> Sink for T {}

fn stdout(lines: &[String]) -> (usize, io::Result<()>) {
    let mut stdout = io::stdout().lock();
    let written = lines.iter().try_for_each(|line| writeln!(stdout, "{line}")).and_then(|()| stdout.flush());
    // A reader that went away doesn't come back, so these are lost, as with any program.
    (lines.len(), written)
}

fn file(path: &std::path::Path) -> impl Sink + use<> {
    let path = PathBuf::from(path);
    move |lines: &[String]| append::append(&path, lines)
}

/// Takes events from the queue to `sink` until there are no more to come. While it fails, they wait in the queue.
fn run(
    events: &Receiver<String>,
    sink: &mut impl Sink,
    name: &str,
    pause: Duration,
    mut tell: impl FnMut(String),
) {
    let mut waiting = Vec::new();
    let mut problem = None;
    loop {
        let mut is_over = false;
        if waiting.is_empty() {
            match events.recv() {
                Ok(event) => waiting.push(event),
                Err(_) => return,
            }
        } else {
            // It was tried in vain; the time until the next attempt ends early when the daemon does.
            is_over = sleep(events, pause, &mut waiting);
        }
        while waiting.len() < BATCH {
            match events.try_recv() {
                Ok(event) => waiting.push(event),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    is_over = true;
                    break;
                }
            }
        }
        let (written, result) = sink(&waiting);
        waiting.drain(..written);
        let now = result.err().map(|error| error.to_string());
        if now != problem {
            tell(now.as_ref().map_or_else(
                || format!("{name} can be written again"),
                |error| format!("ERROR: {name} can't be written: {error}; it is tried again, and {QUEUE} events wait for it"),
            ));
            problem = now;
        }
        if is_over && (waiting.is_empty() || problem.is_some()) {
            return;
        }
    }
}

/// Waits, and takes events as they come as long as there is room; says whether there are no more to come.
fn sleep(events: &Receiver<String>, pause: Duration, waiting: &mut Vec<String>) -> bool {
    let end = std::time::Instant::now() + pause;
    loop {
        let left = end.saturating_duration_since(std::time::Instant::now());
        if waiting.len() >= BATCH || left.is_zero() {
            thread::sleep(left);
            return false;
        }
        match events.recv_timeout(left) {
            Ok(event) => waiting.push(event),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        }
    }
}

#[cfg(test)]
mod tests;
