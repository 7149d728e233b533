//! A command's output for the log: its beginning up to a limit, without control characters, so that it can't fake a
//! line or control a terminal.

use std::{convert::Infallible, fmt, fs::File, future::pending, io, io::Read};

use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver};

/// Bytes kept of one command's output, as read and as shown.
const LIMIT: usize = 4096;
/// Marks omitted output.
const LEFT_OUT: &str = " [...]";

/// A command's standard output and error, as one printable line of at most about 4 KiB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output(String);

impl Output {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LIMIT)]);
        let mut shown = String::new();
        let mut is_cut = bytes.len() > LIMIT;
        for c in text.trim_end().chars() {
            let length = shown.len();
            match c {
                '\'' => shown.push(c),
                _ => shown.extend(c.escape_debug()),
            }
            if shown.len() > LIMIT {
                shown.truncate(length);
                is_cut = true;
                break;
            }
        }
        if is_cut {
            shown.push_str(LEFT_OUT);
        }
        Self(shown)
    }

    /// Whether the command printed nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The reading end of a command's output.
#[derive(Debug)]
pub(super) struct Capture {
    pipe: Receiver,
    /// One byte more than the limit if output was omitted.
    kept: Vec<u8>,
}

impl Capture {
    pub(super) fn new(reader: io::PipeReader) -> io::Result<Self> {
        Ok(Self { pipe: Receiver::from_owned_fd(reader.into())?, kept: Vec::new() })
    }

    /// Reads for as long as it is polled, so that the command never waits for a reader.
    pub(super) async fn read(&mut self) -> Infallible {
        let mut buffer = [0; LIMIT];
        loop {
            match self.pipe.read(&mut buffer).await {
                Ok(0) | Err(_) => return pending().await,
                Ok(length) => {
                    let room = LIMIT + 1 - self.kept.len();
                    self.kept.extend_from_slice(&buffer[..length.min(room)]);
                }
            }
        }
    }

    /// Reads the rest of the pipe without waiting, because a background process may hold it open.
    pub(super) fn finish(self) -> Output {
        let Self { pipe, mut kept } = self;
        let room = u64::try_from(LIMIT + 1 - kept.len()).unwrap_or(0);
        if let Ok(pipe) = pipe.into_nonblocking_fd() {
            // Reading an empty but open pipe returns an error. The data read before is kept.
            let _ = File::from(pipe).take(room).read_to_end(&mut kept);
        }
        Output::new(&kept)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn output_is_one_printable_line() {
        for (said, shown) in [
            ("", ""),
            ("File exists\n", "File exists"),
            ("it's\n\ttwo \"lines\"\r\n\n", r#"it's\n\ttwo \"lines\""#),
            ("\u{1b}]0;owned\u{7}\u{9b}2J", r"\u{1b}]0;owned\u{7}\u{9b}2J"),
            ("right\u{202e}left\u{2028}next", r"right\u{202e}left\u{2028}next"),
            ("café", "café"),
        ] {
            assert_eq!(Output::new(said.as_bytes()).to_string(), shown, "{said:?}");
        }
        assert_eq!(Output::new(b"\xff\0").to_string(), "\u{fffd}\\0");
    }

    #[test]
    fn output_is_cut_at_the_limit() {
        assert_eq!(Output::new(&[b'a'; LIMIT]).to_string(), "a".repeat(LIMIT));
        assert_eq!(Output::new(&[b'a'; LIMIT + 1]).to_string(), "a".repeat(LIMIT) + LEFT_OUT);
        assert_eq!(Output::new(&[1; LIMIT]).to_string(), r"\u{1}".repeat(LIMIT / 5) + LEFT_OUT);
    }

    proptest! {
        #[test]
        fn no_control_character_is_left(said: Vec<u8>) {
            let shown = Output::new(&said).to_string();
            prop_assert!(!shown.contains(char::is_control));
        }
    }
}
