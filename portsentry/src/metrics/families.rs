//! Forms of metrics.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::metrics::{family::Family, gauge::Gauge};

pub(super) type Labels = Vec<(&'static str, String)>;
pub(super) type Gauges = Family<Labels, Gauge>;
pub(super) type Seconds = Gauge<f64, AtomicU64>;

pub(super) fn seconds(duration: Duration) -> Seconds {
    let gauge = Seconds::default();
    gauge.set(duration.as_secs_f64());
    gauge
}
