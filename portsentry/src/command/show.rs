//! How a command's answer leaves it: to standard output, times as programs read them.

use std::io::{self, Write};

use crate::exit::Exit;
pub(super) use crate::instant::Time;

/// Prints `text`. Whoever reads may stop early (`| head`), which is no failure.
pub(super) fn print(text: &str) -> Exit {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("portsentry: writing to standard output: {error}");
            Exit::Failure
        }
        _ => Exit::Success,
    }
}
