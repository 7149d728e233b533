//! This gateway's blocks, as decisions of a Local API. What the API has is compared with what is blocked, at the beginning and
//! after each failure, so that nothing is lost and nothing stays.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ipnet::IpNet;
use portsentry::policy::{
    name_of,
    peers::{Millis, Said},
};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use ureq::http::Method;

use super::{
    client::{Client, Failure},
    decision::{Decision, alert, now},
    pause::pause,
};
use crate::{blocks::Book, claims::JITTER, ways::Ways};

/// Name of the way.
const NAME: &str = "crowdsec-out";
/// Number of alerts per request.
const BATCH: usize = 100;
/// Time in which further blocks join a batch.
const GATHERING: Duration = Duration::from_millis(100);
/// Interval at which what the API has is compared anew: its database may have been replaced.
const COMPARISON: Duration = Duration::from_mins(10);

/// The publisher.
#[derive(Debug)]
pub struct Outgoing {
    client: Arc<Client>,
    machine: (String, String),
    /// The scenario of this gateway's decisions, which tells them from others'.
    scenario: String,
    token: Option<String>,
    /// The ends of the decisions that the API has, or `None` if that isn't known.
    known: Option<BTreeMap<IpNet, Millis>>,
}

/// A change of the API's decisions.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    /// To be deleted.
    over: Vec<IpNet>,
    /// To be made, each with the end that it has.
    new: Vec<(IpNet, Millis, Said)>,
}

#[derive(Debug, Deserialize)]
struct Alert {
    #[serde(default)]
    decisions: Option<Vec<Decision>>,
}

impl Outgoing {
    /// Creates a publisher, with the name and the password of a machine.
    #[must_use]
    pub fn new(client: Arc<Client>, machine: (String, String), scenario: String) -> Self {
        Self { client, machine, scenario, token: None, known: None }
    }

    /// Publishes for good.
    pub async fn run(mut self, book: Book, ways: Ways) {
        let mut changes = book.follow();
        let mut failures = 0;
        loop {
            changes.mark_unchanged();
            if book.look(crate::blocks::Blocks::is_whole) {
                match self.publish(&book).await {
                    Ok(count) => {
                        failures = 0;
                        ways.works(NAME, format!("{count} decisions at {}", self.client.url()));
                    }
                    Err(failure) => {
                        failures += 1;
                        // Whether the request was carried out is unknown.
                        self.known = None;
                        if matches!(failure.status, Some(401 | 403)) {
                            self.token = None;
                        }
                        ways.fails(NAME, failure.problem);
                        sleep(pause(failures)).await;
                        continue;
                    }
                }
            }
            match timeout(COMPARISON, changes.changed()).await {
                Ok(Ok(())) => sleep(GATHERING).await,
                Ok(Err(_)) => return,
                Err(_) => self.known = None,
            }
        }
    }

    /// Brings the API into step with the blocks. Returns their number.
    async fn publish(&mut self, book: &Book) -> Result<usize, Failure> {
        let mut known = match self.known.take() {
            Some(known) => known,
            None => self.read().await?,
        };
        let wanted: Vec<(IpNet, Said)> =
            book.look(|blocks| blocks.iter().map(|(network, said)| (network, said.clone())).collect());
        let Changes { over, new } = compare(&mut known, wanted, now());
        for network in over {
            let value = name_of(network);
            let path = format!("/v1/decisions?scenario={}&value={value}", self.scenario);
            let _: IgnoredAny = self.ask(Method::DELETE, path, None).await?;
            known.remove(&network);
        }
        for some in new.chunks(BATCH) {
            let alerts: Vec<Value> =
                some.iter().map(|(network, _, said)| alert(*network, said, &self.scenario, now())).collect();
            let _: IgnoredAny = self.ask(Method::POST, "/v1/alerts".into(), Some(alerts.into())).await?;
            known.extend(some.iter().map(|(network, end, _)| (*network, *end)));
        }
        let count = known.len();
        self.known = Some(known);
        Ok(count)
    }

    /// Reads the decisions of this gateway.
    async fn read(&mut self) -> Result<BTreeMap<IpNet, Millis>, Failure> {
        let path = format!("/v1/alerts?scenario={}&has_active_decision=true&limit=0", self.scenario);
        let asked = now();
        let alerts: Option<Vec<Alert>> = self.ask(Method::GET, path, None).await?;
        let decisions =
            alerts.unwrap_or_default().into_iter().flat_map(|alert| alert.decisions.unwrap_or_default());
        let mut known = BTreeMap::new();
        for decision in decisions.filter(|decision| *decision.scenario == *self.scenario) {
            let end = decision.end(asked).filter(|end| *end > asked);
            if let (Some(network), Some(end)) = (decision.network, end) {
                let before = known.entry(network).or_insert(end);
                *before = end.max(*before);
            }
        }
        Ok(known)
    }

    /// Sends a request with a token, and fetches the token first if there is none.
    async fn ask<T: DeserializeOwned + Send + 'static>(
        &mut self,
        method: Method,
        path: String,
        body: Option<Value>,
    ) -> Result<T, Failure> {
        let token = match self.token.clone() {
            Some(token) => token,
            None => self.log_in().await?,
        };
        let bearer = ("Authorization", format!("Bearer {token}"));
        let answer = self.client.ask(method.clone(), path.clone(), bearer, body.clone()).await;
        // A token is valid for an hour.
        if !matches!(answer, Err(Failure { status: Some(401), .. })) {
            return answer;
        }
        let token = self.log_in().await?;
        self.client.ask(method, path, ("Authorization", format!("Bearer {token}")), body).await
    }

    async fn log_in(&mut self) -> Result<String, Failure> {
        let (machine, password) = &self.machine;
        let login = json!({"machine_id": machine, "password": password, "scenarios": [self.scenario]});
        let no_secret = ("Authorization", String::new());
        let answer: Value =
            self.client.ask(Method::POST, "/v1/watchers/login".into(), no_secret, Some(login)).await?;
        let token = answer["token"].as_str().map(str::to_owned);
        let token = token.ok_or_else(|| Failure {
            status: None,
            problem: format!("{}: the answer to the login has no token", self.client.url()),
        })?;
        self.token = Some(token.clone());
        Ok(token)
    }
}

/// Returns what the API lacks and has too much of. Decisions that are over are removed from `known`.
fn compare(known: &mut BTreeMap<IpNet, Millis>, wanted: Vec<(IpNet, Said)>, now: Millis) -> Changes {
    known.retain(|_, end| *end > now);
    let mut rest = known.clone();
    let mut changes = Changes::default();
    for (network, said) in wanted {
        let end = said.until.unwrap_or(Millis::MAX);
        match rest.remove(&network) {
            // A decision for a block without an end has one.
            Some(_) if said.until.is_none() => {}
            Some(before) if before.abs_diff(end) <= JITTER => {}
            Some(before) => {
                if end < before {
                    changes.over.push(network);
                }
                changes.new.push((network, end, said));
            }
            None => changes.new.push((network, end, said)),
        }
    }
    changes.over.extend(rest.into_keys());
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(until: Option<Millis>) -> Said {
        Said {
            address: "203.0.113.9".parse().unwrap(),
            since: 0,
            until,
            first: None,
            proof: "cookie".into(),
            kind: None,
            port: 23,
            protocol: None,
        }
    }

    fn network(last: u8) -> IpNet {
        IpNet::from(std::net::IpAddr::from([203, 0, 113, last]))
    }

    #[test]
    fn only_differences_are_sent() {
        let mut known: BTreeMap<_, _> =
            [(1, 100_000), (2, 100_000), (3, 100_000), (4, 900), (5, 7), (6, 150_000)]
                .map(|(last, end)| (network(last), end))
                .into();
        let wanted = [(1, Some(120_000)), (2, Some(200_000)), (3, None), (6, Some(20_000)), (7, None)];
        let wanted = wanted.map(|(last, until)| (network(last), said(until))).to_vec();
        let changes = compare(&mut known, wanted, 800);
        assert_eq!(changes.over, [network(6), network(4)], "it ends earlier; it is lifted");
        let new: Vec<_> = changes.new.iter().map(|(network, end, _)| (*network, *end)).collect();
        assert_eq!(new, [(network(2), 200_000), (network(6), 20_000), (network(7), Millis::MAX)]);
        assert!(!known.contains_key(&network(5)), "its time is over");
    }
}
