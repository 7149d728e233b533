//! Spares sources that use a service of this host: a kernel program can't look for the connections of a source, so the
//! keeper does once one has completed enough handshakes with traps.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use ipnet::IpNet;
use portsentry_common::{
    block::{Block, Origin, Proof},
    decide::{Verdict, is_proven},
    settings::Settings,
};

use super::Keeper;
use crate::{
    config::{Config, PortSet},
    kernel::{self, connections},
    modes::Modes,
    policy::{Sighting, network_of},
};

/// Each look goes through all connections of the host: at most 20 in a second.
const EACH: Duration = Duration::from_millis(50);
const AT_ONCE: Duration = Duration::from_secs(1);

/// Whom to spare, and how often that was looked for.
#[derive(Debug)]
pub(super) struct Spare {
    /// Only `proof_traps` counts.
    settings: Settings,
    /// Connections to these ports are the traps' own.
    traps: PortSet,
    /// When the allowance of looks is whole again.
    whole: Instant,
}

impl Spare {
    pub(super) fn new(config: &Config, modes: Modes) -> Self {
        let is_connect = modes.is_connect(portsentry_common::classify::Protocol::Tcp);
        Self {
            settings: Settings { proof_traps: config.proof_traps, ..Settings::UNSET },
            traps: if is_connect { config.ports_tcp.clone() } else { PortSet::new() },
            whole: Instant::now(),
        }
    }

    /// Whether `source` has an established connection that is no trap's, and that it had before it was fenced; `false` if too much
    /// was looked for.
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
        Ok(connections.into_iter().any(|(peer, port)| !self.traps.contains(port) && !was_opened(peer, port)))
    }
}

impl Keeper {
    /// Makes a fence again of the block that `sighting` tells of, if its source has an established connection and has not yet
    /// completed four times as many handshakes. The block has stood for the moment that it took to be told: what the source
    /// sent meanwhile, TCP sends again.
    pub(super) fn spare(&mut self, sighting: &mut Sighting) {
        if sighting.verdict == Verdict::Block
            && sighting.proof == Proof::Cookie
            && self.spares(sighting.key())
        {
            sighting.verdict = Verdict::Fence;
            sighting.proof = Proof::None;
        }
    }

    /// The same for a source whose block was found in the map; whether it is spared.
    pub(super) fn spares(&mut self, source: IpAddr) -> bool {
        self.try_spare(source).unwrap_or_else(|error| {
            self.journal.error(&error);
            false
        })
    }

    fn try_spare(&mut self, source: IpAddr) -> Result<bool, kernel::Error> {
        let Some(block) = self.kernel.blocked.get(source)? else { return Ok(false) };
        let is_ours = block.origin == Origin::Trigger as u8 && block.proof == Proof::Cookie as u8;
        if !is_ours
            || is_proven(block.hits, true, &self.spare.settings)
            || !self.is_connected(network_of(source, block.prefix))
        {
            return Ok(false);
        }
        self.kernel.handshakes.vouch(source)?;
        let fence_ns = u64::try_from(self.terms.fence.as_nanos()).unwrap_or(u64::MAX);
        let until_ns = block.since_ns.unsigned_abs().saturating_add(fence_ns);
        let fence = Block { until_ns, proof: Proof::None as u8, mirrored: 0, ..block };
        // The fence first: the source must never be free.
        self.kernel.fenced.insert(source, &fence)?;
        self.kernel.blocked.remove(source)?;
        self.journal.note(&format!(
            "Host {} has an established connection to this host: fenced, not blocked (handshakes with {} traps)",
            name(network_of(source, block.prefix)),
            block.hits
        ));
        Ok(true)
    }

    /// Whether `source` has an established connection to this host.
    pub(super) fn is_connected(&mut self, source: IpNet) -> bool {
        let kernel = &self.kernel;
        let was_opened = |peer, port| kernel.was_opened(peer, port);
        self.spare.is_connected(source, was_opened).unwrap_or_else(|error| {
            self.journal.error(&format!("looking for connections of {source}: {error}"));
            false
        })
    }
}

/// As people write it: a host without a length.
fn name(network: IpNet) -> String {
    let is_host = network.prefix_len() == network.max_prefix_len();
    if is_host { network.addr().to_string() } else { network.to_string() }
}
