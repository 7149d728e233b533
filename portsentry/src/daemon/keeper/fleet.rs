//! The fleet, as this gateway knows it.

use std::{
    collections::BTreeSet,
    mem,
    net::IpAddr,
    sync::mpsc::SyncSender,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use portsentry_common::block::Proof;
use serde_json::{Value, json};

use super::{naming::Naming, scope::Scope};
use crate::{
    config::{Config, OTHERS, ShareBlocks},
    inspect::fleet::{Report, Way},
    metrics::{FleetStats, PeerStats, ShareStats},
    policy::{
        Record, is_host,
        peers::{Enforced, Gateway, Peers, Rules, Word, may_be_shared},
    },
    sink::PeerFile,
};

/// Addresses per line.
pub(super) const AT_ONCE: usize = 256;
/// Interval at which claims that are over are forgotten.
const EXPIRY: Duration = Duration::from_secs(30);
/// Interval at which problems of the companion are logged.
const COMPLAINTS: Duration = Duration::from_mins(1);

/// The fleet.
#[derive(Debug)]
pub(super) struct Fleet {
    pub peers: Peers,
    pub name: Gateway,
    /// Whether there is a `SHARE_SOCKET`.
    pub is_on: bool,
    /// Whether the administrator's current request concerns only this gateway.
    pub is_here: bool,
    /// Own blocks that the fleet has lifted or exempted, with the reasons, to be released.
    pub unwanted: Vec<(IpNet, String)>,
    /// Which blocks are logged one by one.
    pub naming: Naming,
    /// The companion's last report, while it is connected.
    pub report: Option<Report>,
    /// The companion's other ways, while it is connected.
    pub ways: Vec<Way>,
    /// Sources whose blocks are over, of which the companion is yet to be told.
    released: Vec<IpAddr>,
    /// Gateways whose words were not heard, and whether of the fleet's state, of which the companion is yet to be told.
    refused: BTreeSet<(Gateway, bool)>,
    share: ShareBlocks,
    file: PeerFile,
    /// The connection to the companion, with its number.
    companion: Option<(u64, SyncSender<String>)>,
    expiry: Instant,
    /// The next time at which a problem of the companion is logged.
    complaint: Instant,
}

impl Fleet {
    pub(super) fn new(config: &Config) -> Self {
        let now = Instant::now();
        Self {
            peers: Peers::new(Rules::new(config)),
            name: config.gateway_name.clone().and_then(|name| name.try_into().ok()).unwrap_or_else(host),
            is_on: config.share_socket.is_some(),
            is_here: false,
            unwanted: Vec::new(),
            naming: Naming::new(now),
            report: None,
            ways: Vec::new(),
            released: Vec::new(),
            refused: BTreeSet::new(),
            share: config.share_blocks,
            file: PeerFile::new(&config.blocked_file),
            companion: None,
            expiry: now + EXPIRY,
            complaint: now,
        }
    }

    /// Writes the peers' file, if they have changed. Returns a message to log, if any.
    pub(super) fn flush(&mut self) -> Option<String> {
        self.file.flush(&self.peers)
    }

    /// Writes the peers' file, if it lacks one's name. Returns a message to log, if any.
    pub(super) fn flush_names(&mut self) -> Option<String> {
        self.file.flush_names(&self.peers)
    }

    /// Whether claims may be over.
    pub(super) fn is_expiry_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = now >= self.expiry;
        self.expiry = if is_due { now + EXPIRY } else { self.expiry };
        is_due
    }

    /// Whether a problem of the companion is to be logged.
    pub(super) fn may_complain(&mut self) -> bool {
        let now = Instant::now();
        let may = now >= self.complaint;
        self.complaint = if may { now + COMPLAINTS } else { self.complaint };
        may
    }

    /// Uses this connection to the companion from now on.
    pub(super) fn join(&mut self, number: u64, companion: SyncSender<String>) {
        self.companion = Some((number, companion));
        self.forget_companion();
    }

    /// Forgets this connection to the companion, unless another has replaced it.
    pub(super) fn leave(&mut self, number: u64) {
        if self.companion.take_if(|(current, _)| *current == number).is_some() {
            self.forget_companion();
        }
    }

    /// Whether a companion is connected.
    pub(super) const fn is_joined(&self) -> bool {
        self.companion.is_some()
    }

    /// Sends a line to the companion. One that doesn't read has to connect again.
    pub(super) fn tell(&mut self, line: String) {
        self.tell_released();
        self.send(line);
    }

    fn send(&mut self, line: String) {
        if self.companion.take_if(|(_, companion)| companion.try_send(line).is_err()).is_some() {
            self.forget_companion();
        }
    }

    fn forget_companion(&mut self) {
        self.report = None;
        self.ways.clear();
        self.released.clear();
        self.refused.clear();
    }

    /// Records that a block is over. The companion, which may have published it, is told with the next line.
    pub(super) fn note_release(&mut self, Record { network, hold }: &Record) {
        if self.is_joined() && !hold.is_fence {
            self.released.push(network.addr());
        }
    }

    /// Records that a gateway's words were not heard: as news, or of the fleet's state. The companion is told at the next tick, and
    /// says them again.
    pub(super) fn note_refusal(&mut self, gateway: &Gateway, is_state: bool) {
        if self.is_joined() {
            self.refused.insert((gateway.clone(), is_state));
        }
    }

    /// Tells the companion whose words were refused.
    pub(super) fn tell_refused(&mut self) {
        for (gateway, is_state) in mem::take(&mut self.refused) {
            self.send(line(json!({"word": "refused", "gateway": gateway, "state": is_state})));
        }
    }

    /// Tells the companion which blocks are over.
    pub(super) fn tell_released(&mut self) {
        let released = mem::take(&mut self.released);
        for some in released.chunks(AT_ONCE) {
            self.send(line(json!({"word": "released", "addresses": some})));
        }
    }

    /// Returns the fleet's part of the metrics; `None` without a `SHARE_SOCKET`.
    pub(super) fn stats(&self) -> Option<FleetStats> {
        let peers = self.peers.iter().map(|(number, peer)| PeerStats {
            gateway: peer.gateway.name().to_owned(),
            is_held: peer.held.is_some(),
            blocks: self.peers.count(number),
            in_force: self.peers.in_force(number),
            offset: peer.offset,
            heard: peer.heard,
            accepted: peer.accepted,
            refused: peer.refused.iter().map(|(reason, count)| (reason.name(), *count)).collect(),
        });
        let share = self.report.as_ref().map(|report| ShareStats {
            servers: report.servers.len(),
            connected: report.servers.iter().filter(|server| server.connected).count(),
            waiting: report.waiting,
            certificate: report.certificate,
        });
        let is_joined = self.is_joined();
        self.is_on.then(|| FleetStats { is_joined, share, peers: peers.collect() })
    }

    /// Whether this gateway shares a block. It doesn't share fences, networks and private addresses.
    pub(super) fn shares(&self, Record { network, hold }: &Record, scope: &Scope) -> bool {
        let is_wanted = match (self.share, hold.proof) {
            (ShareBlocks::Off, _) | (_, Proof::None) => false,
            (_, Proof::Cookie | Proof::Connection) => true,
            (share, Proof::Administrator) => share == ShareBlocks::All,
        };
        is_wanted && !hold.is_fence && may_tell(scope, *network)
    }

    /// Returns the reason for a peer's block, in words.
    pub(super) fn reason(&self, Enforced { number, claim, .. }: &Enforced) -> String {
        let gateway = self.peers.peer(*number).map_or("another", |peer| peer.gateway.name());
        let proof = Proof::try_from(claim.proof).map_or("unknown", Proof::description);
        format!("gateway {gateway} blocks it ({proof})")
    }
}

/// Returns the value as a line of the companion's protocol.
pub(super) fn line(mut value: Value) -> String {
    value["v"] = Word::VERSION.into();
    format!("{value}\n")
}

/// Whether words about a network mean the same at other gateways: it is a single source, and its address is public.
pub(super) fn may_tell(scope: &Scope, network: IpNet) -> bool {
    (is_host(network) || scope.is_prefix(network)) && may_be_shared(network.addr())
}

/// Returns the host's name, up to its first dot, if it can be a gateway's.
fn host() -> Gateway {
    let name = crate::host::name().unwrap_or_default();
    name.split('.')
        .next()
        .filter(|name| !OTHERS.contains(name))
        .and_then(|name| name.to_owned().try_into().ok())
        .unwrap_or_default()
}
