//! Prints a command's output; formats times for programs.

use std::io::{self, Write};

use portsentry_common::block::Proof;

use crate::exit::Exit;
pub(super) use crate::instant::Time;

/// Prints `text`. A reader that stops early (`| head`) is no failure.
pub(super) fn print(text: &str) -> Exit {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("portsentry: writing to standard output: {error}");
            Exit::Failure
        }
        _ => Exit::Success,
    }
}

/// Returns a proof's name for people.
pub(super) fn proof_shown(name: &str) -> &str {
    match Proof::named(name) {
        Some(proof) => proof.description(),
        None => name,
    }
}
