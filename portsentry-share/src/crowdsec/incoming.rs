//! The decisions of a Local API, as the words of a peer.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use portsentry::policy::peers::{Gateway, Millis};
use serde::{Deserialize, Deserializer};
use tokio::time::{Instant, timeout_at};
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
/// Pause before the daemon is told more.
const REST: Duration = Duration::from_secs(1);
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
    new: New,
    #[serde(default)]
    deleted: Option<Vec<Decision>>,
}

/// The decisions in an answer, and whether it lists them: `null` stands for none.
#[derive(Debug, Default)]
struct New {
    is_listed: bool,
    decisions: Vec<Decision>,
}

impl<'d> Deserialize<'d> for New {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        let decisions = Option::deserialize(deserializer)?.unwrap_or_default();
        Ok(Self { is_listed: true, decisions })
    }
}

impl Answer {
    /// Checks an answer. Only something else than a Local API says nothing about bans, and that frees nobody.
    fn check(self, is_whole: bool) -> Result<Self, &'static str> {
        if is_whole && !self.new.is_listed { Err("the answer doesn't list the decisions") } else { Ok(self) }
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
        let (mut connection, mut refused) = (daemon.connection(), daemon.refused());
        let (mut failures, mut due) = (0, Instant::now());
        loop {
            let is_due = Instant::now() >= due;
            let read = if is_due { self.read().await } else { Ok(()) };
            // Also after a failure: the daemon may be a new one.
            let told = self.claims.tell(&daemon, now()).await;
            if is_due {
                due = Instant::now() + self.report(read, told, &mut failures, &ways);
            }
            let until = if self.claims.is_behind() { due.min(Instant::now() + REST) } else { due };
            let wait = async {
                // A new daemon is told at once.
                tokio::select! {
                    joined = connection.changed() => joined,
                    refused = refused.changed() => refused,
                }
            };
            if let Ok(Err(_)) = timeout_at(until, wait).await {
                return;
            }
        }
    }

    /// Reports how a request went. Returns the time until the next one.
    fn report(
        &mut self,
        read: Result<(), Failure>,
        told: Result<(), String>,
        failures: &mut u32,
        ways: &Ways,
    ) -> Duration {
        match (read, told) {
            (Ok(()), Ok(())) => {
                *failures = 0;
                let skipped = self.claims.describe_others(self.skipped.len());
                let count = self.claims.count();
                ways.works(NAME, format!("{count} decisions of {}{skipped}", self.client.url()));
                INTERVAL
            }
            (Err(Failure { problem, .. }), _) => {
                *failures += 1;
                // The changes since the last answer are lost.
                self.whole = None;
                ways.fails(NAME, problem);
                pause(*failures)
            }
            (Ok(()), Err(problem)) => {
                ways.fails(NAME, problem);
                INTERVAL
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
        let answer: Answer =
            self.client.ask(Method::GET, path, ("X-Api-Key", self.key.clone()), None).await?;
        let answer = answer
            .check(is_whole)
            .map_err(|error| Failure { status: None, problem: format!("{}: {error}", self.client.url()) })?;
        self.take(answer, is_whole, asked);
        if is_whole {
            self.whole = Some(Instant::now());
        }
        Ok(())
    }

    fn take(&mut self, answer: Answer, is_whole: bool, now: Millis) {
        let new = answer.new.decisions;
        if is_whole {
            let present: BTreeSet<u64> = new.iter().map(|decision| decision.id).collect();
            self.claims.retain(|id| id.parse().is_ok_and(|id| present.contains(&id)));
            self.skipped.clear();
        } else {
            for decision in answer.deleted.unwrap_or_default() {
                self.claims.remove(&decision.id.to_string());
                self.skipped.remove(&decision.id);
            }
        }
        for decision in new {
            if *decision.scenario == *self.own {
                continue;
            }
            let (Some(network), Some(end)) = (decision.network, decision.end(now)) else { continue };
            match source(network, self.prefix) {
                Some(_) if end <= now => {}
                Some(address)
                    if self.claims.put(
                        (decision.id.to_string(), decision.same()),
                        address,
                        Some(end),
                        now,
                    ) =>
                {
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
            (json!("text"), false, false),
            (json!({"new": 7}), false, false),
        ] {
            let read = |is_whole| {
                serde_json::from_str::<Answer>(&answer.to_string()).is_ok_and(|it| it.check(is_whole).is_ok())
            };
            assert_eq!((read(true), read(false)), (whole, part), "{answer}");
        }
    }
}
