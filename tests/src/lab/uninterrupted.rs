//! Blocking calls, restarted when a signal interrupts them.

use std::io::{self, ErrorKind};

/// Returns the result of `call`. On a socket with a time limit, `call` fails with `EINTR` whenever the process is
/// stopped and continued, even without signal handlers (signal(7)).
///
/// # Errors
///
/// Those of `call`, except `EINTR`.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
