//! A request for events.

use serde::{Deserialize, Serialize};

use crate::sink::feed::Filter;

/// A request for events: the answer is followed by a line of JSON for each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Subscription {
    /// Whether to send later events, too, until the client or the daemon ends the connection.
    pub follow: bool,
    /// Only events behind the one with this number.
    pub after: Option<u64>,
    /// Only so many of the events that are kept. Unset: all, or none with `follow`.
    pub limit: Option<usize>,
    /// Only these events.
    pub filter: Filter,
}
