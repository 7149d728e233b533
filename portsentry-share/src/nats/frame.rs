//! The protocol's frames (<https://docs.nats.io/reference/reference-protocols/nats-protocol>).

use super::header::{self, Headers};

/// Maximum length of a line in bytes: that of the server's description of itself.
const LONGEST: usize = 64 << 10;
/// Maximum size of a message in bytes, with its headers.
const LARGEST: usize = 1 << 20;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Number of the subscription that it arrived by.
    pub subscription: u64,
    /// Subject.
    pub subject: String,
    /// Headers.
    pub headers: Headers,
    /// Content.
    pub payload: Vec<u8>,
}

/// What the server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// It describes itself, in JSON.
    Info(String),
    /// A message for a subscription.
    Message(Message),
    /// It asks whether this client lives.
    Ping,
    /// It lives.
    Pong,
    /// It refuses something.
    Error(String),
    /// It has done what was asked.
    Ok,
}

/// Reads the frame at the beginning of `bytes`. Returns it with its length, `None` if more bytes are needed, or an error if
/// it is malformed.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Frame, usize)>, &'static str> {
    let Some(end) = bytes.windows(2).take(LONGEST).position(|two| two == b"\r\n") else {
        return if bytes.len() > LONGEST { Err("a line is too long") } else { Ok(None) };
    };
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| "a line is not UTF-8")?;
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let rest = rest.trim();
    let frame = match word.to_ascii_uppercase().as_str() {
        "INFO" => Frame::Info(rest.into()),
        "PING" => Frame::Ping,
        "PONG" => Frame::Pong,
        "+OK" => Frame::Ok,
        "-ERR" => Frame::Error(rest.trim_matches('\'').into()),
        "MSG" => return message(rest, false, &bytes[end + 2..], end + 2),
        "HMSG" => return message(rest, true, &bytes[end + 2..], end + 2),
        _ => return Err("the server doesn't speak NATS"),
    };
    Ok(Some((frame, end + 2)))
}

/// Reads the rest of a message: `SUBJECT SID [REPLY] [BYTES OF HEADERS] BYTES`, and its content.
fn message(
    rest: &str,
    has_headers: bool,
    content: &[u8],
    before: usize,
) -> Result<Option<(Frame, usize)>, &'static str> {
    let malformed = "a message is malformed";
    let words: Vec<&str> = rest.split_whitespace().collect();
    let numbers = 1 + usize::from(has_headers);
    let is_reply = words.len() == 3 + numbers;
    if words.len() != 2 + numbers && !is_reply {
        return Err(malformed);
    }
    let number = |index: usize| words.get(index).and_then(|word| word.parse::<usize>().ok()).ok_or(malformed);
    let size = number(words.len() - 1)?;
    let head = if has_headers { number(words.len() - 2)? } else { 0 };
    if size > LARGEST || head > size {
        return Err("a message is too large");
    }
    if content.len() < size + 2 {
        return Ok(None);
    }
    if content[size..size + 2] != *b"\r\n" {
        return Err(malformed);
    }
    let headers =
        if has_headers { Headers::read(&content[..head]).ok_or(malformed)? } else { Headers::default() };
    let message = Message {
        subscription: words[1].parse().map_err(|_| malformed)?,
        subject: words[0].into(),
        headers,
        payload: content[head..size].into(),
    };
    Ok(Some((Frame::Message(message), before + size + 2)))
}

/// Returns the frame that publishes a message.
#[must_use]
pub fn publish(subject: &str, payload: &[u8]) -> Vec<u8> {
    [format!("PUB {subject} {}\r\n", payload.len()).as_bytes(), payload, b"\r\n"].concat()
}

/// Returns the frame that publishes a message with a header, whose answer goes to `reply`.
#[must_use]
pub fn publish_with_reply(
    subject: &str,
    reply: &str,
    header: Option<(&str, &str)>,
    payload: &[u8],
) -> Vec<u8> {
    let Some((name, value)) = header else {
        return [format!("PUB {subject} {reply} {}\r\n", payload.len()).as_bytes(), payload, b"\r\n"]
            .concat();
    };
    let head = header::write(name, value);
    let line = format!("HPUB {subject} {reply} {} {}\r\n", head.len(), head.len() + payload.len());
    [line.as_bytes(), head.as_bytes(), payload, b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_are_read() {
        for (text, expected) in [
            ("INFO {\"a\":1}\r\n", Frame::Info("{\"a\":1}".into())),
            ("ping\r\n", Frame::Ping),
            ("PONG\r\n", Frame::Pong),
            ("+OK\r\n", Frame::Ok),
            ("-ERR 'Authorization Violation'\r\n", Frame::Error("Authorization Violation".into())),
        ] {
            assert_eq!(read(text.as_bytes()), Ok(Some((expected, text.len()))), "{text}");
        }
        let text = b"HMSG a.b 7 r 41 43\r\nNATS/1.0 204 EOB\r\nNats-TTL: 1\r\nB: c:d\r\n\r\nhi\r\nPING\r\n";
        let (frame, length) = read(text).unwrap().unwrap();
        assert_eq!(length, text.len() - 6);
        let Frame::Message(message) = frame else { panic!("{frame:?}") };
        assert_eq!((message.subscription, &*message.subject, &*message.payload), (7, "a.b", &b"hi"[..]));
        assert_eq!(message.headers.status, Some(204));
        assert_eq!((message.headers.get("B"), message.headers.get("C")), (Some("c:d"), None));
    }

    #[test]
    fn malformed_frames_are_refused() {
        for text in [
            "GET / HTTP/1.1\r\n",
            "MSG a 1\r\n",
            "MSG a 1 99999999\r\n",
            "MSG a x 0\r\n\r\n",
            "MSG a 1 2\r\nabcd\r\n",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(read(&vec![b'x'; LONGEST + 2]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some((_, length))) = read(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }

        /// A message is read as it was written, however it is cut into pieces.
        #[test]
        fn a_message_waits_for_its_end(payload in prop::collection::vec(any::<u8>(), 0..100), cut in any::<prop::sample::Index>()) {
            let text = [format!("MSG s.t 3 {}\r\n", payload.len()).as_bytes(), &payload, b"\r\n"].concat();
            let part = &text[..cut.index(text.len())];
            prop_assert_eq!(read(part), Ok(None));
            let Ok(Some((Frame::Message(message), length))) = read(&text) else { panic!("no message") };
            prop_assert_eq!((message.payload, length), (payload, text.len()));
        }
    }
}
