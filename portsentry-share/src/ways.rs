//! The ways other than the fleet's servers, and whether they work.

use std::{collections::BTreeMap, time::Duration};

use portsentry::inspect::fleet::Way;
use serde_json::json;
use tokio::{sync::watch, time::sleep};

use crate::{daemon::Daemon, log::LOG};

/// Minimum time between two reports to the daemon.
const PAUSE: Duration = Duration::from_secs(1);

/// The ways.
#[derive(Clone, Debug)]
pub struct Ways(watch::Sender<BTreeMap<&'static str, Way>>);

impl Ways {
    /// Creates an empty list.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }

    /// Records that a way works. The end of a problem is logged.
    pub fn works(&self, name: &'static str, state: String) {
        self.put(name, Way { name: name.into(), state, problem: None });
    }

    /// Records that a way doesn't work. Only the first of several problems in a row is logged.
    pub fn fails(&self, name: &'static str, problem: String) {
        let state = self.0.borrow().get(name).map(|way| way.state.clone()).unwrap_or_default();
        self.put(name, Way { name: name.into(), state, problem: Some(problem) });
    }

    #[cfg(test)]
    pub fn problem(&self, name: &str) -> Option<String> {
        self.0.borrow().get(name)?.problem.clone()
    }

    fn put(&self, name: &'static str, way: Way) {
        self.0.send_if_modified(|ways| {
            let before = ways.get(name);
            if before == Some(&way) {
                return false;
            }
            let had_problem = before.map(|before| before.problem.is_some());
            match (had_problem, &way.problem) {
                (Some(true), None) => LOG.notice(&format!("{name}: works again ({})", way.state)),
                (None, None) => LOG.notice(&format!("{name}: {}", way.state)),
                (None | Some(false), Some(problem)) => LOG.warning(&format!("{name}: {problem}; retrying")),
                (Some(false), None) | (Some(true), Some(_)) => {}
            }
            ways.insert(name, way);
            true
        });
    }

    /// Reports the ways to each daemon, and each change, for good.
    pub async fn report(self, daemon: Daemon) {
        let (mut ways, mut connection) = (self.0.subscribe(), daemon.connection());
        loop {
            let (number, list) = (*connection.borrow_and_update(), ways.borrow_and_update().clone());
            if number != 0 && !list.is_empty() {
                let list: Vec<Way> = list.into_values().collect();
                daemon.say(number, &json!({"word": "ways", "ways": list})).await;
                sleep(PAUSE).await;
            }
            let is_over = tokio::select! {
                changed = ways.changed() => changed.is_err(),
                changed = connection.changed() => changed.is_err(),
            };
            if is_over {
                return;
            }
        }
    }
}
