//! Log lines about the daemon's start, changes and stop.

use portsentry_common::classify::Protocol;

use super::{
    super::event::{Action, Event},
    Log,
};
use crate::{
    config::{Config, LogFormat, PortSet},
    modes::Modes,
    policy::Enforcement,
};

/// Maximum number of ports named one by one at the start. Longer lists are shown as ranges.
const NAMED_PORTS: usize = 1024;

impl Log {
    /// Logs the version, the mode and the watched ports when the daemon starts.
    pub fn starting(&mut self, config: &Config, modes: Modes) {
        let version = env!("CARGO_PKG_VERSION");
        let mode = format!("portsentry {version}: {}", Enforcement::new(config, modes).in_full());
        let starting = format!("PortSentry {} is starting.", self.version());
        let lines = [mode, starting].map(|text| self.worded("adminalert: ", &text));
        self.say(&Event::new(Action::Start), &lines);
        let lines = self.announcements(config, modes);
        self.emit(&Event::new(Action::Start), &lines, None);
    }

    /// Returns the lines about the watched ports.
    fn announcements(&self, config: &Config, modes: Modes) -> Vec<String> {
        let mut lines = Vec::new();
        let mut say = |text: &str| lines.push(self.worded("adminalert: ", text));
        for (is_on, protocol, ports) in [
            (modes.is_listed(Protocol::Tcp), Protocol::Tcp, &config.ports_tcp),
            (modes.is_listed(Protocol::Udp), Protocol::Udp, &config.ports_udp),
        ] {
            if is_on {
                let mode = if modes.is_connect(protocol) { "listen mode" } else { "stealth listen mode" };
                for port in named(ports) {
                    say(&format!("Going into {mode} on {} port: {port}", protocol.name()));
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
                say(&format!("Advanced mode will monitor first {bound} ports"));
                for port in named(excluded) {
                    // 1.2 has a space at the end of this line.
                    say(&format!("Advanced mode will manually exclude port: {port} "));
                }
                for port in named(excluded) {
                    let name = protocol.name();
                    say(&format!(
                        "Advanced Stealth scan detection mode activated. Ignored {name} port: {port}"
                    ));
                }
            }
        }
        lines
    }

    /// Logs the mode of enforcement after a change.
    pub fn mode(&mut self, enforcement: &Enforcement) {
        self.admin(&Event::new(Action::Note), &format!("Mode: {}", enforcement.in_full()));
    }

    /// Logs that the daemon is now watching.
    pub fn active(&mut self) {
        let text = match self.format {
            LogFormat::Revival => "Portsentry is now active and listening.",
            _ => "PortSentry is now active and listening.",
        };
        self.admin(&Event::new(Action::Active), text);
    }

    /// Logs a new configuration, or a change among the processes that share the maps.
    pub fn reloaded(&mut self, what: &str) {
        self.admin(&Event::new(Action::Reload), what);
    }

    /// Logs the end.
    pub fn stopping(&mut self) {
        let event = Event::new(Action::Stop);
        if self.format == LogFormat::Revival {
            return self.admin(&event, "Portsentry is shutting down");
        }
        self.emit(&event, &["securityalert: PortSentry is shutting down".into()], None);
        self.admin(&event, "PortSentry is shutting down");
    }

    /// Returns 1.2's version, for scripts that look for it; in other formats, this program's version.
    fn version(&self) -> &'static str {
        match self.format {
            LogFormat::Revival => env!("CARGO_PKG_VERSION"),
            _ => "1.2",
        }
    }
}

/// Returns the ports one by one if they are few, otherwise as ranges.
fn named(ports: &PortSet) -> Vec<String> {
    if ports.len() <= NAMED_PORTS {
        ports.iter().map(|port| port.to_string()).collect()
    } else {
        vec![ports.to_string()]
    }
}
