//! Waiting for what no event announces.

use std::{
    thread,
    time::{Duration, Instant},
};

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Polls `holds` until it returns true, or panics with `complaint` after `patience`.
pub fn wait_within(patience: Duration, complaint: impl Fn() -> String, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < deadline, "{}", complaint());
        thread::sleep(BETWEEN_LOOKS);
    }
}
