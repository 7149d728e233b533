//! What gateways say to each other. The companion has authenticated the speaker.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use ipnet::IpNet;
use portsentry_common::{
    block::Proof,
    classify::{Kind, Protocol},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Claim, Millis, millis_of};
use crate::{
    config::is_gateway,
    notation,
    policy::{Record, kind_name},
};

/// How far a block's start may lie in the future: clocks are compared only once a second.
const AHEAD: Millis = 2000;

/// The name of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Gateway(String);

impl Gateway {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Gateway {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if is_gateway(&name) { Ok(Self(name)) } else { Err("not a gateway's name".into()) }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self("gateway".into())
    }
}

impl From<Gateway> for String {
    fn from(gateway: Gateway) -> Self {
        gateway.0
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One or more words of a gateway. Times are milliseconds since 1970 of the gateway's own clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "lowercase", deny_unknown_fields)]
pub enum Word {
    /// The gateway blocks these sources.
    Block {
        /// The speaker.
        gateway: Gateway,
        /// Whether they come from the fleet's stored state, not as news.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        state: bool,
        /// The moment at which it says so.
        #[serde(default)]
        said: Millis,
        /// The sources.
        blocks: Vec<Said>,
    },
    /// An administrator at the gateway has lifted the blocks of these sources.
    Lift {
        /// The speaker.
        gateway: Gateway,
        /// Whether it comes from the fleet's stored state.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        state: bool,
        /// The sources.
        addresses: Vec<IpAddr>,
        /// The moment. Blocks that begin later stand.
        at: Millis,
    },
    /// An administrator exempts a network, or ends that.
    Allow {
        /// The speaker.
        gateway: Gateway,
        /// Whether it comes from the fleet's stored state.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        state: bool,
        /// A host or network.
        #[serde(with = "notation")]
        network: IpNet,
        /// The moment. The latest word about a network counts.
        at: Millis,
        /// Whether it is exempt from now on.
        allowed: bool,
    },
    /// The gateway lives.
    Beat {
        /// The speaker.
        gateway: Gateway,
        /// Its clock.
        clock: Millis,
    },
}

impl Word {
    /// Version of the protocol: the member `v` of each line.
    pub const VERSION: u64 = 1;

    /// Reads a line.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        serde_json::from_value(Self::value(line)?).map_err(|error| error.to_string())
    }

    /// Reads the members of a line but its version.
    pub fn value(line: &[u8]) -> Result<Value, String> {
        let mut value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let version = value.as_object_mut().and_then(|members| members.remove("v"));
        if version.as_ref().and_then(Value::as_u64) != Some(Self::VERSION) {
            return Err(format!("this daemon speaks version {} (\"v\")", Self::VERSION));
        }
        Ok(value)
    }

    /// Whether it comes from the fleet's stored state, not as news.
    #[must_use]
    pub const fn is_state(&self) -> bool {
        match self {
            Self::Block { state, .. } | Self::Lift { state, .. } | Self::Allow { state, .. } => *state,
            Self::Beat { .. } => false,
        }
    }

    /// Returns the same word as one of the fleet's stored state, which is heard at any rate.
    #[must_use]
    pub fn into_state(mut self) -> Self {
        match &mut self {
            Self::Block { state, .. } | Self::Lift { state, .. } | Self::Allow { state, .. } => *state = true,
            Self::Beat { .. } => {}
        }
        self
    }

    /// Returns the speaker.
    #[must_use]
    pub const fn gateway(&self) -> &Gateway {
        match self {
            Self::Block { gateway, .. }
            | Self::Lift { gateway, .. }
            | Self::Allow { gateway, .. }
            | Self::Beat { gateway, .. } => gateway,
        }
    }

    /// Returns the number of words.
    #[must_use]
    pub const fn count(&self) -> usize {
        match self {
            Self::Block { blocks, .. } => blocks.len(),
            Self::Lift { addresses, .. } => addresses.len(),
            Self::Allow { .. } | Self::Beat { .. } => 1,
        }
    }
}

/// A block, as its gateway says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// The source, or the first address of its IPv6 network.
    pub address: IpAddr,
    /// Start.
    pub since: Millis,
    /// End; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
    /// When the same was first said, if it has been withdrawn meanwhile: a lift since then holds it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Millis>,
    /// Name of the proof.
    pub proof: String,
    /// Name of the kind of the last probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Port of the last probe; 0 for an administrator's block.
    #[serde(default)]
    pub port: u16,
    /// Its transport protocol: `tcp` or `udp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// Why a word is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// The address can't be a public host's.
    Address,
    /// A block without a proof.
    Unproven,
    /// The times contradict each other or the clock.
    Times,
    /// `PEER_RATE`
    Rate,
    /// The peer is held.
    Held,
    /// There is no trust in the peer.
    Stranger,
    /// The trust in the peer isn't enough: only one whose blocks count as blocks may lift or exempt.
    Trust,
}

impl Refused {
    /// Returns the name for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Unproven => "unproven",
            Self::Times => "times",
            Self::Rate => "rate",
            Self::Held => "held",
            Self::Stranger => "stranger",
            Self::Trust => "trust",
        }
    }
}

impl Said {
    /// Returns the words for a block of this gateway.
    #[must_use]
    pub fn new(Record { network, hold }: &Record, kind: Option<Kind>) -> Self {
        let has_probe = hold.port != 0;
        Self {
            address: network.addr(),
            since: millis_of(hold.since),
            until: hold.until.map(millis_of),
            first: None,
            proof: hold.proof.name().into(),
            kind: kind.map(|kind| kind_name(kind).into()),
            port: hold.port,
            protocol: has_probe.then(|| hold.protocol.name().to_lowercase()),
        }
    }

    /// Returns the claim, by the clock of this host, which is `offset` milliseconds ahead of the speaker's. No claim
    /// lasts for more than `longest` from its start.
    pub(super) fn claim(&self, offset: i64, longest: Duration, now: Millis) -> Result<Claim, Refused> {
        if !may_be_shared(self.address) {
            return Err(Refused::Address);
        }
        let proof = Proof::named(&self.proof).filter(|proof| *proof != Proof::None);
        let proof = proof.ok_or(Refused::Unproven)?;
        let here = |time: Millis| time.checked_add_signed(offset).ok_or(Refused::Times);
        let since = here(self.since)?;
        let last = since.saturating_add(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX));
        let until = self.until.map(here).transpose()?.unwrap_or(last).min(last);
        if since > now.saturating_add(AHEAD) || until <= since {
            return Err(Refused::Times);
        }
        let kind = self.kind.as_deref().and_then(kind_named).map_or(0, |kind| kind as u8);
        let is_udp = self.protocol.as_deref() == Some("udp");
        let protocol = if is_udp { Protocol::Udp } else { Protocol::Tcp } as u8;
        let first = self.first.map(here).transpose()?.unwrap_or(since).min(since);
        Ok(Claim { since, until, proof: proof as u8, kind, port: self.port, protocol, first })
    }
}

fn kind_named(name: &str) -> Option<Kind> {
    (0..=u8::MAX).filter_map(|number| Kind::try_from(number).ok()).find(|kind| kind_name(*kind) == name)
}

/// Whether the address may be a public host's. An address of a private network belongs to different hosts at different
/// gateways.
#[must_use]
pub fn may_be_shared(address: IpAddr) -> bool {
    let is_single = match address {
        IpAddr::V4(address) => {
            !address.is_broadcast() && !(240..).contains(&address.octets()[0]) && address.octets()[0] != 0
        }
        IpAddr::V6(address) => address.to_ipv4().is_none(),
    };
    is_single && !address.is_multicast() && !address.is_loopback() && !is_private(address)
}

/// Whether the address is of a private network: RFC 1918, RFC 6598, link-local, or RFC 4193.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            address.is_private() || address.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(address) => Ipv6Addr::is_unique_local(&address) || address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses() {
        for (address, expected) in [
            ("10.1.2.3", true),
            ("172.31.0.1", true),
            ("172.32.0.1", false),
            ("192.168.9.9", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("169.254.1.1", true),
            ("203.0.113.1", false),
            ("fd00::1", true),
            ("fe80::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(address.parse().unwrap()), expected, "{address}");
        }
    }
}
