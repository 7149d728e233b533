//! The log: which line is written, in which PortSentry's words. It must not decide what is worth a line.

use std::{fmt::Display, net::IpAddr, time::SystemTime};

use portsentry_common::{block::Proof, classify::Protocol, decide::Verdict};

use super::{
    Named, classic,
    output::Output,
    revival,
    runner::{self, Outcome, Purpose, Ran},
};
use crate::{
    config::{Config, LogFormat, PortSet},
    modes::Modes,
    policy::Sighting,
};

/// Ports that are named one by one at the start; longer lists are summed up as ranges.
const NAMED_PORTS: usize = 64;

/// The log.
#[derive(Debug)]
pub struct Journal {
    format: LogFormat,
    tells_notices: bool,
    output: Output,
    last_error: Option<(SystemTime, String)>,
}

impl Journal {
    /// The log in the format and to the place that `config` says.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            format: config.log_format,
            tells_notices: config.log_notices || config.log_format == LogFormat::Revival,
            output: Output::new(config),
            last_error: None,
        }
    }

    /// What is watched, when the daemon starts.
    pub fn starting(&mut self, config: &Config, modes: Modes) {
        self.admin(&format!("PortSentry {} is starting.", self.version()));
        for (is_on, protocol, ports) in [
            (modes.is_listed(Protocol::Tcp), Protocol::Tcp, &config.ports_tcp),
            (modes.is_listed(Protocol::Udp), Protocol::Udp, &config.ports_udp),
        ] {
            if is_on {
                for port in named(ports) {
                    self.admin(&format!(
                        "Going into stealth listen mode on {} port: {port}",
                        protocol.name()
                    ));
                }
            }
        }
        for (is_on, protocol, bound, excluded) in [
            (
                modes.is_advanced(Protocol::Tcp),
                Protocol::Tcp,
                config.advanced_ports_tcp,
                &config.advanced_exclude_tcp,
            ),
            (
                modes.is_advanced(Protocol::Udp),
                Protocol::Udp,
                config.advanced_ports_udp,
                &config.advanced_exclude_udp,
            ),
        ] {
            if is_on {
                self.admin(&format!("Advanced mode will monitor first {bound} ports"));
                for port in named(excluded) {
                    // 1.2 has a space at the end of this line.
                    self.admin(&format!("Advanced mode will manually exclude port: {port} "));
                }
                for port in named(excluded) {
                    let name = protocol.name();
                    self.admin(&format!(
                        "Advanced Stealth scan detection mode activated. Ignored {name} port: {port}"
                    ));
                }
            }
        }
    }

    /// The daemon watches from now on.
    pub fn active(&mut self) {
        self.admin(match self.format {
            LogFormat::Revival => "Portsentry is now active and listening.",
            _ => "PortSentry is now active and listening.",
        });
    }

    /// A probe whose source reached the trigger.
    pub fn attack(&mut self, sighting: &Sighting, source: &Named<'_>) {
        if self.format == LogFormat::Revival {
            self.output.write(&revival::scan(sighting, source));
        } else {
            classic::attack(sighting, source).for_each(|line| self.output.write(&line));
        }
    }

    /// A probe that nothing is done about. 1.2 does not tell of it unless asked to say more.
    pub fn notice(&mut self, sighting: &Sighting, source: &Named<'_>) {
        if !self.tells_notices {
            return;
        }
        let why = match sighting.verdict {
            Verdict::Ignored => "ignored source".to_owned(),
            Verdict::Counted => format!("hit {}, below SCAN_TRIGGER", sighting.hits),
            _ => "may belong to a forgotten connection".to_owned(),
        };
        self.output.write(&match self.format {
            LogFormat::Revival => revival::scan(sighting, source),
            _ => classic::notice(sighting, source, &why),
        });
    }

    /// The configuration says not to act on `source`.
    pub fn left_alone(&mut self, protocol: Protocol, source: IpAddr) {
        let name = protocol.name();
        self.attack_line(&format!("Ignoring {name} response per configuration file setting."));
        self.admin(&format!("Host {source} would have been blocked with BLOCK_{name}=\"1\""));
    }

    /// The blocked map has no room for `source`.
    pub fn full(&mut self, source: IpAddr) {
        self.admin(&format!(
            "ERROR: Could not block host {source}: as many are blocked as MAX_BLOCKED allows"
        ));
    }

    /// The kernel fences `source` from now on.
    pub fn fenced(&mut self, source: IpAddr, seconds: u64) {
        self.attack_line(&format!(
            "Host {source} has been fenced for {seconds} seconds (proof: none): what could open anything is dropped, \
             its connections go on"
        ));
    }

    /// The kernel blocks `source` from now on.
    pub fn blocked(&mut self, source: IpAddr, proof: Proof) {
        self.attack_line(&format!("Host {source} has been blocked in the kernel (proof: {})", proof.name()));
    }

    /// `hosts.deny` names `source` from now on.
    pub fn denied(&mut self, source: IpAddr, line: &str) {
        self.attack_line(&format!("Host {source} has been blocked via wrappers with string: \"{line}\""));
    }

    /// A command has ended, in the words of 1.2 if it did what it was for.
    pub fn ran(&mut self, ran: &Ran) {
        let Ran { source, purpose, shown, outcome } = ran;
        match (outcome, purpose) {
            (Outcome::Done(output), Purpose::Route) => {
                self.attack_line(&format!(
                    "Host {source} has been blocked via dropped route using command: \"{shown}\""
                ));
                self.said(source, output);
            }
            (Outcome::Done(output), Purpose::Command) => {
                self.attack_line(&format!(
                    "External command run for host: {source} using command: \"{shown}\""
                ));
                self.said(source, output);
            }
            (outcome, purpose) => {
                self.error(&format!("{} for host {source}: \"{shown}\" {outcome}", purpose.key()));
            }
        }
    }

    fn said(&mut self, source: &IpAddr, output: &runner::Output) {
        if !output.is_empty() {
            self.admin(&format!("The command for host {source} said: \"{output}\""));
        }
    }

    /// `source` is no longer blocked, or fenced.
    pub fn lifted(&mut self, source: IpAddr, was_fence: bool, why: &str) {
        let held = if was_fence { "fenced" } else { "blocked" };
        self.admin(&format!("Host {source} is no longer {held}: {why}"));
    }

    /// The files kept the log so busy that `count` probes were not logged.
    pub fn lost(&mut self, count: u64) {
        self.admin(&format!(
            "{count} probes were not logged, as the log was behind; blocks were made all the same"
        ));
    }

    /// The kernel program did not tell of `count` probes.
    pub fn untold(&mut self, count: u64) {
        self.admin(&format!(
            "{count} probes were not logged, as more came than EVENT_RATE allows; blocks were made all the same"
        ));
    }

    /// Something that somebody has to look at.
    pub fn error(&mut self, problem: &dyn Display) {
        self.last_error = Some((SystemTime::now(), problem.to_string()));
        for (number, line) in problem.to_string().lines().enumerate() {
            self.admin(&if number == 0 { format!("ERROR: {line}") } else { line.to_owned() });
        }
    }

    /// The last thing that went wrong, and when.
    #[must_use]
    pub fn last_error(&self) -> Option<&(SystemTime, String)> {
        self.last_error.as_ref()
    }

    /// Anything else that an administrator wants to know.
    pub fn note(&mut self, what: &dyn Display) {
        self.admin(&what.to_string());
    }

    /// The last words.
    pub fn stopping(&mut self) {
        if self.format == LogFormat::Revival {
            return self.admin("Portsentry is shutting down");
        }
        self.output.write("securityalert: PortSentry is shutting down");
        self.admin("PortSentry is shutting down");
    }

    /// 1.2's scripts look for its version; everybody else gets ours.
    fn version(&self) -> &'static str {
        match self.format {
            LogFormat::Revival => env!("CARGO_PKG_VERSION"),
            _ => "1.2",
        }
    }

    fn admin(&mut self, text: &str) {
        self.line("adminalert: ", text);
    }

    fn attack_line(&mut self, text: &str) {
        self.line("attackalert: ", text);
    }

    fn line(&mut self, classic: &str, text: &str) {
        let prefix = if self.format == LogFormat::Revival { "" } else { classic };
        self.output.write(&format!("{prefix}{text}"));
    }
}

/// The ports one by one where they are few, else as ranges.
fn named(ports: &PortSet) -> Vec<String> {
    if ports.len() <= NAMED_PORTS {
        ports.iter().map(|port| port.to_string()).collect()
    } else {
        vec![ports.to_string()]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::SystemTime;

    use portsentry_common::classify::Kind;

    use crate::modes::Mode;

    use super::*;

    pub(in crate::sink) fn sighting() -> Sighting {
        Sighting {
            time: SystemTime::UNIX_EPOCH,
            source: [192, 0, 2, 9].into(),
            destination: [198, 51, 100, 1].into(),
            source_port: 40_000,
            port: 11,
            protocol: Protocol::Tcp,
            kind: Kind::Syn,
            flags: 2,
            options: Some(false),
            interface: 1,
            vlan: 0,
            length: 0,
            ttl: 0,
            hits: 1,
            verdict: Verdict::Block,
            proof: Proof::None,
        }
    }

    fn lines(format: LogFormat, write: impl FnOnce(&mut Journal)) -> Vec<String> {
        let mut journal = Journal { format, tells_notices: false, output: Output::Kept(Vec::new()) };
        write(&mut journal);
        match journal.output {
            Output::Kept(lines) => lines,
            _ => Vec::new(),
        }
    }

    #[test]
    fn the_start_has_the_words_of_1_2() {
        let text = "TCP_PORTS=\"1,11\"\nADVANCED_EXCLUDE_UDP=\"67\"\nADVANCED_PORTS_UDP=\"512\"";
        let (config, _) = Config::parse(text, "test").unwrap();
        let modes = [Mode::Stcp, Mode::Audp].into_iter().collect();
        let written = lines(LogFormat::Classic, |journal| {
            journal.starting(&config, modes);
            journal.active();
            journal.stopping();
        });
        assert_eq!(
            written,
            [
                "adminalert: PortSentry 1.2 is starting.",
                "adminalert: Going into stealth listen mode on TCP port: 1",
                "adminalert: Going into stealth listen mode on TCP port: 11",
                "adminalert: Advanced mode will monitor first 512 ports",
                "adminalert: Advanced mode will manually exclude port: 67 ",
                "adminalert: Advanced Stealth scan detection mode activated. Ignored UDP port: 67",
                "adminalert: PortSentry is now active and listening.",
                "securityalert: PortSentry is shutting down",
                "adminalert: PortSentry is shutting down",
            ]
        );
    }

    #[test]
    fn start_and_end_have_the_words_of_2() {
        let written = lines(LogFormat::Revival, |journal| {
            journal.active();
            journal.stopping();
        });
        assert_eq!(written, ["Portsentry is now active and listening.", "Portsentry is shutting down"]);
    }

    #[test]
    fn actions_have_the_words_of_1_2() {
        let source = [192, 0, 2, 9].into();
        let written = lines(LogFormat::Classic, |journal| {
            journal.denied(source, "ALL: 192.0.2.9 : DENY");
            journal.left_alone(Protocol::Tcp, source);
        });
        assert_eq!(
            written,
            [
                "attackalert: Host 192.0.2.9 has been blocked via wrappers with string: \"ALL: 192.0.2.9 : DENY\"",
                "attackalert: Ignoring TCP response per configuration file setting.",
                "adminalert: Host 192.0.2.9 would have been blocked with BLOCK_TCP=\"1\"",
            ]
        );
    }
}
