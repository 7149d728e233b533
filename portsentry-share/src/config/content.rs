//! The content of the file.

use std::{fmt, net::SocketAddr, path::PathBuf};

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

impl Config {
    /// Whether the gateway is in a fleet, with servers.
    #[must_use]
    pub const fn is_fleet(&self) -> bool {
        !self.servers.is_empty()
    }

    /// Returns the ways in a few words.
    #[must_use]
    pub fn summary(&self) -> String {
        let fleet = format!("{} gateways, {} servers", self.gateways.len(), self.servers.len());
        let feed = self.feed.map(|address| format!("feed at {address}"));
        let crowdsec = self.crowdsec.as_ref().map(|crowdsec| format!("CrowdSec at {}", crowdsec.url));
        let ways: Vec<String> =
            Some(fleet).filter(|_| self.is_fleet()).into_iter().chain(feed).chain(crowdsec).collect();
        ways.join("; ")
    }
}

/// The name of the peer whose words are a CrowdSec's decisions.
pub const CROWDSEC: &str = "crowdsec";

/// A CrowdSec's Local API.
#[derive(Clone, PartialEq, Eq)]
pub struct CrowdSec {
    /// `CROWDSEC_URL`, without a slash at its end.
    pub url: String,
    /// `CROWDSEC_MACHINE` and `CROWDSEC_PASSWORD`
    pub machine: Option<(String, String)>,
    /// `CROWDSEC_KEY`
    pub key: Option<String>,
}

/// Without secrets.
impl fmt::Debug for CrowdSec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CrowdSec").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `SHARE_SOCKET`
    pub socket: PathBuf,
    /// `SERVERS`, the preferred ones first. Without any there is no fleet.
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
    /// `FEED_LISTEN`
    pub feed: Option<SocketAddr>,
    /// `STATE_DIRECTORY`
    pub state: PathBuf,
    /// `CROWDSEC_URL` and what belongs to it.
    pub crowdsec: Option<CrowdSec>,
}
