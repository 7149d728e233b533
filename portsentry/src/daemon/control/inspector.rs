//! Answers requests that only look, on a thread of its own, so that they delay neither the ring nor the keeper. It has
//! the lowest priority, works on one request at a time, and rests in proportion to its work. Answers are bounded.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    control::{Answer, Code, Refusal, Request, line},
    inspect::{
        error::Error,
        explanation,
        gaps::Gaps,
        held, lists,
        past::{self, Bounds},
        report::Report,
        sample,
        subject::Subject,
        would,
    },
    policy::{Enforcement, enforcement::Strength},
};

/// Maximum number of queued requests.
const QUEUE: usize = 4;
/// Maximum time for an answer.
const ANSWER: Duration = Duration::from_secs(12);
/// The thread's nice value.
const NICE: i32 = 19;
/// Length of a rest, in units of the work before it.
const REST: u32 = 3;
/// Maximum length of a rest.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// Maximum number of sources in an answer.
const SOURCES: usize = 4096;
/// Limits on the work for the history.
const PAST: Bounds = Bounds { entries: 2048, bytes: 32 << 20 };

/// A request, possibly with the daemon's health for its answer, and the channel for the answer's line.
type Question = (Request, Option<Value>, oneshot::Sender<String>);

/// The thread's handle, and the configuration for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Inspector {
    subject: Arc<Mutex<Option<Arc<Subject>>>>,
    sender: Option<SyncSender<Question>>,
}

impl Inspector {
    /// Uses another configuration from now on. The first call starts the thread, which inherits the sandbox.
    pub(super) fn follow(&mut self, subject: Subject) {
        *self.subject.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(subject));
        if self.sender.is_none() {
            let (sender, receiver) = sync_channel(QUEUE);
            let subject = Arc::clone(&self.subject);
            // Without a thread the requests are refused as too many.
            let thread = thread::Builder::new().name("inspector".into());
            if thread.spawn(move || run(&receiver, &subject)).is_ok() {
                self.sender = Some(sender);
            }
        }
    }

    /// Returns the line that answers a request.
    pub(super) async fn ask(&self, request: Request) -> String {
        self.pass((request, None)).await
    }

    /// Returns the line with the daemon's `health` and the report of `portsentry status`.
    pub(super) async fn report(&self, health: Value) -> String {
        self.pass((Request::Status { report: true }, Some(health))).await
    }

    async fn pass(&self, (request, health): (Request, Option<Value>)) -> String {
        let busy = || line(&Err(Refusal::new(Code::Busy, "too many requests at a time")));
        let Some(sender) = &self.sender else { return busy() };
        let (answer, answered) = oneshot::channel();
        if sender.try_send((request, health, answer)).is_err() {
            return busy();
        }
        match timeout(ANSWER, answered).await {
            Ok(Ok(line)) => line,
            _ => busy(),
        }
    }
}

/// Answers until the process no longer asks.
fn run(questions: &Receiver<Question>, subject: &Mutex<Option<Arc<Subject>>>) {
    // Affects only this thread on Linux (setpriority(2)). An error doesn't matter.
    let _ = rustix::process::nice(NICE);
    while let Ok((request, health, answer)) = questions.recv() {
        let subject = subject.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // The client may have left.
        let Some(subject) = subject.filter(|_| !answer.is_closed()) else { continue };
        let begun = Instant::now();
        let _ = answer.send(line(&inspect(request, health, &subject)));
        thread::sleep((begun.elapsed() * REST).min(LONGEST_REST));
    }
}

fn inspect(request: Request, health: Option<Value>, subject: &Subject) -> Answer {
    let Subject { config, modes, .. } = subject;
    match request {
        Request::Status { .. } => status(health.unwrap_or_default(), subject),
        Request::List(selection) if selection.would => to_value(would::read(config, &selection, SOURCES)),
        Request::List(selection) => to_value(held::read(config, &selection, SOURCES)),
        Request::Lists {} => to_value(lists::read(config)),
        Request::Top {} => {
            let mode = Enforcement::new(config, *modes);
            to_value(sample::read(config, SOURCES).map(|sample| {
                let sample = sample::Sample { mode: Some(mode.into()), ..sample };
                match mode.strength() {
                    Strength::Observing => sample.observing(config, SOURCES),
                    _ => sample,
                }
            }))
        }
        Request::History(wanted) => to_value(past::read(config, &wanted, PAST)),
        Request::Why { address } => to_value(explanation::read(subject, address.to_canonical(), PAST)),
        Request::Events(_)
        | Request::Block { .. }
        | Request::Unblock { .. }
        | Request::Reload {}
        | Request::Summary {}
        | Request::Peers {}
        | Request::Claims { .. }
        | Request::Peer { .. }
        | Request::Allow { .. } => Err(Refusal::new(Code::Failed, "another thread does that")),
    }
}

/// Adds the report to the daemon's health.
fn status(mut health: Value, subject: &Subject) -> Answer {
    let gaps = serde_json::from_value::<Gaps>(health.clone()).unwrap_or_default();
    let report = Report::read(&subject.config).map(|report| Report { gaps, ..report });
    let report = to_value(report)?;
    match health.as_object_mut() {
        Some(members) => drop(members.insert("report".into(), report)),
        None => health = json!({"report": report}),
    }
    Ok(health)
}

fn to_value<T: Serialize>(read: Result<T, Error>) -> Answer {
    let failed = |error: &dyn std::fmt::Display| Refusal::new(Code::Failed, error.to_string());
    let read = read.map_err(|error| failed(&error))?;
    serde_json::to_value(read).map_err(|error| failed(&error))
}
