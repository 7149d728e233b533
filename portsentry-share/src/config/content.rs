//! The content of the file.

use std::{fmt, path::PathBuf};

use portsentry::policy::peers::Gateway;

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// As in addresses of the web: an IPv6 address has brackets.
impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(formatter, "[{host}]:{port}")
        } else {
            write!(formatter, "{host}:{port}")
        }
    }
}

/// The configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `SHARE_SOCKET`
    pub socket: PathBuf,
    /// `SERVERS`, the preferred ones first.
    pub servers: Vec<Server>,
    /// `GATEWAYS`: all of the fleet.
    pub gateways: Vec<Gateway>,
    /// `AUTHORITY`
    pub authority: PathBuf,
    /// `CERTIFICATE`
    pub certificate: PathBuf,
    /// `KEY`
    pub key: PathBuf,
    /// `NEWS_RATE`
    pub rate: u32,
}
