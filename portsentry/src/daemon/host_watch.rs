//! Reads the host again when it changes, on a thread of its own: a large routing table takes seconds to read, and
//! neither the ring nor the control socket may wait for it.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{SyncSender, TrySendError},
    },
    thread,
    time::Duration,
};

use futures_util::{FutureExt, Stream, StreamExt};
use tokio::{
    runtime,
    sync::{Notify, oneshot},
    time::{Instant, interval_at, sleep},
};

use super::{host::Observer, keeper::Message};

/// How long changes are collected before the host is read again.
const SETTLE: Duration = Duration::from_millis(100);
/// How often the host is read without a change, should one have been missed.
const REFRESH: Duration = Duration::from_mins(1);
/// Reading takes one part of the time in so many at the most.
const SHARE: u32 = 20;

/// Follows the host until it is dropped.
#[derive(Debug)]
pub struct HostWatch {
    /// Asks for the host to be read again.
    again: Arc<Notify>,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

impl HostWatch {
    /// Starts the thread, which tells `keeper` of the host at once and after each change.
    ///
    /// # Errors
    /// The system's, if the thread or its routing socket can't be had.
    pub fn start(keeper: SyncSender<Message>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (observer, changes) = {
            let _guard = runtime.enter();
            Observer::connect()?
        };
        let again = Arc::new(Notify::new());
        let asked = Arc::clone(&again);
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name("host".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = follow(&observer, changes, &asked, &keeper) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { again, _stop: stop })
    }

    /// Has the host read again, as a file that belongs to it has changed.
    pub fn refresh(&self) {
        self.again.notify_one();
    }
}

/// Ends when the keeper does.
async fn follow(
    observer: &Observer,
    mut changes: impl Stream<Item = ()> + Unpin,
    asked: &Notify,
    keeper: &SyncSender<Message>,
) {
    let mut refresh = interval_at(Instant::now() + REFRESH, REFRESH);
    loop {
        let begin = Instant::now();
        // A host that can't be read at the moment is read at its next change.
        if let Ok(host) = observer.read().await
            && let Err(TrySendError::Disconnected(_)) = keeper.try_send(Message::Host(host))
        {
            return;
        }
        sleep(SETTLE.max(begin.elapsed() * (SHARE - 1))).await;
        tokio::select! {
            _ = changes.next() => sleep(SETTLE).await,
            () = asked.notified() => {}
            _ = refresh.tick() => {}
        }
        while changes.next().now_or_never().is_some() {}
    }
}
