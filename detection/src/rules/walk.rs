//! Threshold Random Walk.

use std::collections::{HashMap, HashSet};

use crate::event::Event;

/// Threshold Random Walk (Jung, Paxson, Berger, Balakrishnan: *Fast Portscan Detection Using Sequential Hypothesis
/// Testing*, 2004), with its section 4's parameters: four of five first connections of an honest host succeed, one of
/// five of a scanner; 1 % of errors of either kind.
///
/// It counts distinct local hosts, so that all ports of one host are a single observation. A source that was taken for
/// honest is observed anew, which finds more than the paper's rule, which never looks at it again.
#[derive(Debug, Default)]
pub struct RandomWalk {
    ratios: HashMap<u64, (f64, HashSet<u32>)>,
}

impl RandomWalk {
    /// Reads an event. Returns whether its source is taken for a scanner from now on.
    pub fn read(&mut self, event: &Event) -> bool {
        const ERROR: f64 = 0.01;
        const SUCCESS: [f64; 2] = [0.8, 0.2];
        let [honest, scanner] = SUCCESS;
        let (ratio, hosts) = self.ratios.entry(event.source).or_insert((1.0, HashSet::new()));
        if !hosts.insert(event.pair.0) {
            return false;
        }
        *ratio *= if event.has_failed() { (1.0 - scanner) / (1.0 - honest) } else { scanner / honest };
        if *ratio <= ERROR / (1.0 - ERROR) {
            *ratio = 1.0;
        }
        *ratio >= (1.0 - ERROR) / ERROR
    }
}
