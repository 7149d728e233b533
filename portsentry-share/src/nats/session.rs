//! A connection to a server, from its start to its end.

use std::{io, sync::Arc, time::Duration};

use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::TcpStream,
    sync::mpsc::{Receiver, Sender, channel},
    task::{JoinSet, yield_now},
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
/// Interval between two attempts to reach a server.
const STAGGER: Duration = Duration::from_millis(300);
/// Interval at which the server is asked whether it lives.
const PING: Duration = Duration::from_secs(1);
/// Maximum time without any frame of the server. It is a little more than two pings.
const SILENCE: Duration = Duration::from_millis(2500);
/// Maximum number of frames that wait to be written.
const QUEUE: usize = 4096;
/// Maximum number of frames written at a time.
const AT_ONCE: usize = 256;
/// Minimum room in bytes for each reading.
const READ: usize = 16 << 10;
/// Maximum number of frames read before the other tasks get a turn.
const TURN: usize = 64;

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
    /// The frames for the subscriptions.
    pub subscriptions: String,
}

/// Connects, and serves the connection until it ends. Returns the reason.
pub async fn run(server: &Server, session: &Session, inbox: &impl Inbox) -> io::Error {
    match timeout(PATIENCE, connect(server, session)).await {
        Ok(Ok((stream, rest, early))) => serve(stream, rest, (inbox, early)).await,
        Ok(Err(error)) => error,
        Err(_) => io::Error::from(io::ErrorKind::TimedOut),
    }
}

type Stream = tokio_rustls::client::TlsStream<TcpStream>;

/// Connects, and says who this is. Returns the stream, the bytes read behind the first answer, and the messages before it: they count
/// towards the end of their subscriptions.
async fn connect(server: &Server, session: &Session) -> io::Result<(Stream, Buffer, Vec<Message>)> {
    let mut plain = reach(server).await?;
    plain.set_nodelay(true)?;
    // The server speaks first, and then begins with TLS.
    let mut buffer = Buffer::default();
    while !matches!(buffer.take()?, Some(Frame::Info(_))) {
        buffer.fill(&mut plain).await?;
    }
    if !buffer.is_empty() {
        return Err(malformed("the server speaks before TLS"));
    }
    let name = ServerName::try_from(server.host.clone()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::clone(&session.identity.config));
    let mut stream = connector.connect(name, plain).await?;
    let options = json!({
        "verbose": false, "pedantic": false, "tls_required": true, "headers": true, "no_responders": true, "echo": false,
        "lang": "rust", "version": env!("CARGO_PKG_VERSION"), "protocol": 1, "name": "portsentry-share",
    });
    let hello = format!("CONNECT {options}\r\n{}PING\r\n", session.subscriptions);
    let early = introduce(&mut stream, &mut buffer, &hello).await?;
    Ok((stream, buffer, early))
}

/// Says who this is. Returns the messages before the answer.
async fn introduce(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    buffer: &mut Buffer,
    hello: &str,
) -> io::Result<Vec<Message>> {
    stream.write_all(hello.as_bytes()).await?;
    stream.flush().await?;
    let mut early = Vec::new();
    loop {
        match buffer.take()? {
            Some(Frame::Pong) => return Ok(early),
            Some(Frame::Message(message)) => early.push(message),
            Some(Frame::Error(problem)) => return Err(io::Error::other(problem)),
            Some(_) => {}
            None => buffer.fill(stream).await?,
        }
    }
}

/// Connects by TCP. While the network is cut, attempts wait ever longer for their next packet, so that later ones are faster
/// once it is mended.
async fn reach(server: &Server) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    loop {
        let (host, port) = (server.host.clone(), server.port);
        attempts.spawn(async move { TcpStream::connect((host, port)).await });
        if let Ok(Some(ended)) = timeout(STAGGER, attempts.join_next()).await {
            return ended.map_err(io::Error::other)?;
        }
    }
}

async fn serve(stream: Stream, rest: Buffer, (inbox, early): (&impl Inbox, Vec<Message>)) -> io::Error {
    let (reading, writing) = split(stream);
    let (sender, queue) = channel(QUEUE);
    inbox.open(&sender);
    early.into_iter().for_each(|message| inbox.take(message));
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
    mut buffer: Buffer,
    sender: &Sender<Vec<u8>>,
    inbox: &impl Inbox,
) -> io::Result<()> {
    let mut heard = Instant::now();
    loop {
        let mut count = 0;
        while let Some(frame) = buffer.take()? {
            count += 1;
            // Else the flood of one gateway would delay the words of all others, and this gateway's own.
            if count % TURN == 0 {
                yield_now().await;
            }
            match frame {
                Frame::Message(message) => inbox.take(message),
                // A full queue has frames enough to show that this client lives.
                Frame::Ping => drop(sender.try_send(b"PONG\r\n".into())),
                Frame::Error(problem) if is_about_a_subject(&problem) => inbox.refused(&problem),
                Frame::Error(problem) => return Err(io::Error::other(problem)),
                Frame::Info(_) | Frame::Pong | Frame::Ok => {}
            }
        }
        yield_now().await;
        if let Ok(filled) = timeout_at(heard + PING, buffer.fill(&mut stream)).await {
            filled?;
        } else {
            drop(sender.try_send(b"PING\r\n".into()));
            timeout_at(heard + SILENCE, buffer.fill(&mut stream)).await??;
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

/// Bytes that have been read, and how many of them have been taken.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    taken: usize,
}

impl Buffer {
    fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    /// Takes the first frame, if it is whole.
    fn take(&mut self) -> io::Result<Option<Frame>> {
        let read = read(&self.bytes[self.taken..]).map_err(malformed)?;
        Ok(read.map(|(frame, length)| {
            self.taken += length;
            frame
        }))
    }

    /// Reads more bytes.
    async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        self.bytes.drain(..std::mem::take(&mut self.taken));
        self.bytes.reserve(READ);
        match stream.read_buf(&mut self.bytes).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn malformed(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn messages_before_the_answer_are_kept() {
        let (mut client, mut server) = duplex(1024);
        server
            .write_all(b"MSG a 2 5\r\nfirst\r\nMSG a 2 6\r\nsecond\r\nPONG\r\nMSG a 2 5\r\nthird\r\n")
            .await
            .unwrap();
        let mut buffer = Buffer::default();
        let early = introduce(&mut client, &mut buffer, "CONNECT {}\r\nPING\r\n").await.unwrap();
        let texts: Vec<&[u8]> = early.iter().map(|message| &message.payload[..]).collect();
        assert_eq!(texts, [&b"first"[..], b"second"]);
        assert!(matches!(buffer.take(), Ok(Some(Frame::Message(message))) if message.payload == b"third"));
    }
}
