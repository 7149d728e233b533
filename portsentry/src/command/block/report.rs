//! Output of `block` and `unblock`, for people and for programs.

use std::{
    collections::BTreeSet,
    fmt::{Display, Write},
};

use ipnet::IpNet;
use serde::Serialize;

use super::super::{observed, show};
use crate::{exit::Exit, policy::name_of};

/// Results for the given addresses and networks. Programs get the format of the control socket.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    changed: Vec<String>,
    unchanged: Vec<String>,
    #[serde(skip)]
    lines: String,
    /// Networks that were already handled, and need no message if nothing else changed.
    #[serde(skip)]
    done: BTreeSet<String>,
}

impl Report {
    /// Reports that `what` has changed, or is about to.
    pub(super) fn change(&mut self, what: impl Display, said: impl Display) {
        if !self.done.contains(&what.to_string()) {
            self.changed.push(what.to_string());
        }
        self.say(what, said);
    }

    /// Records the networks that are already handled.
    pub(super) fn begin(&mut self, done: BTreeSet<IpNet>) {
        self.done = done.into_iter().map(name_of).collect();
    }

    /// Reports that `what` stays unchanged.
    pub(super) fn leave(&mut self, what: impl Display, said: impl Display) {
        if self.done.contains(&what.to_string()) {
            return;
        }
        self.unchanged.push(what.to_string());
        self.say(what, said);
    }

    fn say(&mut self, what: impl Display, said: impl Display) {
        // Writing to a string never fails.
        let _ = writeln!(self.lines, "{what}: {said}");
    }

    /// Prints the report.
    pub(super) fn print(&self, is_json: bool) -> Exit {
        if is_json { show::print(&observed::json(self)) } else { show::print(&self.lines) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_and_programs_are_told_the_same() {
        let mut report = Report::default();
        report.change("192.0.2.9", "is blocked");
        report.leave("192.0.2.0/24", "already blocked");
        assert_eq!(report.lines, "192.0.2.9: is blocked\n192.0.2.0/24: already blocked\n");
        let expected = json!({"changed": ["192.0.2.9"], "unchanged": ["192.0.2.0/24"]});
        assert_eq!(serde_json::to_value(&report).unwrap(), expected);
    }
}
