//! Writes events as JSON, one per line, on a separate thread, so that a caller never waits for the disk or a
//! reader. Events that don't fit in the queue are counted, and an event reports the count.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, channel, sync_channel},
    thread,
    time::Duration,
};

use super::{
    append,
    emit::{Report, Sink},
    event::{Action, Event, Field},
};
use crate::{
    config::{Config, JsonLog},
    policy::trouble::{News, Trouble},
};

/// Maximum number of queued events, about 8 MB.
const QUEUE: usize = 8192;
/// Events written at a time.
const BATCH: usize = 1024;
/// Pause before a file that could not be written is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// Maximum time to wait for the thread's end, because a hanging disk must not keep the daemon alive.
const PATIENCE: Duration = Duration::from_secs(2);

/// Handle to the writing thread.
#[derive(Debug)]
pub struct Writer {
    /// `None` once the thread should end.
    sender: Option<SyncSender<String>>,
    news: Receiver<String>,
    /// Never carries a value: it is disconnected when the thread ends.
    end: Receiver<()>,
    /// Events lost since the last one that was queued.
    untold: u64,
    /// Events lost in total.
    lost: u64,
}

/// `JSON_LOG`
pub(super) fn open(config: &Config) -> Option<io::Result<Box<dyn Sink>>> {
    let writer = config.targets.json_log().map(Writer::start)?;
    Some(writer.map(|writer| Box::new(writer) as Box<dyn Sink>))
}

impl Sink for Writer {
    fn name(&self) -> &'static str {
        "json"
    }

    fn emit(&mut self, report: &Report<'_>) {
        if let Some(event) = report.json {
            self.tell(event);
        }
    }

    fn lost(&self) -> u64 {
        self.lost
    }

    fn news(&mut self) -> Vec<String> {
        self.news.try_iter().collect()
    }
}

impl Writer {
    /// Starts the thread.
    pub fn start(target: JsonLog) -> io::Result<Self> {
        let (sender, events) = sync_channel(QUEUE);
        let (news_sender, news) = channel();
        let (end_sender, end) = sync_channel(0);
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

    /// Queues an event, as a line of JSON.
    pub fn tell(&mut self, event: &str) {
        let Some(sender) = &self.sender else { return };
        if self.untold > 0 {
            let why = "JSON_LOG could not be written, or not fast enough";
            let loss = Event::new(Action::Loss).with(Field::Count, self.untold).with(Field::EventReason, why);
            let message = format!("{} events are missing here: {why}", self.untold);
            if sender.try_send(loss.json(&message, None)).is_ok() {
                self.untold = 0;
            }
        }
        if sender.try_send(event.to_owned()).is_err() {
            self.untold += 1;
            self.lost += 1;
        }
    }
}

/// Waits for pending events to be written, for a bounded time.
impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        // A thread that hangs gets no more time than this.
        let _ = self.end.recv_timeout(PATIENCE);
    }
}

/// Writes whole lines to the target. Returns how many were written, and the error if not all were.
trait Target: FnMut(&[String]) -> (usize, io::Result<()>) {}
impl<T: FnMut(&[String]) -> (usize, io::Result<()>)> Target for T {}

fn stdout(lines: &[String]) -> (usize, io::Result<()>) {
    let mut stdout = io::stdout().lock();
    let written = lines.iter().try_for_each(|line| writeln!(stdout, "{line}")).and_then(|()| stdout.flush());
    // A reader that has left doesn't come back, so these lines are lost.
    (lines.len(), written)
}

fn file(path: &std::path::Path) -> impl Target + use<> {
    let path = PathBuf::from(path);
    move |lines: &[String]| append::append(&path, lines)
}

/// Passes events from the queue to `sink` until the queue is closed. While `sink` fails, events stay queued.
fn run(
    events: &Receiver<String>,
    sink: &mut impl Target,
    name: &str,
    pause: Duration,
    mut tell: impl FnMut(String),
) {
    let mut waiting = Vec::new();
    let mut trouble = Trouble::default();
    loop {
        let mut is_over = false;
        if waiting.is_empty() {
            match events.recv() {
                Ok(event) => waiting.push(event),
                Err(_) => return,
            }
        } else {
            // The attempt failed; the pause before the next one ends early when the daemon does.
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
        match trouble.note(result.err().map(|error| error.to_string())) {
            Some(News::Over) => tell(format!("{name} can be written again")),
            Some(News::Begun(error)) => tell(format!(
                "ERROR: {name} can't be written: {error}; retrying, up to {QUEUE} events are queued"
            )),
            None => {}
        }
        if is_over && (waiting.is_empty() || trouble.problem().is_some()) {
            return;
        }
    }
}

/// Waits, accepting events while there is room. Returns whether the queue is closed.
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
