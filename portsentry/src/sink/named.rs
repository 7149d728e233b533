//! A source with its name, as log lines and events show it.

use std::{fmt, net::IpAddr};

use crate::policy::BlockId;

/// A source as lines name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// Its address.
    pub address: IpAddr,
    /// Its name in the DNS, where `RESOLVE_HOST` found one.
    pub name: Option<&'a str>,
    /// The id of its block or fence, if it is held.
    pub id: Option<BlockId>,
}

impl From<IpAddr> for Named<'_> {
    fn from(address: IpAddr) -> Self {
        Self { address, name: None, id: None }
    }
}

impl Named<'_> {
    /// The name, or the address where there is none.
    pub(super) fn name(&self) -> String {
        self.name.map_or_else(|| self.address.to_string(), str::to_owned)
    }
}

/// `name/address` as in 1.2, with the address twice where there is no name.
impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name(), self.address)
    }
}
