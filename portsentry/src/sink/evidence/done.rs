//! Actions on networks with their reasons, in addition to the packets that led to them.

use std::time::SystemTime;

use ipnet::IpNet;
use jiff::Timestamp;
use portsentry_common::block::Proof;
use serde::{Deserialize, Serialize};

use super::super::history_write::stamp;
use crate::policy::{
    BlockId, Scan, Sighting, name_of, network_of,
    register::{Case, HistoryAction},
};

/// An action on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Time in RFC 3339, in UTC with milliseconds.
    pub time: String,
    /// The host, or the network with its length.
    pub network: String,
    /// `blocked`, `fenced`, `reported`, `lifted` or `forgotten`.
    pub action: String,
    /// Name of the cause of the block, fence or release.
    pub cause: String,
    /// The reason in words.
    pub reason: String,
    /// Name of the proof that the source itself sent the probe.
    pub proof: String,
    /// End of the block or fence; `None` if permanent, or for a release.
    pub until: Option<String>,
    /// Kind of the probe, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The evidence of a scan that avoids traps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Scan>,
    /// The id of the block or fence. Lines of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<BlockId>,
}

impl Done {
    /// Creates the record of `action` in `case`.
    #[must_use]
    pub fn new(action: HistoryAction, case: &Case) -> Self {
        let hold = &case.record.hold;
        let until = hold.until.filter(|_| action != HistoryAction::Lifted);
        Self {
            time: stamp(case.time),
            network: name_of(case.record.network),
            action: action.name().into(),
            cause: case.cause.into(),
            reason: case.reason.clone(),
            proof: hold.proof.name().into(),
            until: until.map(stamp),
            kind: case.sighting.as_ref().map(|sighting| Sighting::kind_name(sighting).to_owned()),
            scan: case.sighting.as_ref().and_then(|sighting| sighting.scan),
            id: case.id,
        }
    }

    /// Returns the network, if the record is valid.
    #[must_use]
    pub fn network(&self) -> Option<IpNet> {
        self.network.parse().ok().or_else(|| Some(network_of(self.network.parse().ok()?, 0)))
    }

    /// Returns the time and the proof, if the record is valid.
    #[must_use]
    pub fn proven(&self) -> Option<(SystemTime, Proof)> {
        Some((self.time.parse::<Timestamp>().ok()?.into(), Proof::named(&self.proof)?))
    }
}
