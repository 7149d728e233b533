//! Sends requests to a running daemon's control socket.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use super::{Answer, Code, Refusal, Request, answer};

/// Maximum time for an answer: longer than the daemon's own.
const PATIENCE: Duration = Duration::from_secs(15);
/// Maximum time for the answer to a reload.
const RELOAD: Duration = Duration::from_mins(1);
/// Maximum length of an answer in bytes.
const LONGEST: u64 = 1 << 20;

/// Sends a request to `socket`. Returns `None` if nothing listens there.
#[must_use]
pub fn ask(socket: &Path, request: &Request) -> Option<Answer> {
    ask_within(socket, request, if *request == (Request::Reload {}) { RELOAD } else { PATIENCE })
}

/// Like [`ask`], but waits at most for `patience`.
#[must_use]
pub fn ask_within(socket: &Path, request: &Request, patience: Duration) -> Option<Answer> {
    let stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let problem = format!("{}: {error}", socket.display());
            return Some(Err(Refusal::new(Code::Forbidden, problem)));
        }
        Err(_) => return None,
    };
    let failed = |error: io::Error| {
        Err(Refusal::new(Code::Failed, format!("asking the daemon at {}: {error}", socket.display())))
    };
    Some(exchange(stream, request, patience).map_or_else(failed, |line| answer(&line)))
}

fn exchange(mut stream: UnixStream, request: &Request, patience: Duration) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(request.line().as_bytes())?;
    let mut line = Vec::new();
    BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut line)?;
    Ok(line)
}
