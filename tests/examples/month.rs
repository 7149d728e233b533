//! Writes a generated history, for the report's picture: `month DIRECTORY EVENTS END`.

use std::{env, path::Path};

fn main() -> std::io::Result<()> {
    let words: Vec<String> = env::args().collect();
    let [_, directory, events, end] = words.as_slice() else {
        eprintln!("month DIRECTORY EVENTS END");
        std::process::exit(2);
    };
    let number = |text: &str| text.parse().map_err(std::io::Error::other);
    let end: u64 = end.parse().map_err(std::io::Error::other)?;
    portsentry_tests::month::write(Path::new(directory), number(events)?, end).map(drop)
}
