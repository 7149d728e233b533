//! Detects that no port is watched, for instance because a setting is misspelt or unquoted.

use std::fmt;

use portsentry_common::{classify::Protocol, settings::Answers};

use crate::{config::Config, modes::Modes};

/// A watched protocol without ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithoutPorts {
    protocol: Protocol,
    /// The remedy.
    pub remedy: String,
}

impl WithoutPorts {
    /// Describes the consequence.
    #[must_use]
    pub fn what(&self) -> String {
        let name = self.protocol.name();
        format!("no {name} port is watched, so no {name} scan is detected")
    }
}

impl fmt::Display for WithoutPorts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.what(), self.remedy)
    }
}

/// Returns the protocols that `modes` watch without a port. With `ANSWERS` no list is needed.
#[must_use]
pub fn without_ports(config: &Config, modes: Modes) -> Vec<WithoutPorts> {
    if config.answers != Answers::Off {
        return Vec::new();
    }
    let lists = [
        (Protocol::Tcp, config.ports_tcp.is_empty(), config.advanced_tcp().is_empty()),
        (Protocol::Udp, config.ports_udp.is_empty(), config.advanced_udp().is_empty()),
    ];
    let lacking = lists.into_iter().filter_map(|(protocol, is_unlisted, has_no_advanced)| {
        let name = protocol.name();
        let remedy = match (modes.is_listed(protocol), modes.is_advanced(protocol)) {
            (true, false) if is_unlisted => format!("set {name}_PORTS"),
            (false, true) if has_no_advanced => {
                format!("raise ADVANCED_PORTS_{name}, or exclude fewer in ADVANCED_EXCLUDE_{name}")
            }
            (true, true) if is_unlisted && has_no_advanced => {
                format!("set {name}_PORTS or ADVANCED_PORTS_{name}")
            }
            _ => return None,
        };
        Some(WithoutPorts { protocol, remedy })
    });
    lacking.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modes::Mode;

    #[test]
    fn what_watches_no_port_is_said() {
        for (text, modes, expected) in [
            ("TCP_PORTS=1,11\nUPD_PORTS=\"7\"", &[Mode::Stcp, Mode::Sudp][..], &["TCP", "UDP"][..]),
            ("TCP_PORTS=\"1\"", &[Mode::Stcp, Mode::Sudp], &["UDP"]),
            ("TCP_PORTS=\"1\"", &[Mode::Stcp], &[]),
            ("TCP_PORTS=\"1\"", &[Mode::Udp], &["UDP"]),
            ("", &[Mode::Atcp, Mode::Audp], &[]),
            ("ADVANCED_PORTS_UDP=\"1\"", &[Mode::Atcp, Mode::Audp], &["UDP"]),
            ("ADVANCED_PORTS_TCP=\"9\"\nADVANCED_EXCLUDE_TCP=\"1-8\"", &[Mode::Atcp], &["TCP"]),
            ("ADVANCED_PORTS_TCP=\"0\"", &[Mode::Stcp, Mode::Atcp], &["TCP"]),
            ("", &[Mode::Stcp, Mode::Atcp], &[]),
            ("ANSWERS=\"enforce\"", &[Mode::Stcp, Mode::Sudp], &[]),
        ] {
            let (config, _) = Config::parse(text, "test").unwrap();
            let said = without_ports(&config, modes.iter().copied().collect());
            assert_eq!(said.len(), expected.len(), "{text}: {said:?}");
            for (said, name) in said.iter().zip(expected) {
                let said = said.to_string();
                assert!(said.starts_with(&format!("no {name} port is watched")), "{text}: {said}");
            }
        }
    }
}
