//! Selections of sources and of history entries, as the command line and requests at the control socket give them.

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    instant::Time,
    notation,
    policy::{State, register::HistoryAction},
};

/// Longest part of a kind's name in a request.
const LONGEST: usize = 100;

/// A selection of blocked and fenced sources, and their order.
#[allow(clippy::doc_markdown, reason = "these comments are the text of --help")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Only sources in this state
    #[arg(long)]
    pub state: Option<State>,
    /// Only sources in this network, such as 192.0.2.0/24
    #[arg(long, value_parser = network)]
    #[serde(with = "notation::option")]
    pub network: Option<IpNet>,
    /// Only sources whose last probe's kind contains this text, in any case: syn, xmas, udp
    #[arg(long)]
    pub kind: Option<String>,
    /// Only sources that this gateway, the block list, or other gateways of the fleet hold
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Maker>,
    /// Sort order
    #[arg(long, value_enum, default_value_t = Sort::Since)]
    pub sort: Sort,
    /// Only the first sources in that order
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<usize>,
    /// The sources that PortSentry would have fenced or blocked while it only observed, from EVIDENCE_FILE
    #[arg(long)]
    pub would: bool,
}

/// What a block or fence comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Maker {
    /// This gateway, or its administrator
    #[default]
    Own,
    /// The block list
    List,
    /// Another gateway of the fleet
    Peer,
}

impl Maker {
    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::List => "list",
            Self::Peer => "peer",
        }
    }
}

/// Sort orders of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// Oldest first
    #[default]
    Since,
    /// Most dropped packets first
    Dropped,
    /// By address, IPv4 first
    Address,
    /// First to expire first; permanent blocks last
    Until,
    /// Most probes first
    Hits,
}

/// A selection of history entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wanted {
    /// Only this address, or addresses in this network.
    #[serde(with = "notation::option")]
    pub address: Option<IpNet>,
    /// Only entries since this time.
    pub since: Option<Time>,
    /// Only probes whose kind contains this text, in any case.
    pub kind: Option<String>,
    /// Only entries of this action.
    pub action: Option<HistoryAction>,
    /// Only the last entries.
    pub limit: Option<usize>,
}

/// Reads an address or a network. An address becomes a network with that single host.
pub fn network(text: &str) -> Result<IpNet, String> {
    notation::read(text).ok_or_else(|| "write 192.0.2.7, 192.0.2.0/24, 2001:db8::7 or 2001:db8::/32".into())
}

/// Whether a kind's name contains `part`, in any case.
#[must_use]
pub fn is_of(kind: Option<&str>, part: &str) -> bool {
    part.len() <= LONGEST && kind.is_some_and(|kind| kind.to_lowercase().contains(&part.to_lowercase()))
}

/// Whether one of two networks contains the other.
#[must_use]
pub fn overlap(one: IpNet, other: IpNet) -> bool {
    one.contains(&other) || other.contains(&one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_addresses_or_prefixes() {
        for (text, expected) in [
            ("192.0.2.7", Some("192.0.2.7/32")),
            ("192.0.2.7/24", Some("192.0.2.0/24")),
            ("::ffff:192.0.2.7", Some("192.0.2.7/32")),
            ("2001:db8::7", Some("2001:db8::7/128")),
            ("host.example", None),
            ("192.0.2.7/33", None),
        ] {
            assert_eq!(
                network(text).ok().map(|network| network.to_string()),
                expected.map(Into::into),
                "{text}"
            );
        }
    }

    #[test]
    fn selections_are_written_and_read() {
        let selection = Selection {
            network: Some("192.0.2.0/24".parse().unwrap()),
            sort: Sort::Hits,
            limit: Some(7),
            ..Selection::default()
        };
        let text = serde_json::to_string(&selection).unwrap();
        assert_eq!(serde_json::from_str::<Selection>(&text).unwrap(), selection);
        assert_eq!(serde_json::from_str::<Selection>("{}").unwrap(), Selection::default());
        assert!(serde_json::from_str::<Selection>(r#"{"more":1}"#).is_err());
        assert!(serde_json::from_str::<Wanted>(r#"{"address":"2001:db8::/129"}"#).is_err());
    }
}
