//! The modes of PortSentry 1.2, in any combination.

use portsentry_common::classify::Protocol;

use crate::config::LogFormat;

/// One of 1.2's modes.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Accepts connections to `TCP_PORTS`.
    Tcp,
    /// Accepts datagrams to `UDP_PORTS`.
    Udp,
    /// Watches `TCP_PORTS`.
    Stcp,
    /// Watches `UDP_PORTS`.
    Sudp,
    /// Watches the ports below `ADVANCED_PORTS_TCP`.
    Atcp,
    /// Watches the ports below `ADVANCED_PORTS_UDP`.
    Audp,
}

/// Every mode.
pub const MODES: [Mode; 6] = [Mode::Tcp, Mode::Udp, Mode::Stcp, Mode::Sudp, Mode::Atcp, Mode::Audp];

impl Mode {
    /// Returns 1.2's name, as used in flags, files and `$MODE$`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Stcp => "stcp",
            Self::Sudp => "sudp",
            Self::Atcp => "atcp",
            Self::Audp => "audp",
        }
    }
}

/// A set of modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes(u8);

impl Modes {
    /// Whether the set contains `mode`.
    #[must_use]
    pub const fn has(self, mode: Mode) -> bool {
        self.0 & 1 << mode as u8 != 0
    }

    /// Returns the union of two sets.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns each mode.
    pub fn iter(self) -> impl Iterator<Item = Mode> {
        MODES.into_iter().filter(move |mode| self.has(*mode))
    }

    /// Whether connections (or datagrams) to the listed ports are accepted. Watching detects more, and takes
    /// precedence.
    #[must_use]
    pub const fn is_connect(self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp => self.has(Mode::Tcp) && !self.has(Mode::Stcp),
            Protocol::Udp => self.has(Mode::Udp) && !self.has(Mode::Sudp),
        }
    }

    /// Whether the listed ports are watched or accepted.
    #[must_use]
    pub const fn is_listed(self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp => self.has(Mode::Tcp) || self.has(Mode::Stcp),
            Protocol::Udp => self.has(Mode::Udp) || self.has(Mode::Sudp),
        }
    }

    /// Whether the ports of the advanced mode are watched.
    #[must_use]
    pub const fn is_advanced(self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp => self.has(Mode::Atcp),
            Protocol::Udp => self.has(Mode::Audp),
        }
    }

    /// Returns the value of `$MODE$` in `format` for a probe of `protocol`.
    #[must_use]
    pub const fn name(self, protocol: Protocol, format: LogFormat) -> &'static str {
        let is_connect = self.is_connect(protocol);
        match (format, protocol) {
            (LogFormat::Revival, _) if is_connect => "connect",
            (LogFormat::Revival, _) => "stealth",
            (_, Protocol::Tcp) if self.has(Mode::Atcp) => "atcp",
            (_, Protocol::Udp) if self.has(Mode::Audp) => "audp",
            (_, Protocol::Tcp) if is_connect => "tcp",
            (_, Protocol::Udp) if is_connect => "udp",
            (_, Protocol::Tcp) => "stcp",
            (_, Protocol::Udp) => "sudp",
        }
    }
}

impl FromIterator<Mode> for Modes {
    fn from_iter<I: IntoIterator<Item = Mode>>(modes: I) -> Self {
        Self(modes.into_iter().fold(0, |set, mode| set | 1 << mode as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_told_the_mode() {
        let (classic, revival) = (LogFormat::Classic, LogFormat::Revival);
        for (modes, protocol, format, expected) in [
            (&[Mode::Tcp][..], Protocol::Tcp, classic, "tcp"),
            (&[Mode::Udp], Protocol::Udp, classic, "udp"),
            (&[Mode::Stcp, Mode::Sudp], Protocol::Udp, classic, "sudp"),
            (&[Mode::Tcp, Mode::Stcp], Protocol::Tcp, classic, "stcp"),
            (&[Mode::Atcp, Mode::Stcp], Protocol::Tcp, classic, "atcp"),
            (&[Mode::Audp], Protocol::Udp, classic, "audp"),
            (&[Mode::Stcp, Mode::Sudp], Protocol::Tcp, revival, "stealth"),
            (&[Mode::Tcp, Mode::Udp], Protocol::Udp, revival, "connect"),
        ] {
            let modes: Modes = modes.iter().copied().collect();
            assert_eq!(modes.name(protocol, format), expected, "{modes:?}");
            assert!(modes.iter().count() > 0 && !modes.is_empty());
        }
    }
}
