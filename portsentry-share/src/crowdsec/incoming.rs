//! The decisions of a Local API, as the words of a peer.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use portsentry::policy::peers::{Gateway, Millis};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, timeout};
use ureq::http::Method;

use super::{
    client::{Client, Failure},
    decision::{Decision, now},
    pause::pause,
};
use crate::{
    claims::{Claims, MOST, source},
    config::CROWDSEC,
    daemon::Daemon,
    ways::Ways,
};

/// Name of the way.
const NAME: &str = "crowdsec-in";
/// Interval between two requests.
const INTERVAL: Duration = Duration::from_secs(10);
/// Interval at which all decisions are read anew, in case that a change was lost.
const WHOLE: Duration = Duration::from_mins(30);

/// The subscriber.
#[derive(Debug)]
pub struct Incoming {
    client: Arc<Client>,
    key: String,
    /// The scenario of this gateway's decisions, which are left out.
    own: String,
    /// Length of the IPv6 networks that count as one source.
    prefix: u8,
    claims: Claims,
    /// When all decisions were read, unless a request has failed since.
    whole: Option<Instant>,
    /// Bans that are of networks or private addresses, or for which there is no room.
    skipped: BTreeSet<u64>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    new: Option<Vec<Decision>>,
    #[serde(default)]
    deleted: Option<Vec<Decision>>,
}

impl Answer {
    /// Reads an answer. One without bans has `null`, but only something else than a Local API says nothing about them, and that
    /// frees nobody.
    fn read(answer: Value, is_whole: bool) -> Result<Self, String> {
        if is_whole && answer.get("new").is_none() {
            return Err("the answer doesn't list the decisions".into());
        }
        serde_json::from_value(answer).map_err(|error| error.to_string())
    }
}

impl Incoming {
    /// Creates a subscriber with a bouncer's key.
    #[must_use]
    pub fn new(
        client: Arc<Client>,
        key: String,
        own: String,
        (directory, rate): (&Path, u32),
        prefix: u8,
    ) -> Self {
        let gateway = Gateway::try_from(CROWDSEC.to_owned()).unwrap_or_default();
        let claims = Claims::load(gateway, directory, rate);
        Self { client, key, own, prefix, claims, whole: None, skipped: BTreeSet::new() }
    }

    /// Subscribes for good.
    pub async fn run(mut self, daemon: Daemon, ways: Ways) {
        let mut connection = daemon.connection();
        let mut failures = 0;
        loop {
            let read = self.read().await;
            // Also after a failure: the daemon may be a new one.
            let told = self.claims.tell(&daemon, now()).await;
            let wait = match (read, told) {
                (Ok(()), Ok(())) => {
                    failures = 0;
                    let skipped = self.claims.describe_others(self.skipped.len());
                    let count = self.claims.count();
                    ways.works(NAME, format!("{count} decisions of {}{skipped}", self.client.url()));
                    INTERVAL
                }
                (Err(Failure { problem, .. }), _) => {
                    failures += 1;
                    // The changes since the last answer are lost.
                    self.whole = None;
                    ways.fails(NAME, problem);
                    pause(failures)
                }
                (Ok(()), Err(problem)) => {
                    ways.fails(NAME, problem);
                    INTERVAL
                }
            };
            // A new daemon is told at once.
            if let Ok(Err(_)) = timeout(wait, connection.changed()).await {
                return;
            }
        }
    }

    async fn read(&mut self) -> Result<(), Failure> {
        let is_whole = self.whole.is_none_or(|whole| whole.elapsed() >= WHOLE);
        // Otherwise the API leaves out a ban while there is a longer one of the same source, and doesn't tell it when that one
        // is deleted.
        let path = format!("/v1/decisions/stream?startup={is_whole}&scopes=ip,range&dedup=false");
        // A lift that happens during the request is later than what the answer says.
        let asked = now();
        let answer = self.client.ask(Method::GET, path, ("X-Api-Key", self.key.clone()), None).await?;
        let answer = Answer::read(answer, is_whole)
            .map_err(|error| Failure { status: None, problem: format!("{}: {error}", self.client.url()) })?;
        self.take(answer, is_whole, asked);
        if is_whole {
            self.whole = Some(Instant::now());
        }
        Ok(())
    }

    fn take(&mut self, answer: Answer, is_whole: bool, now: Millis) {
        let new = answer.new.unwrap_or_default();
        if is_whole {
            let present: BTreeSet<String> = new.iter().map(|decision| decision.id.to_string()).collect();
            self.claims.retain(|id| present.contains(id));
            self.skipped.clear();
        } else {
            for decision in answer.deleted.unwrap_or_default() {
                self.claims.remove(&decision.id.to_string());
                self.skipped.remove(&decision.id);
            }
        }
        for decision in new {
            if decision.scenario == self.own {
                continue;
            }
            let (Some(network), Some(end)) = (decision.network(), decision.end(now)) else { continue };
            match source(network, self.prefix) {
                Some(_) if end <= now => {}
                Some(address) if self.claims.put(decision.id.to_string(), address, Some(end), now) => {
                    self.skipped.remove(&decision.id);
                }
                _ if self.skipped.len() < MOST => drop(self.skipped.insert(decision.id)),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_list_of_decisions_frees_sources() {
        for (answer, whole, part) in [
            (json!({"new": null, "deleted": null}), true, true),
            (json!({"new": []}), true, true),
            (json!({"deleted": []}), false, true),
            (json!({}), false, true),
            (json!([]), false, true),
            (json!({"new": 7}), false, false),
        ] {
            assert_eq!(Answer::read(answer.clone(), true).is_ok(), whole, "{answer}");
            assert_eq!(Answer::read(answer.clone(), false).is_ok(), part, "{answer}");
        }
    }
}
