//! What was done to a network and why, beside the packets that led to it.

use std::time::SystemTime;

use ipnet::IpNet;
use jiff::Timestamp;
use portsentry_common::block::Proof;
use serde::{Deserialize, Serialize};

use super::super::history_write::stamp;
use crate::policy::{
    BlockId, kind_name, name_of, network_of,
    register::{Case, HistoryAction},
};

/// What was done to a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// When, RFC 3339 in UTC with milliseconds.
    pub time: String,
    /// To whom: a host, or a network with its length.
    pub network: String,
    /// `blocked`, `fenced`, `reported` or `lifted`.
    pub action: String,
    /// Which way in or out of a block or fence it was.
    pub cause: String,
    /// Why, in words.
    pub reason: String,
    /// What proves that the source itself sent what it was held for.
    pub proof: String,
    /// When it ends; `None` for never, and where it was let go.
    pub until: Option<String>,
    /// The kind of the probe, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The id of the block or fence; lines of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<BlockId>,
}

impl Done {
    /// What was done in `case`.
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
            kind: case.sighting.as_ref().map(|sighting| kind_name(sighting.kind).to_owned()),
            id: case.id,
        }
    }

    /// To whom, if the line is right.
    #[must_use]
    pub fn network(&self) -> Option<IpNet> {
        self.network.parse().ok().or_else(|| Some(network_of(self.network.parse().ok()?, 0)))
    }

    /// When, and what proved it, if the line is right.
    #[must_use]
    pub fn proven(&self) -> Option<(SystemTime, Proof)> {
        Some((self.time.parse::<Timestamp>().ok()?.into(), Proof::named(&self.proof)?))
    }
}
