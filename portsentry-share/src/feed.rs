//! The feed: this gateway's blocks over HTTP, for appliances that fetch a list.

mod conditional;
mod text;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use portsentry::http::{self, Answer, Request, Site};
use tokio::{net::TcpListener, time::sleep};

use self::text::{Entity, Form};
use crate::{
    blocks::{Blocks, Book},
    ways::Ways,
};

/// Name of the way.
const NAME: &str = "feed";
const SITE: Site = Site { paths: "/blocked.txt and /blocked.json", patience: Duration::from_secs(30) };
/// Pause before the next attempt to listen.
const PAUSE: Duration = Duration::from_secs(1);

/// The feed.
#[derive(Debug)]
struct Feed {
    book: Book,
    cache: Mutex<Cache>,
}

/// The texts that have been asked for since the last change.
#[derive(Debug, Default)]
struct Cache {
    revision: u64,
    texts: Vec<(Form, Arc<Entity>)>,
}

/// Serves the feed for good.
pub async fn serve(address: SocketAddr, book: Book, ways: Ways) {
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) => ways.fails(NAME, format!("FEED_LISTEN {address}: {error}")),
        }
        sleep(PAUSE).await;
    };
    let feed = Arc::new(Feed { book: book.clone(), cache: Mutex::default() });
    let accept = http::accept(&listener, |client| {
        let feed = Arc::clone(&feed);
        // A client that disconnects, or is disconnected, needs no message.
        async move { drop(http::serve(client, SITE, |request| feed.answer(request)).await) }
    });
    let report = async {
        let mut changes = book.follow();
        loop {
            let count = book.look(Blocks::count);
            ways.works(NAME, format!("{count} blocks at http://{address}/blocked.txt"));
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::join!(accept, report);
}

impl Feed {
    fn answer(&self, request: &Request<'_>) -> Option<Answer> {
        let form = match request.path {
            "/blocked.txt" => Form::Text,
            "/blocked.json" => Form::Json,
            _ => return None,
        };
        // An empty list would free every source at the appliance.
        let Some(entity) = self.entity(form) else {
            let answer = Answer::words("503 Service Unavailable", "the daemon hasn't told its blocks yet");
            let headers = answer.headers + "Retry-After: 5\r\n";
            return Some(Answer { headers, ..answer });
        };
        let now = std::time::SystemTime::now();
        Some(conditional::answer(request, &entity, form.media(), now))
    }

    /// Returns a text, or `None` before the daemon has told all blocks.
    fn entity(&self, form: Form) -> Option<Arc<Entity>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        self.book.look(|blocks| {
            if !blocks.is_whole() {
                return None;
            }
            let revision = blocks.revision();
            if cache.revision != revision {
                *cache = Cache { revision, texts: Vec::new() };
            }
            let known =
                cache.texts.iter().find(|(known, _)| *known == form).map(|(_, entity)| Arc::clone(entity));
            Some(known.unwrap_or_else(|| {
                let entity = Arc::new(Entity::new(form, blocks));
                cache.texts.push((form, Arc::clone(&entity)));
                entity
            }))
        })
    }
}
