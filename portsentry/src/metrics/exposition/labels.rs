//! Counts by label, and the labels' values.

use prometheus_client::metrics::{counter::Counter as Count, family::Family};

use crate::metrics::families::Labels;

pub(super) type Counts = Family<Labels, Count>;

/// Escapes a label's value, which the library doesn't do.
pub(super) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
