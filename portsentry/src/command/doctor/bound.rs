//! Checks whether a running daemon keeps the table of bound ports up to date.

use super::finding::Finding;
use crate::kernel::BoundState;

const ABOUT: &str = "ports";

/// Returns the finding on the table of a running daemon.
pub(super) fn finding(state: &BoundState) -> Finding {
    let what = format!("bound ports are {state}");
    if state.is_overdue() {
        let remedy = "the daemon should dump sockets at least every two seconds: see its log for the reason";
        return Finding::warning(ABOUT, what, remedy);
    }
    Finding::ok(ABOUT, what)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::finding::Level, *};

    #[test]
    fn a_dump_that_is_overdue_is_a_warning() {
        for (dump_age, level, words) in [
            (Some(Duration::from_secs(1)), Level::Ok, "last dump 1 s ago"),
            (Some(Duration::from_secs(6)), Level::Warning, "last dump 6 s ago"),
            (None, Level::Warning, "have not been dumped"),
        ] {
            let found = finding(&BoundState { by_hooks: true, dump_age });
            assert!(found.level == level && found.what.contains(words), "{found:?}");
            assert_eq!(found.remedy.is_some(), level != Level::Ok);
        }
    }
}
