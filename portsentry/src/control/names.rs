//! Hosts and networks in people's notation: a host without a length.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

use crate::policy::name_of;

pub(super) fn serialize<S: Serializer>(networks: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(networks.iter().copied().map(name_of))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts
        .iter()
        .map(|text| read(text).ok_or_else(|| D::Error::custom(format!("no address: {text}"))))
        .collect()
}

/// Reads a host, possibly as an IPv4-mapped IPv6 address, or a network by any of its addresses.
pub(super) fn read(text: &str) -> Option<IpNet> {
    match text.split_once('/') {
        None => Some(text.parse::<IpAddr>().ok()?.to_canonical().into()),
        Some(_) => Some(text.parse::<IpNet>().ok()?.trunc()),
    }
}
