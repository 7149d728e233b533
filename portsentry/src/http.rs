//! The part of HTTP/1.1 (RFC 9112) that small texts need, such as `GET /metrics`; one request per connection.

mod clients;

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

pub use self::clients::accept;

/// Maximum length of a request in bytes, up to the empty line.
const LIMIT: usize = 8192;
/// Maximum time for a client to send its request.
const PATIENCE: Duration = Duration::from_secs(2);
/// Number of further bytes read from a client, so that it sees the answer.
const SURPLUS: u64 = 65_536;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status with its reason.
    pub status: &'static str,
    /// Lines of the head, with their ends.
    pub headers: String,
    /// The text.
    pub text: Arc<str>,
}

impl Answer {
    /// Creates a plain-text answer, which no cache keeps.
    pub fn words(status: &'static str, text: impl Into<String>) -> Self {
        let headers = "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n".into();
        Self { status, headers, text: (text.into() + "\n").into() }
    }
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    method: &'a str,
    /// The path without its query.
    pub path: &'a str,
    /// The head.
    head: &'a [u8],
}

impl Request<'_> {
    /// Returns the value of a header, or `None` without one. Several lines mean the same as one with a list (RFC 9110
    /// section 5.3).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let values = lines(self.head).skip(1).filter_map(|line| {
            let (known, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        let values: Vec<&str> = values.collect();
        (!values.is_empty()).then(|| values.join(","))
    }
}

/// What a server has.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The paths, in words, for clients that ask for another one.
    pub paths: &'static str,
    /// Maximum time for a client to read an answer.
    pub patience: Duration,
}

/// Answers one client with the result of `page` for its request, or with 404 if that is `None`.
pub async fn serve(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    site: Site,
    page: impl Fn(&Request<'_>) -> Option<Answer>,
) -> io::Result<()> {
    let head = match timeout(PATIENCE, read_head(&mut client)).await {
        Ok(head) => head?,
        Err(_) => {
            return send(&mut client, &Answer::words("408 Request Timeout", "too slow"), site, false).await;
        }
    };
    let (answer, is_head) = match head.as_deref().map(request) {
        None => (Answer::words("431 Request Header Fields Too Large", "too long"), false),
        Some(None) => (Answer::words("400 Bad Request", "not understood"), false),
        Some(Some(request)) if ["GET", "HEAD"].contains(&request.method) => match page(&request) {
            Some(answer) => (answer, request.method == "HEAD"),
            None => (Answer::words("404 Not Found", format!("only {} exist", site.paths)), false),
        },
        Some(Some(_)) => (Answer::words("405 Method Not Allowed", "only GET is supported"), false),
    };
    send(&mut client, &answer, site, is_head).await
}

/// Returns the request up to the empty line, or `None` if it is too long.
async fn read_head(client: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::with_capacity(512);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= LIMIT {
            return Ok(None);
        }
        let room = LIMIT - head.len();
        if (&mut *client).take(room as u64).read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(head))
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Reads a request up to the empty line.
fn request(head: &[u8]) -> Option<Request<'_>> {
    let line = lines(head).next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_http = version.starts_with("HTTP/1.") && words.next().is_none();
    let path = target.split('?').next()?;
    (is_http && path.starts_with('/')).then_some(Request { method, path, head })
}

async fn send(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    answer: &Answer,
    site: Site,
    is_head: bool,
) -> io::Result<()> {
    let Answer { status, headers, text } = answer;
    // An answer 304 has no content, and its length would be that of the text (RFC 9110 section 8.6).
    let is_unchanged = status.starts_with("304");
    let length = if is_unchanged { String::new() } else { format!("Content-Length: {}\r\n", text.len()) };
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}{length}X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    );
    let exchange = async {
        client.write_all(head.as_bytes()).await?;
        if !is_head {
            client.write_all(text.as_bytes()).await?;
        }
        client.shutdown().await?;
        // Closing a connection with unread data discards the answer.
        tokio::io::copy(&mut client.take(SURPLUS), &mut tokio::io::sink()).await
    };
    timeout(site.patience, exchange).await.map_err(io::Error::from)?.map(drop)
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    const SITE: Site = Site { paths: "/metrics and /healthz", patience: Duration::from_secs(2) };

    fn page(request: &Request<'_>) -> Option<Answer> {
        (request.path == "/metrics").then(|| Answer::words("200 OK", "figures"))
    }

    async fn ask(request: &[u8]) -> String {
        let (mut client, server) = duplex(1 << 17);
        client.write_all(request).await.unwrap();
        let answer = async {
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            drop(client);
            answer
        };
        let (_, answer) = tokio::join!(serve(server, SITE, page), answer);
        answer
    }

    #[tokio::test]
    async fn each_request_has_its_status() {
        let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(LIMIT));
        for (request, status, text) in [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "figures\n"),
            ("GET /metrics?x=y HTTP/1.0\r\n\r\n", "200 OK", "figures\n"),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", "200 OK", ""),
            ("GET / HTTP/1.1\r\n\r\n", "404 Not Found", "only /metrics and /healthz exist\n"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed", "only GET is supported\n"),
            ("GET metrics HTTP/1.1\r\n\r\n", "400 Bad Request", "not understood\n"),
            ("GET /metrics\r\n\r\n", "400 Bad Request", "not understood\n"),
            ("GET /metrics HTTP/2 x\r\n\r\n", "400 Bad Request", "not understood\n"),
            ("\r\n\r\n", "400 Bad Request", "not understood\n"),
            (&long, "431 Request Header Fields Too Large", "too long\n"),
        ] {
            let answer = ask(request.as_bytes()).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {answer}");
            assert_eq!(answer.split_once("\r\n\r\n").map(|(_, text)| text), Some(text), "{request}");
        }
        assert!(ask(b"HEAD /metrics HTTP/1.1\r\n\r\n").await.contains("Content-Length: 8\r\n"));
        assert!(ask(b"GET /\xff HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    }

    #[test]
    fn the_accept_header_is_found() {
        for (headers, expected) in [
            ("", ""),
            ("Accept: */*\r\n", "*/*"),
            ("Host: x\r\naCCEPT:text/plain \r\nX: Accept: no\r\n", "text/plain"),
            ("Accept: a/b\r\nAccept: c/d;q=0.5\r\n", "a/b,c/d;q=0.5"),
            ("Accept-Encoding: gzip\r\nNo colon\r\nAccept :x\r\n", ""),
        ] {
            let head = format!("GET /metrics HTTP/1.1\r\n{headers}\r\n");
            let read = request(head.as_bytes()).unwrap();
            let accept = read.header("accept").unwrap_or_default();
            assert_eq!((read.path, accept.as_str()), ("/metrics", expected), "{headers}");
        }
        assert_eq!(request(b"GET / HTTP/1.1\r\nAccept: \xff\r\n\r\n").unwrap().header("accept"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_sent_away() {
        let (mut client, server) = duplex(1024);
        client.write_all(b"GET /metrics HT").await.unwrap();
        let answer = async {
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            drop(client);
            answer
        };
        let (_, answer) = tokio::join!(serve(server, SITE, page), answer);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_no_answer_is_left() {
        // There is room for a request, but not for an answer.
        let (mut client, server) = duplex(32);
        client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await.unwrap();
        let error = serve(server, SITE, page).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }
}
