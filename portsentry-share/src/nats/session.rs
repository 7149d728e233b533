//! A connection to a server, from its start to its end.

use std::{io, sync::Arc, time::Duration};

use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::TcpStream,
    sync::mpsc::{Receiver, Sender, channel},
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::{
    Identity,
    frame::{Frame, Message, read},
};
use crate::config::Server;

/// Maximum time until a connection is ready.
const PATIENCE: Duration = Duration::from_secs(3);
/// Interval at which the server is asked whether it lives.
const PING: Duration = Duration::from_secs(1);
/// Maximum time without any frame of the server. It is a little more than two pings.
const SILENCE: Duration = Duration::from_millis(2500);
/// Maximum number of frames that wait to be written.
const QUEUE: usize = 4096;
/// Maximum number of frames written at a time.
const AT_ONCE: usize = 256;

/// Takes what arrives. It must not wait.
pub trait Inbox {
    /// The connection is ready: `sender` takes frames for it.
    fn open(&self, sender: &Sender<Vec<u8>>);
    /// A message has arrived.
    fn take(&self, message: Message);
    /// The server has refused something.
    fn refused(&self, problem: &str);
}

/// What is asked of a server.
#[derive(Clone, Debug)]
pub struct Session {
    /// Keys.
    pub identity: Identity,
    /// The subscriptions: numbers and subjects.
    pub subscriptions: Arc<Vec<(u64, String)>>,
}

/// Connects, and serves the connection until it ends. Returns the reason.
pub async fn run(server: &Server, session: &Session, inbox: &impl Inbox) -> io::Error {
    match timeout(PATIENCE, connect(server, session)).await {
        Ok(Ok((stream, rest))) => serve(stream, rest, inbox).await,
        Ok(Err(error)) => error,
        Err(_) => io::Error::from(io::ErrorKind::TimedOut),
    }
}

type Stream = tokio_rustls::client::TlsStream<TcpStream>;

/// Connects, and says who this is. Returns the stream and the bytes read behind the first answer.
async fn connect(server: &Server, session: &Session) -> io::Result<(Stream, Vec<u8>)> {
    let mut plain = TcpStream::connect((server.host.as_str(), server.port)).await?;
    plain.set_nodelay(true)?;
    // The server speaks first, and then begins with TLS.
    let mut bytes = Vec::new();
    while !matches!(take(&mut bytes)?, Some(Frame::Info(_))) {
        fill(&mut plain, &mut bytes).await?;
    }
    if !bytes.is_empty() {
        return Err(malformed("the server speaks before TLS"));
    }
    let name = ServerName::try_from(server.host.clone()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::clone(&session.identity.config));
    let mut stream = connector.connect(name, plain).await?;
    let options = json!({
        "verbose": false, "pedantic": false, "tls_required": true, "headers": true, "no_responders": true, "echo": false,
        "lang": "rust", "version": env!("CARGO_PKG_VERSION"), "protocol": 1, "name": "portsentry-share",
    });
    let subscriptions = session.subscriptions.iter();
    let subscriptions: Vec<String> =
        subscriptions.map(|(number, subject)| format!("SUB {subject} {number}\r\n")).collect();
    let hello = format!("CONNECT {options}\r\n{}PING\r\n", subscriptions.concat());
    stream.write_all(hello.as_bytes()).await?;
    stream.flush().await?;
    loop {
        match take(&mut bytes)? {
            Some(Frame::Pong) => return Ok((stream, bytes)),
            Some(Frame::Error(problem)) => return Err(io::Error::other(problem)),
            Some(_) => {}
            None => fill(&mut stream, &mut bytes).await?,
        }
    }
}

async fn serve(stream: Stream, rest: Vec<u8>, inbox: &impl Inbox) -> io::Error {
    let (reading, writing) = split(stream);
    let (sender, queue) = channel(QUEUE);
    inbox.open(&sender);
    tokio::select! {
        result = hear(reading, rest, &sender, inbox) => ended(result),
        result = write(writing, queue) => ended(result),
    }
}

fn ended(result: io::Result<()>) -> io::Error {
    result.err().unwrap_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
}

/// Reads frames until the server falls silent.
async fn hear(
    mut stream: impl AsyncRead + Unpin,
    mut bytes: Vec<u8>,
    sender: &Sender<Vec<u8>>,
    inbox: &impl Inbox,
) -> io::Result<()> {
    let mut heard = Instant::now();
    loop {
        while let Some(frame) = take(&mut bytes)? {
            match frame {
                Frame::Message(message) => inbox.take(message),
                // A full queue has frames enough to show that this client lives.
                Frame::Ping => drop(sender.try_send(b"PONG\r\n".into())),
                Frame::Error(problem) if is_about_a_subject(&problem) => inbox.refused(&problem),
                Frame::Error(problem) => return Err(io::Error::other(problem)),
                Frame::Info(_) | Frame::Pong | Frame::Ok => {}
            }
        }
        if let Ok(filled) = timeout_at(heard + PING, fill(&mut stream, &mut bytes)).await {
            filled?;
        } else {
            drop(sender.try_send(b"PING\r\n".into()));
            timeout_at(heard + SILENCE, fill(&mut stream, &mut bytes)).await??;
        }
        heard = Instant::now();
    }
}

/// Whether the connection survives this error: the server refuses one subject only.
fn is_about_a_subject(problem: &str) -> bool {
    problem.starts_with("Permissions Violation") || problem.starts_with("Maximum Payload")
}

async fn write(mut stream: impl AsyncWrite + Unpin, mut queue: Receiver<Vec<u8>>) -> io::Result<()> {
    let mut frames = Vec::new();
    while queue.recv_many(&mut frames, AT_ONCE).await > 0 {
        let bytes = frames.concat();
        frames.clear();
        timeout(PATIENCE, async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        })
        .await??;
    }
    Ok(())
}

/// Takes the first frame out of `bytes`, if it is whole.
fn take(bytes: &mut Vec<u8>) -> io::Result<Option<Frame>> {
    match read(bytes).map_err(malformed)? {
        Some((frame, length)) => {
            bytes.drain(..length);
            Ok(Some(frame))
        }
        None => Ok(None),
    }
}

async fn fill(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(bytes).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn malformed(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
