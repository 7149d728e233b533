//! The other gateways of a fleet, as the daemon reports them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{instant::Time, policy::peers::Millis};

/// Days before the end of a certificate at which it is reported.
const DAYS: Millis = 30;
const DAY: Millis = 86_400_000;

/// The fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// Name of this gateway.
    pub gateway: String,
    /// Whether there is a `SHARE_SOCKET`.
    pub shares: bool,
    /// Whether the companion is connected to it.
    pub companion: bool,
    /// What the companion reports.
    pub report: Option<Report>,
    /// The companion's other ways: feed, CrowdSec, routes.
    #[serde(default)]
    pub ways: Vec<Way>,
    /// The other gateways.
    pub peers: Vec<Peer>,
    /// The networks on the fleet's allow list.
    pub allowed: Vec<String>,
}

/// What the companion reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The fleet's servers.
    pub servers: Vec<Server>,
    /// End of its certificate, in milliseconds since 1970.
    pub certificate: Option<u64>,
    /// Number of words that the fleet's state has yet to store.
    pub waiting: usize,
}

/// The companion's other ways, as it reports them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ways {
    /// The ways.
    pub ways: Vec<Way>,
}

/// A way other than the fleet's servers: the feed, CrowdSec, or routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Its name: `feed`, `crowdsec` or `routes`.
    pub name: String,
    /// Its state in a few words.
    pub state: String,
    /// Why it doesn't work; absent if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A server that carries words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Its name or address, with its port.
    pub name: String,
    /// Whether the companion is connected to it.
    pub connected: bool,
}

/// Another gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name.
    pub gateway: String,
    /// The trust in it: `block`, `fence` or `log`. `None` for a stranger.
    pub trust: Option<String>,
    /// Why its words are ignored: `rate` or `administrator`. `None` if they are heard.
    pub held: Option<String>,
    /// Number of its blocks.
    pub blocks: usize,
    /// Number of those that are in force.
    pub in_force: usize,
    /// Time of its last word.
    pub heard: Option<Time>,
    /// Milliseconds by which this host's clock is ahead.
    pub clock: i64,
    /// Number of accepted words.
    pub accepted: u64,
    /// Numbers of refused words, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// What a gateway says about a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// The gateway.
    pub gateway: String,
    /// The source, or its network of `IPV6_PREFIX`.
    pub network: String,
    /// Start of the block there, by this host's clock.
    pub since: Time,
    /// Its end, at most `PEER_BLOCK_TIME` later.
    pub until: Time,
    /// Name of the proof that the source itself sent the probe.
    pub proof: String,
    /// Kind of the last probe.
    pub kind: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// Its transport protocol.
    pub protocol: Option<String>,
    /// What becomes of it here: `in force`, `covered` by another block, `exempt`, `lifted`, `ignored` or `over`.
    pub standing: String,
}

/// Returns the problem of a certificate that ends within 30 days, or has ended.
#[must_use]
pub fn certificate_problem(end: Millis, now: Millis) -> Option<String> {
    let days = end.saturating_sub(now) / DAY;
    if end <= now {
        Some("the certificate has ended".into())
    } else {
        (days < DAYS).then(|| format!("the certificate ends within {} days", days + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_reported_a_month_before_its_end() {
        let problem = |days, now| certificate_problem(days * DAY, now);
        assert_eq!(problem(31, DAY), None);
        assert_eq!(problem(31, DAY + 1).as_deref(), Some("the certificate ends within 30 days"));
        assert_eq!(problem(1, 1).as_deref(), Some("the certificate ends within 1 days"));
        assert_eq!(problem(1, DAY).as_deref(), Some("the certificate has ended"));
    }
}
