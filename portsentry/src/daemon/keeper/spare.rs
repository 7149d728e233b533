//! Looks for connections of a source, with a rate limit.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use portsentry_common::settings::Settings;

use crate::{
    config::{Config, PortSet},
    kernel::{OpenedKey, connections},
    modes::Modes,
    policy::Lasting,
};

/// Each look-up walks through all connections of the host, so at most 20 are made in a second.
const EACH: Duration = Duration::from_millis(50);
const AT_ONCE: Duration = Duration::from_secs(1);

/// Settings and rate limit of the look-ups.
#[derive(Debug)]
pub(super) struct Spare {
    /// Only `proof_traps` is used.
    pub settings: Settings,
    /// Connections to these ports belong to the traps.
    traps: PortSet,
    /// Time when the bucket is full again.
    whole: Instant,
    /// Connections opened by fenced sources.
    pub opened: Lasting<OpenedKey>,
    /// Time of the next look at them.
    pub look: Instant,
}

impl Spare {
    pub(super) fn new(config: &Config, modes: Modes) -> Self {
        let is_connect = modes.is_connect(portsentry_common::classify::Protocol::Tcp);
        Self {
            settings: Settings { proof_traps: config.proof_traps, ..Settings::UNSET },
            traps: if is_connect { config.ports_tcp.clone() } else { PortSet::new() },
            whole: Instant::now(),
            opened: Lasting::default(),
            look: Instant::now(),
        }
    }

    /// Whether `source` has an established connection, other than to a trap, from before it was fenced. Returns
    /// `false` if the rate limit is exceeded.
    pub(super) fn is_connected(
        &mut self,
        source: IpNet,
        was_opened: impl Fn(SocketAddr, u16) -> bool,
    ) -> std::io::Result<bool> {
        let now = Instant::now();
        let whole = self.whole.max(now) + EACH;
        if whole > now + AT_ONCE {
            return Ok(false);
        }
        self.whole = whole;
        let connections = connections::established(source)?;
        Ok(connections.into_iter().any(|it| !self.traps.contains(it.port) && !was_opened(it.peer, it.port)))
    }
}
