//! Output of `block` and `unblock`, for people and for programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{Display, Write},
};

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use super::super::{observed, show};
use crate::{exit::Exit, policy::name_of};

/// Results for the given addresses and networks. Programs get the format of the control socket.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    changed: Vec<String>,
    unchanged: Vec<String>,
    /// Blocked networks that still hold an address, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "by_name")]
    still_in: BTreeMap<String, IpNet>,
    #[serde(skip)]
    lines: String,
    /// Networks that were already handled, and need no message if nothing else changed.
    #[serde(skip)]
    done: BTreeSet<String>,
}

impl Report {
    /// Reports that `what` has changed, or is about to.
    pub(super) fn change(&mut self, what: impl Display, said: impl Display) {
        let what = what.to_string();
        if !self.done.contains(&what) {
            self.changed.push(what.clone());
        }
        match self.still_in.get(&what) {
            Some(holder) => self.say(&what, format!("{said}, but still in {}", remedy(holder))),
            None => self.say(&what, said),
        }
    }

    /// Names the blocked networks that still hold some of the addresses.
    pub(super) fn expect(&mut self, still_in: BTreeMap<String, IpNet>) {
        self.still_in = still_in;
    }

    /// Whether an address stays blocked by a network.
    pub(super) fn is_still_held(&self) -> bool {
        !self.still_in.is_empty()
    }

    /// Records the networks that are already handled.
    pub(super) fn begin(&mut self, done: BTreeSet<IpNet>) {
        self.done = done.into_iter().map(name_of).collect();
    }

    /// Reports that `what` stays unchanged.
    pub(super) fn leave(&mut self, what: impl Display, said: impl Display) {
        let what = what.to_string();
        if self.done.contains(&what) {
            return;
        }
        match self.still_in.get(&what) {
            Some(holder) => self.say(&what, format!("not blocked itself, but in {}", remedy(holder))),
            None => self.say(&what, said),
        }
        self.unchanged.push(what);
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

fn remedy(holder: &IpNet) -> String {
    format!(
        "{holder}, which is blocked: `portsentry unblock {holder}` lifts it; IGNORE_FILE exempts one address of it"
    )
}

fn by_name<S: Serializer>(still_in: &BTreeMap<String, IpNet>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(still_in.iter().map(|(name, holder)| (name, holder.to_string())))
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
