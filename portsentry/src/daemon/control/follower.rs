//! Sends events to a client, as fast as it reads. A slow client keeps nothing but its connection.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::timeout,
};

use crate::{
    control::{Subscription, line},
    sink::feed::{Feed, loss},
};

/// Events sent at a time.
const BATCH: usize = 256;
/// Maximum time for a client to read them.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client's connection.
pub(super) struct Follower {
    reading: OwnedReadHalf,
    writing: OwnedWriteHalf,
    feed: Feed,
}

impl Follower {
    pub(super) fn new(stream: UnixStream, feed: Feed) -> Self {
        let (reading, writing) = stream.into_split();
        Self { reading, writing, feed }
    }

    /// Sends the requested events. After `end` is closed, it sends those so far, and returns.
    pub(super) async fn serve(mut self, subscription: &Subscription, mut end: watch::Receiver<()>) {
        let Subscription { follow, after, limit, filter } = subscription;
        let mut news = self.feed.subscribe();
        let mut from = match (after, limit) {
            (Some(after), _) => after.saturating_add(1),
            (None, None) if *follow => self.feed.next(),
            (None, limit) => self.feed.last(filter, limit.unwrap_or(usize::MAX)),
        };
        let mut lines = line(&Ok(json!({"next": from})));
        let mut is_over = !follow;
        loop {
            news.mark_unchanged();
            let batch = self.feed.read(from, filter, BATCH);
            let is_whole = batch.next >= self.feed.next();
            let lost = (batch.lost != Some(0)).then(|| loss(batch.lost));
            for event in lost.iter().chain(&batch.lines) {
                lines.push_str(event);
                lines.push('\n');
            }
            let sent = timeout(PATIENCE, self.writing.write_all(lines.as_bytes())).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
            lines.clear();
            from = batch.next;
            if is_whole && is_over {
                return;
            }
            if is_whole {
                tokio::select! {
                    changed = news.changed() => is_over |= changed.is_err(),
                    _ = end.changed() => is_over = true,
                    () = gone(&mut self.reading) => return,
                }
            }
        }
    }
}

/// Waits until the client has closed its side. Ignores what it sends.
async fn gone(reading: &mut OwnedReadHalf) {
    let mut ignored = [0; 64];
    while matches!(reading.read(&mut ignored).await, Ok(1..)) {}
}
