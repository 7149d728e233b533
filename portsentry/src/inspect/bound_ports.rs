//! The state of the table of bound ports, for `portsentry status`.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeStruct};

use crate::kernel::BoundState;

/// The table's state, and whether a daemon should maintain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundPorts {
    state: BoundState,
    /// Whether a daemon runs and its last dump is too old.
    is_overdue: bool,
}

impl BoundPorts {
    /// Returns the state, beside a daemon or not.
    #[must_use]
    pub fn new(state: BoundState, has_daemon: bool) -> Self {
        Self { state, is_overdue: has_daemon && state.is_overdue() }
    }
}

impl fmt::Display for BoundPorts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warning = if self.is_overdue { ": overdue, see the daemon's log" } else { "" };
        write!(formatter, "{}{warning}", self.state)
    }
}

impl Serialize for BoundPorts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("BoundPorts", 3)?;
        fields.serialize_field("by_hooks", &self.state.by_hooks)?;
        fields.serialize_field("dump_age", &self.state.dump_age.map(|age| age.as_secs()))?;
        fields.serialize_field("is_overdue", &self.is_overdue)?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for BoundPorts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            by_hooks: bool,
            dump_age: Option<u64>,
            is_overdue: bool,
        }
        let Fields { by_hooks, dump_age, is_overdue } = Fields::deserialize(deserializer)?;
        let state = BoundState { by_hooks, dump_age: dump_age.map(Duration::from_secs) };
        Ok(Self { state, is_overdue })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_overdue_only_beside_a_daemon() {
        let state = |age| BoundState { by_hooks: false, dump_age: Some(Duration::from_secs(age)) };
        for (age, has_daemon, words) in [
            (2, true, "known by dumps alone; last dump 2 s ago"),
            (60, false, "known by dumps alone; last dump 60 s ago"),
            (60, true, "known by dumps alone; last dump 60 s ago: overdue, see the daemon's log"),
        ] {
            assert_eq!(BoundPorts::new(state(age), has_daemon).to_string(), words);
        }
        let value = serde_json::to_value(BoundPorts::new(BoundState::default(), true)).unwrap();
        assert_eq!(value, serde_json::json!({"by_hooks": false, "dump_age": null, "is_overdue": true}));
    }
}
