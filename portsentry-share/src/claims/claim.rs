//! A claim of a speaker.

use std::net::IpAddr;

use portsentry::policy::peers::Millis;
use serde::{Deserialize, Serialize};

/// A claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The source, or the first address of its IPv6 network.
    pub address: IpAddr,
    /// When it was first heard.
    pub since: Millis,
    /// Its end; `None` if it has none.
    pub until: Option<Millis>,
}
