//! An administrator's requests about the fleet.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use portsentry_common::{
    block::Proof,
    classify::{Kind, Protocol},
};
use serde_json::{Value, json};

use super::{super::Keeper, Here, millis};
use crate::{
    control::{Answer, Code, PeerAction, Refusal},
    inspect::fleet as inspect,
    instant::Time,
    policy::{
        kind_name, name_of,
        peers::{Claim, Gateway, Hold, Peer, Standing, time_of},
    },
};

impl Keeper {
    /// Returns what is known about the other gateways.
    pub(in super::super) fn report_peers(&self) -> Value {
        let fleet = &self.outside.fleet;
        let peers = fleet.peers.iter().map(|(number, peer)| inspect::Peer {
            gateway: peer.gateway.to_string(),
            trust: peer.trust.map(|trust| trust.name().into()),
            held: peer.held.map(|held| held.name().into()),
            blocks: fleet.peers.count(number),
            in_force: fleet.peers.in_force(number),
            heard: peer.heard.map(|heard| Time(time_of(heard))),
            clock: peer.offset,
            accepted: peer.accepted,
            refused: peer.refused.iter().map(|(reason, count)| (reason.name().into(), *count)).collect(),
        });
        let allowed = fleet.peers.allowed().filter(|(_, word)| word.allowed);
        let report = inspect::Fleet {
            gateway: fleet.name.to_string(),
            shares: fleet.is_on,
            companion: fleet.is_joined(),
            report: fleet.report.clone(),
            ways: fleet.ways.clone(),
            peers: peers.collect(),
            allowed: allowed.map(|(network, _)| name_of(network)).collect(),
        };
        serde_json::to_value(report).unwrap_or_default()
    }

    /// Returns what the other gateways say about an address.
    pub(in super::super) fn report_claims(&self, address: IpAddr) -> Value {
        let Self { scope, register, listed, outside, .. } = self;
        let here = Here { scope, register, listed };
        let networks = BTreeSet::from([address.into(), scope.network_of(address)]);
        let standings = networks.iter().flat_map(|network| {
            let all = outside.fleet.peers.standings(*network, &here, millis());
            all.map(|(peer, claim, standing)| claimed(*network, peer, &claim, standing))
        });
        json!(standings.collect::<Vec<_>>())
    }

    /// Holds or releases a gateway, or forgets what it said.
    pub(in super::super) fn judge_peer(&mut self, name: &str, action: PeerAction) -> Answer {
        let peers = &mut self.outside.fleet.peers;
        let gateway =
            Gateway::try_from(name.to_owned()).map_err(|problem| Refusal::new(Code::Refused, problem))?;
        let concerned = match action {
            PeerAction::Hold => peers.hold(&gateway, Some(Hold::Administrator)),
            PeerAction::Release => peers.hold(&gateway, None),
            PeerAction::Forget => peers.forget(&gateway),
        };
        let unknown = || Refusal::new(Code::Refused, format!("gateway {gateway} has said nothing so far"));
        let changed = self.settle(concerned.ok_or_else(unknown)?);
        if action == PeerAction::Release {
            // Its words were ignored while it was held.
            self.outside.fleet.note_refusal(&gateway, true);
        }
        let done = match action {
            PeerAction::Hold => "is held: its words are ignored",
            PeerAction::Release => "is held no longer",
            PeerAction::Forget => "is forgotten",
        };
        self.journal.note(&format!("Gateway {gateway} {done}; {changed} blocks and fences changed"));
        self.schedule.flush_now();
        self.flush();
        Ok(json!({"changed": changed}))
    }

    /// Exempts networks in the fleet, or no longer.
    pub(in super::super) fn allow_all(&mut self, networks: &[IpNet], allowed: bool) -> Answer {
        let (changed, details): (Vec<IpNet>, Vec<IpNet>) =
            networks.iter().partition(|network| self.allow_in_fleet(**network, allowed));
        self.schedule.flush_now();
        self.flush();
        let [changed, details] =
            [changed, details].map(|networks| networks.into_iter().map(name_of).collect::<Vec<_>>());
        if details.is_empty() {
            return Ok(json!({"changed": changed}));
        }
        Err(Refusal {
            details,
            ..Refusal::new(Code::Failed, "the fleet's allow list is full, or has a later word")
        })
    }
}

fn claimed(network: IpNet, peer: &Peer, claim: &Claim, standing: Standing) -> inspect::Claimed {
    // An administrator's block has neither port nor kind.
    let protocol = Protocol::try_from(claim.protocol).ok().filter(|_| claim.port != 0);
    inspect::Claimed {
        gateway: peer.gateway.to_string(),
        network: name_of(network),
        since: Time(time_of(claim.since)),
        until: Time(time_of(claim.until)),
        proof: Proof::try_from(claim.proof).map_or("unknown", Proof::name).into(),
        kind: Kind::try_from(claim.kind).ok().map(|kind| kind_name(kind).into()),
        port: protocol.map(|_| claim.port),
        protocol: protocol.map(|protocol| protocol.name().into()),
        standing: standing.name().into(),
    }
}
