//! `CrowdSec`'s leaky bucket.

use std::collections::{HashMap, HashSet};

use crate::event::Event;

/// `CrowdSec`'s scenario `iptables-scan-multi_ports`: a bucket a source of 15 distinct ports (`capacity`), of which one
/// leaks every five seconds (`leakspeed`). The sixteenth overflows it. An empty bucket is thrown away with its ports.
#[derive(Debug, Default)]
pub struct LeakyBucket {
    buckets: HashMap<u64, Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    level: u32,
    at: u32,
    ports: HashSet<u16>,
}

impl LeakyBucket {
    /// Reads an event. Returns whether its source is taken for a scanner from now on.
    pub fn read(&mut self, event: &Event) -> bool {
        const CAPACITY: u32 = 15;
        const LEAK: u32 = 5;
        if !event.has_failed() {
            return false;
        }
        let bucket = self.buckets.entry(event.source).or_default();
        let leaked = event.at.saturating_sub(bucket.at) / LEAK;
        bucket.level = bucket.level.saturating_sub(leaked);
        bucket.at += leaked * LEAK;
        if bucket.level == 0 {
            (bucket.at, bucket.ports) = (event.at, HashSet::new());
        }
        if bucket.ports.insert(event.pair.1) {
            bucket.level += 1;
        }
        bucket.level > CAPACITY
    }
}
