//! A source with its name, for log lines and events.

use std::{fmt, net::IpAddr};

use crate::policy::BlockId;

/// The identity of a source in lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// Its address.
    pub address: IpAddr,
    /// Its DNS name, if `RESOLVE_HOST` found one.
    pub name: Option<&'a str>,
    /// The id of its block or fence, if there is one.
    pub id: Option<BlockId>,
}

impl From<IpAddr> for Named<'_> {
    fn from(address: IpAddr) -> Self {
        Self { address, name: None, id: None }
    }
}

impl Named<'_> {
    /// Returns the name, or the address without one.
    pub(super) fn name(&self) -> String {
        self.name.map_or_else(|| self.address.to_string(), str::to_owned)
    }
}

/// Formats as `name/address`, like 1.2. Without a name, the address appears twice.
impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name(), self.address)
    }
}
