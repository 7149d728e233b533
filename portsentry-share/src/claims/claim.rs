//! A claim of a speaker.

use std::{collections::BTreeMap, net::IpAddr};

use portsentry::policy::peers::Millis;
use serde::{Deserialize, Serialize};

/// Withdrawn blocks by address: start and end of what was said.
pub(super) type Withdrawn = BTreeMap<IpAddr, (Millis, Millis)>;

/// The moments at which something was claimed first and last, by what stays the same if it is claimed again.
pub(super) type Heard = BTreeMap<String, (Millis, Millis)>;

/// A claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The source, or the first address of its IPv6 network.
    pub address: IpAddr,
    /// When it was first heard.
    pub since: Millis,
    /// Its end; `None` if it has none.
    pub until: Option<Millis>,
    /// When the same was first claimed, if it is known again after interruptions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Millis>,
}
