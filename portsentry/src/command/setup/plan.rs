//! The changes that `portsentry setup` proposes: settings of the configuration file, and lines of the ignore file.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use portsentry_common::classify::Protocol;
use serde::{Deserialize, Serialize};

use super::survey::Survey;
use crate::{
    config::{Config, PortSet, Response, Settings, edit},
    policy::{network_of, scope::Exemptions},
};

/// A setting to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Setting {
    pub(super) key: String,
    /// The old value, or `None` if the file doesn't set it.
    pub(super) old: Option<String>,
    pub(super) new: String,
}

/// All proposed changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) settings: Vec<Setting>,
    /// Networks for the ignore file.
    pub(super) ignored: BTreeSet<IpNet>,
}

impl Plan {
    /// Whether there is no change.
    pub(super) fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.ignored.is_empty()
    }

    /// Returns the contents of the ignore file after the change, given those before.
    pub(super) fn all_ignored(&self, before: &[IpNet]) -> Vec<IpNet> {
        before.iter().chain(&self.ignored).copied().collect()
    }

    /// Adds a setting, unless `text` already has that value.
    fn set(&mut self, text: &str, key: &str, new: impl Into<String>) {
        let (old, new) = (edit::get(text, key).map(str::to_owned), new.into());
        if old.as_ref() != Some(&new) {
            self.settings.push(Setting { key: key.into(), old, new });
        }
    }

    /// Adds the settings that arm PortSentry: fences, and blocks of proven sources, for an hour and twice as long
    /// each further time. A value that the administrator has chosen stays, unless it would block sources without
    /// proof.
    pub(super) fn arm(&mut self, text: &str, config: &Config, settings: &Settings) {
        for (key, response) in [("BLOCK_TCP", config.block_tcp), ("BLOCK_UDP", config.block_udp)] {
            if response == Response::LogOnly {
                self.set(text, key, "1");
            }
        }
        if config.block_unproven {
            self.set(text, "BLOCK_UNPROVEN", "0");
        }
        if !config.challenge {
            self.set(text, "CHALLENGE", "1");
        }
        for (key, value) in [
            ("FENCE", "open"),
            ("FENCE_TIME", "300"),
            ("BLOCK_TIME", "3600"),
            ("BLOCK_TIME_FACTOR", "2"),
            ("MAX_BLOCK_TIME", "2592000"),
        ] {
            if settings.get(key).is_none_or(|setting| setting.value.trim().is_empty()) {
                self.set(text, key, value);
            }
        }
    }

    /// Returns the lines of drop-ins because of which changed settings would have no effect.
    pub(super) fn overridden(&self, settings: &Settings) -> Vec<String> {
        let drop_ins = self.settings.iter().filter_map(|setting| settings.of_drop_in(&setting.key));
        drop_ins.map(|setting| format!("{}: {}=\"{}\"", setting.origin, setting.key, setting.value)).collect()
    }

    /// Adds the setting that watches these interfaces.
    pub(super) fn watch(&mut self, text: &str, interfaces: &str) {
        self.set(text, "INTERFACES", interfaces);
    }

    /// Removes these ports from the lists of watched ports.
    pub(super) fn leave_out(&mut self, text: &str, config: &Config, ports: &BTreeSet<(u16, Protocol)>) {
        let lists = [
            (
                Protocol::Tcp,
                ("TCP_PORTS", &config.ports_tcp),
                ("ADVANCED_EXCLUDE_TCP", &config.advanced_exclude_tcp),
            ),
            (
                Protocol::Udp,
                ("UDP_PORTS", &config.ports_udp),
                ("ADVANCED_EXCLUDE_UDP", &config.advanced_exclude_udp),
            ),
        ];
        for (protocol, (watched, listed), (exclude, excluded)) in lists {
            let ports: PortSet =
                ports.iter().filter(|(_, of)| *of == protocol).map(|(port, _)| *port).collect();
            if ports.iter().any(|port| listed.contains(port)) {
                self.set(text, watched, listed.difference(&ports).to_string());
            }
            if ports.iter().any(|port| !excluded.contains(port)) {
                self.set(text, exclude, excluded.iter().chain(ports.iter()).collect::<PortSet>().to_string());
            }
        }
    }

    /// Returns `text` with the changed settings.
    pub(super) fn apply(&self, text: &str) -> String {
        self.settings.iter().fold(text.to_owned(), |text, it| edit::set(&text, &it.key, &it.new))
    }
}

/// Returns the peers of logins that are not exempt yet.
pub(super) fn exposed(survey: &Survey, ignored: &[IpNet]) -> BTreeSet<IpAddr> {
    let exempt = Exemptions::new(&survey.host, ignored);
    survey.logins.iter().copied().filter(|peer| !exempt.contains(*peer)).collect()
}

/// Returns the network to ignore for a peer: its /64 over IPv6, because a client's address there changes (RFC 8981). A
/// link-local address doesn't.
pub(super) fn network_of_peer(peer: IpAddr) -> IpNet {
    /// Length of the network in which clients choose their addresses.
    const CLIENTS: u8 = 64;
    match peer {
        IpAddr::V6(address) if !address.is_unicast_link_local() => network_of(peer, CLIENTS),
        _ => peer.into(),
    }
}

/// Returns the forwarded ports that the configuration watches in any mode.
pub(super) fn watched(survey: &Survey, config: &Config) -> BTreeSet<(u16, Protocol)> {
    let is_watched = |(port, protocol): &(u16, Protocol)| match protocol {
        Protocol::Tcp => config.ports_tcp.contains(*port) || config.advanced_tcp().contains(*port),
        Protocol::Udp => config.ports_udp.contains(*port) || config.advanced_udp().contains(*port),
    };
    survey.forwarded.iter().copied().filter(is_watched).collect()
}

/// Returns the text of the ignore file with `networks` added, each with `comment`.
pub(super) fn ignoring(text: &str, networks: &BTreeSet<IpNet>, comment: &str) -> String {
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let lines = networks.iter().map(|network| format!("{network}  # {comment}\n"));
    [text, gap, &lines.collect::<String>()].concat()
}

/// Returns `text` with the old values of `settings`. A setting that was changed again since then stays.
pub(super) fn restore(text: &str, settings: &[Setting]) -> String {
    settings.iter().fold(text.to_owned(), |text, setting| match &setting.old {
        _ if edit::get(&text, &setting.key) != Some(setting.new.as_str()) => text,
        Some(old) => edit::set(&text, &setting.key, old),
        None => edit::unset(&text, &setting.key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Loaded, Text};

    const SHIPPED: &str = include_str!("../../../../etc/portsentry.conf");
    /// The settings of PortSentry 1.2.
    const CLASSIC: &str = "TCP_PORTS=\"1,11,8080\"\nUDP_PORTS=\"1,69\"\nADVANCED_PORTS_TCP=\"1024\"\n\
                           ADVANCED_EXCLUDE_TCP=\"113,139\"\nBLOCK_UDP=\"0\"\nBLOCK_TCP=\"2\"\nKILL_RUN_CMD=\"/bin/true\"\n";

    fn config(text: &str) -> Config {
        Config::parse(text, "portsentry.conf").unwrap_or_else(|report| panic!("{report}")).0
    }

    fn loaded(files: &[(&str, &str)]) -> Loaded {
        let files: Vec<_> =
            files.iter().map(|(file, text)| Text { file: (*file).into(), text: (*text).into() }).collect();
        Loaded::new(&files)
    }

    fn armed(text: &str) -> Plan {
        let mut plan = Plan::default();
        let loaded = loaded(&[("portsentry.conf", text)]);
        plan.arm(text, &loaded.config, &loaded.settings);
        plan
    }

    fn keys(plan: &Plan) -> Vec<&str> {
        plan.settings.iter().map(|setting| setting.key.as_str()).collect()
    }

    #[test]
    fn the_shipped_configuration_takes_two_changes() {
        let plan = armed(SHIPPED);
        assert_eq!(keys(&plan), ["BLOCK_TCP", "BLOCK_UDP"]);
        let text = plan.apply(SHIPPED);
        assert!(armed(&text).is_empty(), "armed twice is armed once");
        assert_eq!(restore(&text, &plan.settings), SHIPPED);
    }

    #[test]
    fn a_file_of_1_2_gets_proof_and_an_end_of_each_block() {
        let plan = armed(CLASSIC);
        let text = plan.apply(CLASSIC);
        let config = config(&text);
        // The administrator's value for TCP stays.
        assert!(config.block_tcp == Response::CommandOnly && config.block_udp == Response::Block);
        assert!(config.challenge && !config.block_unproven);
        assert_eq!(edit::get(&text, "BLOCK_TIME"), Some("3600"));
        assert_eq!(restore(&text, &plan.settings), CLASSIC);
    }

    #[test]
    fn values_of_drop_ins_stay_or_are_in_the_way() {
        let in_drop_in = |drop_in: &str| {
            let Loaded { config, settings, .. } = loaded(&[("a", CLASSIC), ("a.d/b", drop_in)]);
            let mut plan = Plan::default();
            plan.arm(CLASSIC, &config, &settings);
            let overridden = plan.overridden(&settings);
            (plan, overridden)
        };
        let (plan, overridden) = in_drop_in("BLOCK_TIME=\"60\"\nBLOCK_UDP=\"1\"\n");
        assert!(!keys(&plan).contains(&"BLOCK_TIME") && !keys(&plan).contains(&"BLOCK_UDP"), "{plan:?}");
        assert!(overridden.is_empty(), "{overridden:?}");
        let (_, overridden) = in_drop_in("\nBLOCK_UDP=\"0\"\nBLOCK_TIME=\"\"\n");
        assert_eq!(overridden, ["a.d/b:2: BLOCK_UDP=\"0\"", "a.d/b:3: BLOCK_TIME=\"\""]);
    }

    #[test]
    fn a_setting_that_was_changed_since_stays() {
        let plan = armed(SHIPPED);
        let text = edit::set(&plan.apply(SHIPPED), "BLOCK_TCP", "2");
        let restored = restore(&text, &plan.settings);
        assert_eq!(edit::get(&restored, "BLOCK_TCP"), Some("2"));
        assert_eq!(edit::get(&restored, "BLOCK_UDP"), Some("0"));
    }

    #[test]
    fn forwarded_ports_are_left_out_of_both_lists() {
        let forwarded =
            [(8080, Protocol::Tcp), (113, Protocol::Tcp), (5000, Protocol::Udp), (100, Protocol::Tcp)];
        let survey = Survey { forwarded: forwarded.into(), ..Survey::default() };
        let config = config(CLASSIC);
        let watched = watched(&survey, &config);
        assert_eq!(watched, [(100, Protocol::Tcp), (8080, Protocol::Tcp)].into());
        let mut plan = Plan::default();
        plan.leave_out(CLASSIC, &config, &watched);
        let text = plan.apply(CLASSIC);
        assert_eq!(edit::get(&text, "TCP_PORTS"), Some("1,11"));
        assert_eq!(edit::get(&text, "ADVANCED_EXCLUDE_TCP"), Some("100,113,139,8080"));
        assert_eq!(edit::get(&text, "UDP_PORTS"), Some("1,69"));
    }

    #[test]
    fn peers_of_logins_are_exposed_unless_exempt() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let logins = ["192.0.2.3", "192.0.2.4", "2001:db8::3"].map(address).into();
        let mut survey = Survey { logins, ..Survey::default() };
        survey.host.gateways.insert(address("192.0.2.4"));
        let ignored = ["2001:db8::/32".parse().unwrap()];
        assert_eq!(exposed(&survey, &ignored), [address("192.0.2.3")].into());
    }

    #[test]
    fn changing_addresses_of_a_peer_are_ignored_too() {
        for (peer, expected) in [
            ("192.0.2.3", "192.0.2.3/32"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("fd00::5", "fd00::/64"),
            ("fe80::5", "fe80::5/128"),
        ] {
            assert_eq!(network_of_peer(peer.parse().unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn ignored_networks_are_lines_of_their_own() {
        let networks = ["192.0.2.3/32", "2001:db8::/64"].map(|text| text.parse().unwrap()).into();
        let text = ignoring("127.0.0.1 # this host", &networks, "a login");
        assert_eq!(text, "127.0.0.1 # this host\n192.0.2.3/32  # a login\n2001:db8::/64  # a login\n");
        let (read, _) = crate::config::ignore::parse(&text, "ignore").unwrap();
        assert_eq!(read.len(), 3);
    }
}
