//! The scans that were reported, so that a scan of many ports isn't reported once for each.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;

use super::super::Scan;

/// Time after which a scan that goes on is reported again.
const AGAIN: Duration = Duration::from_hours(1);
/// Maximum number of sources. If it is exceeded, all are forgotten.
const MOST: usize = 65_536;

/// The sources of reported scans.
#[derive(Debug, Default)]
pub(super) struct Noted(HashMap<IpNet, (SystemTime, bool)>);

impl Noted {
    /// Records a report. Returns whether it is news: the first within an hour, or the first that would have been enough
    /// for a fence.
    pub(super) fn is_news(&mut self, network: IpNet, scan: &Scan, now: SystemTime) -> bool {
        let known = self
            .0
            .get(&network)
            .filter(|(then, _)| now.duration_since(*then).is_ok_and(|passed| passed < AGAIN) || *then > now);
        if known.is_some_and(|(_, was_enough)| *was_enough || !scan.is_enough()) {
            return false;
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(network, (now, scan.is_enough()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample_scan;

    #[test]
    fn a_scan_is_news_once_an_hour_and_when_it_is_enough_for_a_fence() {
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let (enough, few) = (sample_scan(), Scan { pairs: 5, ..sample_scan() });
        let network = "192.0.2.9/32".parse().unwrap();
        let mut noted = Noted::default();
        for (scan, second, expected) in [
            (few, 10_000, true),
            (few, 10_001, false),
            (enough, 10_002, true),
            (enough, 10_003, false),
            (few, 10_004, false),
            (enough, 13_601, false),
            (enough, 13_602, true),
            (enough, 13_601, false),
        ] {
            assert_eq!(noted.is_news(network, &scan, at(second)), expected, "{second}");
        }
        assert!(noted.is_news("192.0.2.10/32".parse().unwrap(), &few, at(10_000)), "another source");
    }
}
