//! A progress bar on standard error, if that is a terminal.

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

/// Time before the bar appears, and between two updates.
const PAUSE: Duration = Duration::from_millis(200);
const WIDTH: u64 = 30;

/// The bar.
pub(super) struct Progress {
    whole: u64,
    next: Option<Instant>,
    is_shown: bool,
    skipped: u32,
}

impl Progress {
    /// Creates a bar for `whole` bytes.
    pub(super) fn new(whole: u64) -> Self {
        let next = stderr().is_terminal().then(|| Instant::now() + PAUSE);
        Self { whole, next, is_shown: false, skipped: 0 }
    }

    /// Shows that `done` bytes are done. Cheap enough for each line.
    pub(super) fn show(&mut self, done: u64) {
        const SKIP: u32 = 1024;
        self.skipped += 1;
        if self.skipped < SKIP {
            return;
        }
        self.skipped = 0;
        let now = Instant::now();
        if self.next.is_some_and(|next| next <= now) {
            self.next = Some(now + PAUSE);
            self.is_shown = true;
            eprint!("\r{}", bar(done, self.whole));
            let _ = stderr().flush();
        }
    }
}

/// Clears the line.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            eprint!("\r\x1b[K");
        }
    }
}

fn bar(done: u64, whole: u64) -> String {
    let done = done.min(whole);
    let of = |parts: u64| (u128::from(done) * u128::from(parts) / u128::from(whole.max(1))) as usize;
    let filled = of(WIDTH);
    let width = usize::try_from(WIDTH).unwrap_or_default();
    format!("reading the history [{}{}] {:3} %", "#".repeat(filled), ".".repeat(width - filled), of(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work() {
        assert_eq!(bar(1, 2), "reading the history [###############...............]  50 %");
        assert_eq!(bar(9, 2), format!("reading the history [{}] 100 %", "#".repeat(30)));
        assert!(bar(0, 0).ends_with("  0 %"));
    }
}
