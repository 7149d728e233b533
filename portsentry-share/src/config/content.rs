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
        let out = self.routes_out.as_ref().map(|routes| format!("routes into table {}", routes.out));
        let routes = out.into_iter().chain(self.routes_in.map(|table| format!("routes from table {table}")));
        let crowdsec = self.crowdsec.as_ref().map(|crowdsec| format!("CrowdSec at {}", crowdsec.url));
        let ways: Vec<String> = Some(fleet)
            .filter(|_| self.is_fleet())
            .into_iter()
            .chain(feed)
            .chain(crowdsec)
            .chain(routes)
            .collect();
        ways.join("; ")
    }
}

/// The name of the peer whose words are a CrowdSec's decisions.
pub const CROWDSEC: &str = "crowdsec";

/// The name of the peer whose words are blackhole routes.
pub const ROUTES: &str = "routes";

/// What becomes of routes when the service stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtStop {
    /// They stay, until the service starts again.
    Keep,
    /// They are removed.
    Remove,
}

/// Blocks as routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    /// `ROUTES_OUT`: the table.
    pub out: u32,
    /// `ROUTES_SOCKET`
    pub socket: PathBuf,
    /// `ROUTES_AT_STOP`
    pub at_stop: AtStop,
}

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
    /// `ROUTES_OUT` and what belongs to it.
    pub routes_out: Option<Routes>,
    /// `ROUTES_IN`: a table.
    pub routes_in: Option<u32>,
}
