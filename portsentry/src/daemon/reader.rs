//! Reads the ring on a timer or when woken, and handles signals, files and the control socket.

use std::{
    io,
    path::Path,
    sync::mpsc::{SyncSender, TrySendError},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, interval, sleep_until},
};

use super::{
    Options, Reread,
    control::{Asked as Question, Control},
    host_watch::HostWatch,
    message::{Finish, Message},
    notify::Pulse,
    signals::{Asked, Signals},
};
use crate::{
    config::OnStop,
    control::{Answer, Code, Refusal, Request},
    host::RESOLVERS,
    kernel::{DebugLog, Ring, System, slept},
    modes::Modes,
    sink::watch::Watch,
};

/// Pause between reads under load. With a ring of 4 MiB, it allows 13 million events a second.
const BUSY: Duration = Duration::from_millis(5);
/// Longest pause: the maximum delay of an event after a quiet time. Blocks of proven sources wake the reader.
const IDLE: Duration = Duration::from_millis(100);
/// Number of sightings read at a time, so that signals are handled during a flood.
const BATCH: usize = 8192;
/// Interval of checks for other processes that share the maps, for changed settings of the system, and for a sleep.
const REGROUP: Duration = Duration::from_millis(300);
/// How long forwarding is off before that counts: firewall scripts switch it off while they load their rules.
const AWHILE: Duration = Duration::from_mins(1);
/// Shorter differences come from reading the clocks one after the other.
const NAP: Duration = Duration::from_millis(100);

/// Reason why reading ended.
pub enum End {
    /// A signal to stop.
    Stop,
    /// A signal to stop and leave the program attached.
    Leave,
    /// A signal or a request to reload, with a valid configuration. The request is answered once the configuration
    /// is in effect.
    Reload(Box<Options>, Option<oneshot::Sender<Answer>>),
    /// The modes of other processes have changed.
    Regroup,
    /// The system's settings have changed; the ones before.
    System(System),
    /// The ports are to be watched some time after the machine's boot, which is now.
    Booted,
    /// Hidden pins have been restored.
    PinnedAnew,
    /// The machine has slept.
    Resumed,
}

/// External state that a session depends on.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The modes of other processes.
    pub modes: Modes,
    /// The system's settings.
    pub system: System,
    /// How long the machine has slept since its start.
    pub slept: Duration,
    /// When the ports are to be watched, unless they are.
    pub watched_at: Option<Instant>,
}

/// Since when forwarding has been switched off.
#[derive(Debug, Default)]
struct SwitchedOff(Option<Instant>);

impl SwitchedOff {
    /// Whether the system's settings differ from `known`. Forwarding that is off differs only after a while.
    fn differ(&mut self, known: System, system: System, now: Instant) -> bool {
        let is_off = known.forwards && !system.forwards;
        self.0 = self.0.filter(|_| is_off).or(is_off.then_some(now));
        let is_off_for_good = self.0.is_some_and(|since| now.duration_since(since) >= AWHILE);
        known.ephemeral != system.ephemeral || (!known.forwards && system.forwards) || is_off_for_good
    }
}

/// Reads until a signal to stop. Passes all messages to `keeper`.
pub async fn run(
    (mut ring, pulse): (Ring, Pulse),
    mut debug: Option<DebugLog>,
    host: HostWatch,
    mut files: Watch,
    keeper: SyncSender<Message>,
    (signals, control, pinned): (&mut Signals, &mut Control, &Notify),
    (on_stop, reread, others, known): (OnStop, &Reread<'_>, &dyn Fn() -> Modes, Known),
) -> io::Result<End> {
    let mut regroup = interval(REGROUP);
    let mut switched_off = SwitchedOff::default();
    let wake_ups = ring.wake_ups()?;
    let mut pause = BUSY;
    // A fixed time, not a pause: requests must not delay the next read.
    let mut next_read = Instant::now() + pause;
    let end = loop {
        tokio::select! {
            () = wake_ups.next() => next_read = Instant::now(),
            () = sleep_until(next_read) => {
                let read = drain(&mut ring, &keeper)?;
                pulse.beat();
                if let Some(lines) = debug.as_mut().map(DebugLog::read).filter(|lines| !lines.is_empty()) {
                    // If the keeper is behind, the lines are dropped.
                    let _ = keeper.try_send(Message::Debug(lines));
                }
                pause = if read > 0 { BUSY } else { IDLE.min(pause * 2) };
                next_read = Instant::now() + pause;
            }
            path = files.changed() => {
                let path = path?;
                if RESOLVERS.map(Path::new).contains(&path.as_path()) {
                    host.refresh();
                }
                keeper.send(Message::Changed(path)).map_err(|_| gone())?;
            }
            _ = regroup.tick() => {
                if others() != known.modes {
                    break End::Regroup;
                }
                // The program's settings are read-only once it is loaded.
                if switched_off.differ(known.system, System::read(), Instant::now()) {
                    break End::System(known.system);
                }
                if known.watched_at.is_some_and(|at| Instant::now() >= at) {
                    break End::Booted;
                }
                // A driver may make new queues at the resume, without the program: virtio_net does.
                if slept().saturating_sub(known.slept) > NAP {
                    break End::Resumed;
                }
            },
            () = pinned.notified() => break End::PinnedAnew,
            Question { request, answer } = control.next() => match request {
                Request::Reload {} => match reread() {
                    Ok(options) => break End::Reload(Box::new(options), Some(answer)),
                    Err(problems) => {
                        let _ = answer.send(Err(wrong(&problems)));
                        keeper.send(Message::Refused(problems)).map_err(|_| gone())?;
                    }
                },
                Request::Status { .. } => pass(&keeper, status(request, answer, control.life()))?,
                _ => pass(&keeper, Question { request, answer })?,
            },
            asked = signals.next() => match asked {
                Asked::Stop => break End::Stop,
                Asked::Leave => break End::Leave,
                Asked::Summary => keeper.send(Message::Summary).map_err(|_| gone())?,
                Asked::Reread => match reread() {
                    Ok(options) => break End::Reload(Box::new(options), None),
                    Err(problems) => keeper.send(Message::Refused(problems)).map_err(|_| gone())?,
                },
            },
        }
    };
    drain(&mut ring, &keeper)?;
    let finish = match end {
        End::Reload(..) | End::Regroup | End::System(_) | End::Booted | End::PinnedAnew | End::Resumed => {
            Finish::Hand
        }
        End::Leave => Finish::Leave,
        End::Stop if !others().is_empty() => Finish::Leave,
        End::Stop => match on_stop {
            OnStop::Detach => Finish::Detach,
            OnStop::Keep => Finish::Leave,
            OnStop::Remove => Finish::Remove,
        },
    };
    keeper.send(Message::Stop(finish)).map_err(|_| gone())?;
    Ok(end)
}

/// Passes on the ring's content, up to a batch. Returns the number of records read.
fn drain(ring: &mut Ring, keeper: &SyncSender<Message>) -> io::Result<usize> {
    let (mut read, mut lost) = (0, 0);
    while read < BATCH {
        let Some(sighting) = ring.next_sighting() else { break };
        read += 1;
        match keeper.try_send(Message::Sighting(sighting)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => lost += 1,
            Err(TrySendError::Disconnected(_)) => return Err(gone()),
        }
    }
    if lost > 0 {
        keeper.send(Message::Lost(lost)).map_err(|_| gone())?;
    }
    Ok(read)
}

/// Passes a request on. If the keeper is behind, the request is dropped, and its client notices.
fn pass(keeper: &SyncSender<Message>, question: Question) -> io::Result<()> {
    match keeper.try_send(Message::Asked(question)) {
        Err(TrySendError::Disconnected(_)) => Err(gone()),
        _ => Ok(()),
    }
}

/// Asks the keeper for its status, and adds the process's `life` to the answer.
fn status(request: Request, answer: oneshot::Sender<Answer>, mut life: Value) -> Question {
    let (inner, answered) = oneshot::channel::<Answer>();
    tokio::spawn(async move {
        // The client notices a missing answer.
        let Ok(health) = answered.await else { return };
        let whole = health.map(|mut health| {
            if let (Some(life), Some(health)) = (life.as_object_mut(), health.as_object_mut()) {
                life.append(health);
            }
            life
        });
        let _ = answer.send(whole);
    });
    Question { request, answer: inner }
}

fn wrong(problems: &[String]) -> Refusal {
    let message = "the new configuration is invalid; the old one stays in effect".into();
    Refusal { code: Code::Refused, message, details: problems.to_vec() }
}

fn gone() -> io::Error {
    io::Error::other("the thread that writes the files has ended unexpectedly")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarding_that_is_off_for_a_moment_is_no_change() {
        let [on, off] = [true, false].map(|forwards| System { ephemeral: (32_768, 60_999), forwards });
        let other = System { ephemeral: (50_000, 60_999), ..on };
        let begun = Instant::now();
        let mut switched_off = SwitchedOff::default();
        for (known, system, seconds, expected, why) in [
            (on, on, 0, false, "nothing has changed"),
            (on, other, 1, true, "other ephemeral ports"),
            (off, on, 2, true, "it is switched on"),
            (on, off, 3, false, "it may be switched on again"),
            (on, off, 62, false, "it is off for 59 seconds"),
            (on, on, 63, false, "it is on again"),
            (on, off, 64, false, "it is off again"),
            (on, off, 123, false, "for 59 seconds"),
            (on, off, 124, true, "for a minute"),
        ] {
            let now = begun + Duration::from_secs(seconds);
            assert_eq!(switched_off.differ(known, system, now), expected, "{why}");
        }
    }
}
