//! The daemon at the other end of `SHARE_SOCKET`.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use portsentry::policy::peers::{Gateway, Word};
use serde::Serialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::{
        mpsc::{Receiver, Sender, channel},
        watch,
    },
    time::sleep,
};

use crate::log::LOG;

/// Maximum length of a line in bytes.
const LONGEST: u64 = 256 << 10;
/// Pause before another attempt to connect.
const PAUSE: Duration = Duration::from_millis(500);
/// Number of the daemon's words that wait to be published.
const QUEUE: usize = 1024;

/// What the daemon tells.
#[derive(Debug)]
pub enum Told {
    /// A connection begins; this is the gateway's name, and the length of the IPv6 networks that it blocks.
    Hello(Gateway, u8),
    /// A word of this gateway.
    Word(Word),
    /// The whole state of this gateway has been told.
    Synced,
    /// Blocks of these sources are over.
    Released(Vec<IpAddr>),
    /// The daemon hasn't heard words of this gateway, most often because there were too many at a time; whether of the fleet's state.
    Refused(Gateway, bool),
}

/// How often the daemon hasn't heard words of a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// As news.
    pub news: u64,
    /// Of the fleet's state.
    pub state: u64,
}

/// A line of the protocol.
#[derive(Serialize)]
struct Line<'a, T> {
    v: u64,
    #[serde(flatten)]
    word: &'a T,
}

/// The way to the daemon. Those who wait to speak take turns.
#[derive(Clone, Debug)]
pub struct Daemon {
    lines: Sender<(u64, String)>,
    /// Number of the current connection; 0 without one.
    connection: watch::Receiver<u64>,
    refusals: watch::Receiver<BTreeMap<Gateway, Refusals>>,
}

impl Daemon {
    /// Says something in the connection with this number; in another one it has no meaning.
    pub async fn say(&self, connection: u64, word: &impl Serialize) {
        let mut line = serde_json::to_string(&Line { v: Word::VERSION, word }).unwrap_or_default();
        line.push('\n');
        // Without a connection nobody waits for it.
        let _ = self.lines.send((connection, line)).await;
    }

    /// Returns the number of the current connection, which is 0 without one.
    pub fn current(&self) -> u64 {
        *self.connection.borrow()
    }

    /// Follows the number of the current connection, which is 0 without one.
    pub fn connection(&self) -> watch::Receiver<u64> {
        self.connection.clone()
    }

    /// Returns how often the daemon hasn't heard words of a gateway.
    pub fn refusals(&self, gateway: &Gateway) -> Refusals {
        self.refusals.borrow().get(gateway).copied().unwrap_or_default()
    }

    /// Follows the refusals.
    pub fn refused(&self) -> watch::Receiver<BTreeMap<Gateway, Refusals>> {
        self.refusals.clone()
    }
}

/// Starts to connect to the daemon at `socket`, again and again.
pub fn follow(socket: PathBuf) -> (Daemon, Receiver<Told>) {
    // One line at a time, so that those who wait take turns.
    let (lines, mut queue) = channel(1);
    let (told, news) = channel(QUEUE);
    let (current, connection) = watch::channel(0);
    let (refused, refusals) = watch::channel(BTreeMap::new());
    tokio::spawn(async move {
        let mut is_troubled = false;
        for number in 1.. {
            let error = match UnixStream::connect(&socket).await {
                Ok(stream) => {
                    is_troubled = false;
                    LOG.notice("connected to the daemon");
                    serve(stream, &told, &mut queue, (number, &current, &refused)).await
                }
                Err(error) => error,
            };
            current.send_replace(0);
            if told.is_closed() {
                return;
            }
            if !std::mem::replace(&mut is_troubled, true) {
                complain(&socket, &error);
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = async { while queue.recv().await.is_some() {} } => {}
            }
        }
    });
    (Daemon { lines, connection, refusals }, news)
}

fn complain(socket: &Path, error: &io::Error) {
    LOG.warning(&format!(
        "no daemon at {}: {error}; does portsentry.conf have SHARE_SOCKET?",
        socket.display()
    ));
}

/// Serves a connection until it ends. Returns the reason.
async fn serve(
    stream: UnixStream,
    told: &Sender<Told>,
    queue: &mut Receiver<(u64, String)>,
    (number, current, refused): (u64, &watch::Sender<u64>, &watch::Sender<BTreeMap<Gateway, Refusals>>),
) -> io::Error {
    let (reading, mut writing) = stream.into_split();
    let hear = async {
        let mut reader = BufReader::new(reading);
        let mut line = Vec::new();
        loop {
            line.clear();
            (&mut reader).take(LONGEST).read_until(b'\n', &mut line).await?;
            if line.last() != Some(&b'\n') {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some(news) = read(&line) else { continue };
            if let Told::Refused(gateway, is_state) = news {
                refused.send_modify(|refusals| {
                    let Refusals { news, state } = refusals.entry(gateway).or_default();
                    *(if is_state { state } else { news }) += 1;
                });
                continue;
            }
            let is_hello = matches!(news, Told::Hello(..));
            told.send(news).await.map_err(io::Error::other)?;
            if is_hello {
                current.send_replace(number);
            }
        }
    };
    let speak = async {
        while let Some((of, line)) = queue.recv().await {
            if of == number {
                writing.write_all(line.as_bytes()).await?;
            }
        }
        Err(io::ErrorKind::BrokenPipe.into())
    };
    let ended: io::Result<()> = tokio::select! {
        ended = hear => ended,
        ended = speak => ended,
    };
    ended.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Reads a line. What this version doesn't know is skipped.
fn read(line: &[u8]) -> Option<Told> {
    let value: Value = serde_json::from_slice(line).ok()?;
    match value["word"].as_str()? {
        "hello" => {
            let gateway = Gateway::try_from(value["gateway"].as_str()?.to_owned()).ok()?;
            let prefix = value["prefix"].as_u64().and_then(|length| u8::try_from(length).ok());
            Some(Told::Hello(gateway, prefix.filter(|length| *length <= 128).unwrap_or(128)))
        }
        "released" => serde_json::from_value(value["addresses"].clone()).ok().map(Told::Released),
        "refused" => {
            let gateway = serde_json::from_value(value["gateway"].clone()).ok()?;
            Some(Told::Refused(gateway, value["state"].as_bool().unwrap_or_default()))
        }
        "synced" => Some(Told::Synced),
        _ => Word::read(line).ok().map(Told::Word),
    }
}
