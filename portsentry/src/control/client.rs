//! Sends requests to a running daemon's control socket.

use std::{
    io::{self, BufRead, BufReader, Read, Take, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::{Answer, Code, Refusal, Request, answer};

/// Maximum time for an answer: longer than the daemon's own.
const PATIENCE: Duration = Duration::from_secs(15);
/// Maximum time for the answer to a reload.
const RELOAD: Duration = Duration::from_mins(1);
/// Maximum length of an answer in bytes.
const LONGEST: u64 = 8 << 20;

/// Sends a request to `socket`. Returns `None` if nothing listens there.
#[must_use]
pub fn ask(socket: &Path, request: &Request) -> Option<Answer> {
    ask_within(socket, request, if *request == (Request::Reload {}) { RELOAD } else { PATIENCE })
}

/// Like [`ask`], but waits at most for `patience`.
#[must_use]
pub fn ask_within(socket: &Path, request: &Request, patience: Duration) -> Option<Answer> {
    Some(connect(socket, request, patience)?.and_then(|mut lines| lines.answer()))
}

/// Sends a request whose answer is followed by lines.
#[must_use]
pub fn follow(socket: &Path, request: &Request) -> Option<Result<Lines, Refusal>> {
    let followed = connect(socket, request, PATIENCE)?.and_then(|mut lines| {
        let answer = lines.answer()?;
        // The next event may be hours away.
        lines.reader.get_ref().get_ref().set_read_timeout(None).map_err(|error| lines.failed(&error))?;
        Ok(Lines { answer, ..lines })
    });
    Some(followed)
}

/// An answer's lines.
#[derive(Debug)]
pub struct Lines {
    /// The first line, once it has been read.
    pub answer: Value,
    reader: BufReader<Take<UnixStream>>,
    socket: PathBuf,
}

impl Lines {
    /// Returns the next line, or `None` if there are no more.
    pub fn next_line(&mut self) -> io::Result<Option<String>> {
        self.reader.get_mut().set_limit(LONGEST);
        let mut line = String::new();
        let read = self.reader.read_line(&mut line)?;
        Ok((read > 0 && line.ends_with('\n')).then_some(line))
    }

    fn answer(&mut self) -> Answer {
        match self.next_line() {
            Ok(line) => answer(line.unwrap_or_default().as_bytes()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &io::Error) -> Refusal {
        failed(&self.socket, error)
    }
}

fn failed(socket: &Path, error: &io::Error) -> Refusal {
    Refusal::new(Code::Failed, format!("asking the daemon at {}: {error}", socket.display()))
}

/// Connects, and sends a request. Returns `None` if nothing listens there.
fn connect(socket: &Path, request: &Request, patience: Duration) -> Option<Result<Lines, Refusal>> {
    let mut stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let problem = format!("{}: {error}: see CONTROL_GROUP", socket.display());
            return Some(Err(Refusal::new(Code::Forbidden, problem)));
        }
        Err(_) => return None,
    };
    let mut send = || {
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.write_all(request.line().as_bytes())
    };
    Some(match send() {
        Ok(()) => Ok(Lines {
            answer: Value::Null,
            reader: BufReader::new(stream.take(LONGEST)),
            socket: socket.into(),
        }),
        Err(error) => Err(failed(socket, &error)),
    })
}
