//! Serves the control socket, and passes on permitted requests.

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
    sync::{Semaphore, mpsc, oneshot},
    task::AbortHandle,
    time::timeout,
};

use self::socket::ControlSocket;
use crate::{
    config::Config,
    control::{Answer, Code, LONGEST, Refusal, Request, line},
    instant::Time,
};

/// Maximum number of concurrent clients, of root and of other users.
const ROOTS: usize = 8;
const OTHERS: usize = 16;
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
    sender: mpsc::Sender<Asked>,
    receiver: mpsc::Receiver<Asked>,
    started: (Time, Instant),
    sessions: u64,
}

impl Default for Control {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let started = (Time::now(), Instant::now());
        Self { settings: None, listening: None, sender, receiver, started, sessions: 0 }
    }
}

impl Control {
    /// Listens at the path in `config`, for one more session.
    pub fn open(&mut self, config: &Config) -> Result<(), socket::Error> {
        self.sessions += 1;
        let settings = config.control_socket.clone().map(|path| (path, config.control_group.clone()));
        if self.listening.is_some() && self.settings == settings {
            return Ok(());
        }
        self.close();
        let Some((path, group)) = &settings else { return Ok(()) };
        let (place, listener) = ControlSocket::take(path, group.as_deref())?;
        let task = tokio::spawn(accept(listener, self.sender.clone()));
        self.listening = Some((place, task.abort_handle()));
        self.settings = settings;
        Ok(())
    }

    /// Stops listening.
    pub fn close(&mut self) {
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

async fn accept(listener: UnixListener, sender: mpsc::Sender<Asked>) {
    let [roots, others] = [ROOTS, OTHERS].map(|count| Arc::new(Semaphore::new(count)));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(peer) = stream.peer_cred() else { continue };
        let is_root = peer.uid() == 0;
        let places = if is_root { &roots } else { &others };
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            // Sent only if it fits into the socket's empty buffer.
            let said = line(&Err(Refusal::new(Code::Busy, "too many requests at a time")));
            let _ = stream.try_write(said.as_bytes());
            continue;
        };
        let sender = sender.clone();
        // The task outlives the socket: the answer to a reload that moves the socket comes later.
        tokio::spawn(async move {
            serve(stream, is_root, &sender).await;
            drop(place);
        });
    }
}

async fn serve(mut stream: UnixStream, is_root: bool, sender: &mpsc::Sender<Asked>) {
    let answer = match timeout(PATIENCE, read(&mut stream)).await {
        Err(_) => Err(Refusal::new(Code::TooSlow, "the request did not arrive in time")),
        Ok(Err(_)) => return,
        Ok(Ok(line)) => match Request::admit(&line, is_root) {
            Ok(request) => ask(request, sender).await,
            Err(refusal) => Err(refusal),
        },
    };
    // A client that doesn't read in time gets no answer.
    let _ = timeout(PATIENCE, stream.write_all(line(&answer).as_bytes())).await;
}

/// Reads the request. If it is too long, reads one byte more than allowed.
async fn read(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let most = u64::try_from(LONGEST).map_or(u64::MAX, |most| most + 1);
    let mut line = Vec::new();
    BufReader::new(stream.take(most)).read_until(b'\n', &mut line).await?;
    Ok(line)
}

async fn ask(request: Request, sender: &mpsc::Sender<Asked>) -> Answer {
    let busy = || Refusal::new(Code::Busy, "the daemon is busy; ask again");
    let (answer, answered) = oneshot::channel();
    let limit = if request == (Request::Reload {}) { RELOAD } else { ANSWER };
    sender.try_send(Asked { request, answer }).map_err(|_| busy())?;
    match timeout(limit, answered).await {
        Ok(Ok(answer)) => answer,
        // The daemon is too busy to accept the request.
        _ => Err(busy()),
    }
}
