//! Reads the daemon's lines, and connects again whenever the connection ends.

use std::{path::Path, sync::mpsc::SyncSender, thread, time::Duration};

use portsentry::{
    control::{Request, Subscription, client},
    sink::feed::Filter,
};

use crate::{event::Event, log::LOG};

/// Pause before another attempt to connect.
const PAUSE: Duration = Duration::from_millis(500);

/// A message from the reader.
pub(super) enum News {
    /// Connected; the number is that of the next event.
    Connected(Option<u64>),
    /// An event.
    Event(Event),
}

/// Reads until nobody receives any more. Begins behind event `after`, or with the next one.
pub(super) fn run(socket: &Path, mut after: Option<u64>, news: &SyncSender<News>) {
    let mut problem = String::new();
    loop {
        let request =
            Request::Events(Subscription { follow: true, after, limit: None, filter: Filter::default() });
        let found = match client::follow(socket, &request) {
            None => format!("no daemon answers at {}; waiting for it", socket.display()),
            Some(Err(refusal)) => refusal.message,
            Some(Ok(mut lines)) => {
                if !std::mem::take(&mut problem).is_empty() {
                    LOG.notice("connected to the daemon");
                }
                let next = lines.answer["next"].as_u64();
                after = after.or_else(|| next.map(|next| next.saturating_sub(1)));
                if news.send(News::Connected(next)).is_err() {
                    return;
                }
                // An error of the connection ends it.
                while let Ok(Some(line)) = lines.next_line() {
                    let Some(event) = Event::read(&line) else { continue };
                    after = event.sequence().or(after);
                    if news.send(News::Event(event)).is_err() {
                        return;
                    }
                }
                "the daemon has closed the connection; waiting for it".into()
            }
        };
        if found != problem {
            LOG.warning(&found);
            problem = found;
        }
        thread::sleep(PAUSE);
    }
}
