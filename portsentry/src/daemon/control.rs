//! Serves the control socket, and passes on permitted requests.

mod follower;
mod inspector;
mod socket;

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    task::AbortHandle,
    time::timeout,
};

pub use self::socket::{ControlSocket, Error as SocketError};
use self::{follower::Follower, inspector::Inspector};
use super::Options;
use crate::{
    control::{Answer, Code, LONGEST, Peer, Refusal, Request, line},
    inspect::subject::Subject,
    instant::Time,
    modes::Modes,
    sink::feed::Feed,
};

/// Maximum number of concurrent clients, of root and of other users.
const ROOTS: usize = 8;
const OTHERS: usize = 16;
/// Maximum number of clients that follow events, of root and of other users.
const FOLLOWERS: usize = 8;
/// Maximum time for them to read the last events when the daemon ends.
const FAREWELL: Duration = Duration::from_millis(500);
/// Maximum time for a client to send its request, and again to read the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Maximum time for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Maximum time until a new session has started, and its answer: the kernel may take seconds to verify the program.
const RELOAD: Duration = Duration::from_secs(50);
/// Maximum number of queued requests.
const QUEUE: usize = ROOTS + OTHERS;

/// A request, and the channel for its answer.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// The receiver may be gone.
    pub answer: oneshot::Sender<Answer>,
}

/// The socket, which lives as long as the process, across all its sessions.
#[derive(Debug)]
pub struct Control {
    settings: Option<(PathBuf, Option<String>)>,
    listening: Option<(ControlSocket, AbortHandle)>,
    inspector: Inspector,
    feed: Feed,
    followers: [Arc<Semaphore>; 2],
    /// Closed to end the connections of clients that follow events.
    end: Option<watch::Sender<()>>,
    sender: mpsc::Sender<Asked>,
    receiver: mpsc::Receiver<Asked>,
    started: (Time, Instant),
    sessions: u64,
}

impl Default for Control {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let started = (Time::now(), Instant::now());
        Self {
            settings: None,
            listening: None,
            inspector: Inspector::default(),
            feed: Feed::default(),
            followers: [FOLLOWERS; 2].map(|count| Arc::new(Semaphore::new(count))),
            end: None,
            sender,
            receiver,
            started,
            sessions: 0,
        }
    }
}

impl Control {
    /// Listens at the path in the configuration, for one more session with these `modes`.
    pub fn open(&mut self, options: &Options, modes: Modes) -> Result<(), socket::Error> {
        let Options { config, ignored, .. } = options;
        self.sessions += 1;
        self.inspector.follow(Subject { config: config.clone(), modes, ignored: ignored.clone() });
        let settings = config.control_socket.clone().map(|path| (path, config.control_group.clone()));
        if self.listening.is_some() && self.settings == settings {
            return Ok(());
        }
        self.close();
        let Some((path, group)) = &settings else { return Ok(()) };
        let (place, listener) = ControlSocket::take(path, group.as_deref())?;
        let (end, is_over) = watch::channel(());
        self.end = Some(end);
        let service = Service {
            sender: self.sender.clone(),
            inspector: self.inspector.clone(),
            feed: self.feed.clone(),
            followers: self.followers.clone(),
            end: is_over,
        };
        let task = tokio::spawn(accept(listener, group.is_some(), service));
        self.listening = Some((place, task.abort_handle()));
        self.settings = settings;
        Ok(())
    }

    /// Returns the feed of events for clients.
    #[must_use]
    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Stops listening, and gives clients that follow events a moment to read the last ones.
    pub async fn finish(&mut self) {
        self.close();
        let all = u32::try_from(FOLLOWERS).unwrap_or(u32::MAX);
        for places in &self.followers {
            let _ = timeout(FAREWELL, places.acquire_many(all)).await;
        }
    }

    /// Stops listening.
    pub fn close(&mut self) {
        self.end = None;
        if let Some((_place, task)) = self.listening.take() {
            task.abort();
        }
    }

    /// Waits for the next request.
    pub async fn next(&mut self) -> Asked {
        match self.receiver.recv().await {
            Some(asked) => asked,
            // Never happens, because a sender is kept.
            None => std::future::pending().await,
        }
    }

    /// Returns this module's part of the status.
    #[must_use]
    pub fn life(&self) -> Value {
        let (started, since) = self.started;
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "process": std::process::id(),
            "started": started,
            "uptime": since.elapsed().as_secs(),
            "sessions": self.sessions,
        })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.close();
    }
}

/// What answers requests.
#[derive(Clone, Debug)]
struct Service {
    sender: mpsc::Sender<Asked>,
    inspector: Inspector,
    feed: Feed,
    followers: [Arc<Semaphore>; 2],
    end: watch::Receiver<()>,
}

async fn accept(listener: UnixListener, has_group: bool, service: Service) {
    let [roots, others] = [ROOTS, OTHERS].map(|count| Arc::new(Semaphore::new(count)));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(credentials) = stream.peer_cred() else { continue };
        let peer = Peer::new(credentials.uid(), has_group);
        let places = if peer == Peer::Root { &roots } else { &others };
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            // Sent only if it fits into the socket's empty buffer.
            let said = line(&Err(Refusal::new(Code::Busy, "too many requests at a time")));
            let _ = stream.try_write(said.as_bytes());
            continue;
        };
        let service = service.clone();
        // The task outlives the socket: the answer to a reload that moves the socket comes later.
        tokio::spawn(async move {
            service.serve(stream, peer, place).await;
        });
    }
}

impl Service {
    async fn serve(self, mut stream: UnixStream, peer: Peer, place: OwnedSemaphorePermit) {
        let answer = match timeout(PATIENCE, read(&mut stream)).await {
            Err(_) => refused(Refusal::new(Code::TooSlow, "the request did not arrive in time")),
            Ok(Err(_)) => return,
            Ok(Ok(line)) => match Request::admit(&line, peer) {
                Ok(Request::Events(subscription)) => {
                    let [roots, others] = &self.followers;
                    let places = if peer == Peer::Root { roots } else { others };
                    match places.clone().try_acquire_owned() {
                        Ok(followers_place) => {
                            drop(place);
                            Follower::new(stream, self.feed).serve(&subscription, self.end).await;
                            drop(followers_place);
                            return;
                        }
                        Err(_) => refused(Refusal::new(Code::Busy, "too many clients follow events")),
                    }
                }
                Ok(request) => self.answer(request).await,
                Err(refusal) => refused(refusal),
            },
        };
        // A client that doesn't read in time gets no answer.
        let _ = timeout(PATIENCE, stream.write_all(answer.as_bytes())).await;
    }

    /// Returns the answer as a line.
    async fn answer(&self, request: Request) -> String {
        match request {
            Request::List(_)
            | Request::Lists {}
            | Request::Top {}
            | Request::History(_)
            | Request::Why { .. } => self.inspector.ask(request).await,
            Request::Status { report: true } => match self.ask(request).await {
                Ok(health) => self.inspector.report(health).await,
                Err(refusal) => refused(refusal),
            },
            _ => line(&self.ask(request).await),
        }
    }

    /// Asks the session.
    async fn ask(&self, request: Request) -> Answer {
        let busy = || Refusal::new(Code::Busy, "the daemon is busy; ask again");
        let (answer, answered) = oneshot::channel();
        let limit = if request == (Request::Reload {}) { RELOAD } else { ANSWER };
        self.sender.try_send(Asked { request, answer }).map_err(|_| busy())?;
        match timeout(limit, answered).await {
            Ok(Ok(answer)) => answer,
            // The daemon is too busy to accept the request.
            _ => Err(busy()),
        }
    }
}

fn refused(refusal: Refusal) -> String {
    line(&Err(refusal))
}

/// Reads the request. If it is too long, reads one byte more than allowed.
async fn read(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let most = u64::try_from(LONGEST).map_or(u64::MAX, |most| most + 1);
    let mut line = Vec::new();
    BufReader::new(stream.take(most)).read_until(b'\n', &mut line).await?;
    Ok(line)
}
