//! An HTTP server that receives notifications, and answers as the test says.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use serde_json::Value;

use super::Namespace;

/// A request.
#[derive(Clone, Debug)]
pub struct Received {
    /// Method and path.
    pub line: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Received {
    /// Returns the value of a header, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// What the server does with a request that it has received.
#[derive(Clone, Debug)]
pub enum Reply {
    /// It answers with a status, more header lines, and a body.
    Status(u16, String, String),
    /// It closes the connection without an answer.
    Nothing,
    /// It keeps the connection open without an answer, until the client hangs up.
    Silence,
}

impl Reply {
    /// An answer with an empty body.
    pub fn status(status: u16) -> Self {
        Self::Status(status, String::new(), String::new())
    }
}

/// Returns the answer to a request, given the number of requests before it.
type Script = dyn Fn(&Received, usize) -> Reply + Send + Sync;

/// The server, until the test ends.
#[derive(Clone, Debug)]
pub struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// Listens on the namespace's loopback address.
    pub fn start(
        namespace: &Namespace,
        script: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = namespace.enter(|| TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let received = Arc::new(Mutex::new(Vec::new()));
        let (script, kept): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&received));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (script, kept) = (Arc::clone(&script), Arc::clone(&kept));
                thread::spawn(move || serve(&stream, &*script, &kept));
            }
        });
        Self { address, received }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers the requests of a connection.
fn serve(stream: &TcpStream, script: &Script, kept: &Mutex<Vec<Received>>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let mut received = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = script(&request, received.len());
        received.push(request);
        drop(received);
        match reply {
            Reply::Nothing => return,
            Reply::Silence => {
                // Until the client sends more, or hangs up.
                let _ = reader.fill_buf();
                return;
            }
            Reply::Status(status, headers, body) => {
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} It\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
                // The client may have been killed.
                let _ = (&mut &*stream).write_all(answer.as_bytes());
            }
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let line = line.rsplit_once(" HTTP/").map(|(line, _)| line.to_owned())?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|length| *length > 0)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut request = Received { line, headers, body: String::new() };
    let length = request.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}
