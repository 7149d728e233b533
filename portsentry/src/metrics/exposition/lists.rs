//! Metrics of the block lists: one series for each.

use prometheus_client::registry::Registry;

use super::labels::escaped;
use crate::metrics::{families::Gauges, stats::Snapshot};

/// Adds the metrics of the lists, if there are any.
pub(super) fn lists(registry: &mut Registry, snapshot: &Snapshot) {
    if snapshot.lists.is_empty() {
        return;
    }
    let (entries, in_force, dropped) = (Gauges::default(), Gauges::default(), Gauges::default());
    for list in &snapshot.lists {
        let name = vec![("list", escaped(&list.name))];
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        entries.get_or_create(&name).set(number(list.entries as u64));
        in_force.get_or_create(&name).set(number(list.in_force));
        dropped.get_or_create(&name).set(number(list.dropped));
    }
    registry.register("list_entries", "Hosts and networks on each block list", entries);
    registry.register("list_sources", "Sources blocked now because a block list names them", in_force);
    registry.register(
        "list_dropped_packets",
        "Packets that the sources in force of each block list lost",
        dropped,
    );
}
