//! `PEERS`: the other gateways of a fleet, and the trust in them.

use super::{choice::Choice, report::Report, span::Span};

/// The effect of a peer's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// They are recorded, and have no effect.
    Log,
    /// The source is fenced.
    Fence,
    /// The source is blocked.
    Block,
}

impl Choice for Trust {
    const WORDS: &'static [(&'static str, Self)] =
        &[("block", Self::Block), ("fence", Self::Fence), ("log", Self::Log)];
}

impl Trust {
    /// Returns the word in `PEERS`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Fence => "fence",
            Self::Block => "block",
        }
    }
}

/// The peers, each with the trust in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    named: Vec<(String, Trust)>,
    others: Option<Trust>,
}

impl Peers {
    /// Returns the trust in the gateway `name`, or `None` for a stranger.
    #[must_use]
    pub fn trust(&self, name: &str) -> Option<Trust> {
        self.named.iter().find(|(named, _)| named == name).map(|(_, trust)| *trust).or(self.others)
    }

    /// Returns the names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|(name, _)| name.as_str())
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.named.is_empty() && self.others.is_none()
    }
}

/// Whether `name` can be a gateway's: letters, digits, `-`, `_`. A dot would separate the parts of a NATS subject.
#[must_use]
pub fn is_gateway(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_part)
}

/// The names of peers that are no gateways.
pub const OTHERS: [&str; 2] = ["crowdsec", "routes"];

/// Reads the name of this gateway.
pub(super) fn own(value: Span<'_>, report: &mut Report) -> Option<String> {
    let name = gateway(value, report)?;
    if OTHERS.contains(&name.as_str()) {
        let message = format!(
            "no gateway may be named \"{name}\": in PEERS that stands for another way to hear of blocks"
        );
        report
            .error(value.trim(), message)
            .help("choose another name, and use it for this gateway in PEERS of the others");
        return None;
    }
    Some(name)
}

/// Reads a gateway's name.
fn gateway(value: Span<'_>, report: &mut Report) -> Option<String> {
    let value = value.trim();
    if !is_gateway(value.text()) {
        let message = format!("\"{}\" is not a gateway's name", value.text().escape_debug());
        report.error(value, message).help("use up to 64 letters, digits, - and _");
        return None;
    }
    Some(value.text().to_owned())
}

/// Reads names, each with `=block`, `=fence` or `=log`, separated by commas. `*` stands for all others.
pub(super) fn peers(value: Span<'_>, report: &mut Report) -> Option<Peers> {
    let mut peers = Peers::default();
    let mut is_valid = true;
    for part in value.split(',') {
        let part = part.trim();
        let (name, trust) = match part.text().find('=') {
            None => (part, Some(Trust::Block)),
            Some(at) => {
                let (name, rest) = part.split_at(at);
                (name.trim(), super::choice::choice(rest.split_at(1).1, report))
            }
        };
        let Some(trust) = trust else {
            is_valid = false;
            continue;
        };
        let is_known =
            peers.names().any(|known| known == name.text()) || name.text() == "*" && peers.others.is_some();
        if is_known {
            report.error(name, format!("{} is named twice", name.text()));
            is_valid = false;
        } else if name.text() == "*" {
            peers.others = Some(trust);
        } else if let Some(name) = gateway(name, report) {
            peers.named.push((name, trust));
        } else {
            is_valid = false;
        }
    }
    is_valid.then_some(peers)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn no_gateway_has_the_name_of_another_way_but_peers_have() {
        for (line, is_valid) in [
            ("GATEWAY_NAME=\"gw1\"", true),
            ("GATEWAY_NAME=\"crowdsec\"", false),
            ("GATEWAY_NAME=\"routes\"", false),
            ("GATEWAY_NAME=\"routes1\"", true),
            ("PEERS=\"gw2,crowdsec=log,routes=fence\"", true),
            ("PEERS=\"gw.2\"", false),
        ] {
            assert_eq!(Config::parse(&format!("{line}\n"), "").is_ok(), is_valid, "{line}");
        }
    }
}
