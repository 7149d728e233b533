//! The metrics of the detection of scans.

use std::time::Duration;

use portsentry_common::{scan::state::Horizon, settings::ScanDetection};
use prometheus_client::{
    metrics::gauge::Gauge,
    registry::{Registry, Unit},
};

use super::families::{Gauges, seconds};
use crate::kernel::{ScanCount, ScanState};

/// Registers the metrics of this state.
pub(super) fn register(registry: &mut Registry, state: &ScanState) {
    let detection = Gauges::default();
    for (word, it) in ScanDetection::WORDS {
        let is_it = state.detection == it;
        detection.get_or_create(&vec![("detection", word.into())]).set(is_it.into());
    }
    registry.register("scan_detection", "1 for what SCAN_DETECTION does now", detection);
    let none = (Horizon { seconds: 0, is_full: false }, ScanCount::default());
    let (Horizon { seconds: horizon, is_full }, count) = state.memory.unwrap_or(none);
    registry.register_with_unit(
        "scan_memory_horizon",
        "Time for which a source with one failed first contact is remembered now",
        Unit::Seconds,
        seconds(Duration::from_secs(horizon.into())),
    );
    let full: Gauge = Gauge::default();
    full.set(is_full.into());
    registry.register(
        "scan_memory_full",
        "1 if SCAN_MEMORY had no room for a source in the last minute",
        full,
    );
    let ScanCount { suspects, suspects_max, probation, probation_max } = count;
    for (name, help, [suspects, probation]) in [
        ("scan_sources", "Sources whose first contacts failed, counted each minute", [suspects, probation]),
        ("scan_sources_max", "Places for them (SCAN_MEMORY)", [suspects_max, probation_max]),
    ] {
        let family = Gauges::default();
        for (value, count) in [("suspect", suspects), ("probation", probation)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            family.get_or_create(&vec![("state", value.into())]).set(count);
        }
        registry.register(name, help, family);
    }
}
