//! The decisions of a Local API, as the words of a peer.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use portsentry::policy::peers::{Gateway, Millis};
use serde::Deserialize;
use tokio::time::{Instant, timeout};
use ureq::http::Method;

use super::{
    client::{Client, Failure},
    decision::{Decision, now},
    pause::pause,
};
use crate::{
    claims::{Claims, source},
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
    /// Number of bans that are of networks or private addresses.
    skipped: BTreeSet<u64>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    new: Option<Vec<Decision>>,
    #[serde(default)]
    deleted: Option<Vec<Decision>>,
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
                    let skipped = match self.skipped.len() {
                        0 => String::new(),
                        count => format!(" ({count} of networks or private addresses left out)"),
                    };
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
        let answer: Answer = serde_json::from_value(answer)
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
                Some(address) if end > now => {
                    self.claims.put(decision.id.to_string(), address, Some(end), now);
                }
                Some(_) => {}
                None => drop(self.skipped.insert(decision.id)),
            }
        }
    }
}
