//! How a command's answer leaves it: to standard output, times as programs read them. It must not form the answer.

use std::{
    io::{self, Write},
    time::SystemTime,
};

use serde::{Serialize, Serializer};

use super::table;
use crate::exit::Exit;

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

/// A time that programs read as RFC 3339 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(pub SystemTime);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&table::universal(self.0))
    }
}
