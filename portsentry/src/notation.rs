//! Hosts and networks in people's notation, for serde: a host without a length.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

use crate::policy::name_of;

/// Reads a host, possibly as an IPv4-mapped IPv6 address, or a network by any of its addresses.
#[must_use]
pub fn read(text: &str) -> Option<IpNet> {
    match text.split_once('/') {
        None => Some(text.parse::<IpAddr>().ok()?.to_canonical().into()),
        Some(_) => Some(text.parse::<IpNet>().ok()?.trunc()),
    }
}

fn expect<E: Error>(text: &str) -> Result<IpNet, E> {
    read(text).ok_or_else(|| E::custom(format!("no address: {text}")))
}

/// Serializes a network.
pub fn serialize<S: Serializer>(network: &IpNet, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&name_of(*network))
}

/// Deserializes a network.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpNet, D::Error> {
    expect(&String::deserialize(deserializer)?)
}

/// The same for a list.
pub mod list {
    use super::{Deserialize, Deserializer, IpNet, Serializer, expect, name_of};

    /// Serializes networks.
    pub fn serialize<S: Serializer>(networks: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(networks.iter().copied().map(name_of))
    }

    /// Deserializes networks.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
        Vec::<String>::deserialize(deserializer)?.iter().map(|text| expect(text)).collect()
    }
}

/// The same for an optional network.
pub mod option {
    use super::{Deserialize, Deserializer, IpNet, Serializer, expect, name_of};

    /// Serializes a network, or null.
    #[allow(clippy::ref_option, reason = "serde passes a reference")]
    pub fn serialize<S: Serializer>(network: &Option<IpNet>, serializer: S) -> Result<S::Ok, S::Error> {
        match network {
            Some(network) => serializer.serialize_some(&name_of(*network)),
            None => serializer.serialize_none(),
        }
    }

    /// Deserializes a network, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpNet>, D::Error> {
        Option::<String>::deserialize(deserializer)?.as_deref().map(expect).transpose()
    }
}

/// The kernel program's counters, as an object.
pub mod counters {
    use std::collections::BTreeMap;

    use bytemuck::Zeroable;
    use portsentry_common::counter::{COUNTERS, Counters};

    use super::{Deserialize, Deserializer, Serializer};

    /// Serializes counters by their names.
    pub fn serialize<S: Serializer>(counters: &Counters, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(COUNTERS.iter().map(|(counter, name, _)| (name, counters.get(*counter))))
    }

    /// Deserializes counters. Those of other versions are skipped, or 0.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Counters, D::Error> {
        let named = BTreeMap::<String, u64>::deserialize(deserializer)?;
        let mut counters = Counters::zeroed();
        let values: &mut [u64] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut counters));
        for (value, (_, name, _)) in values.iter_mut().zip(COUNTERS) {
            *value = named.get(*name).copied().unwrap_or_default();
        }
        Ok(counters)
    }
}
