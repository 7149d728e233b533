//! Calls that wait, begun again when a signal ends them.

use std::io::{self, ErrorKind};

/// What `call` comes to. A socket with a time limit fails with `EINTR` after any stop of the process, whether it handles
/// signals or not (signal(7)).
///
/// # Errors
///
/// Those of `call` but that one.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
