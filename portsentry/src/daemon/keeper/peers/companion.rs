//! What the companion says, and what it is told.

use std::{collections::BTreeSet, net::IpAddr, sync::mpsc::SyncSender};

use ipnet::IpNet;
use serde_json::json;

use super::{
    super::{
        Keeper,
        fleet::{AT_ONCE, Fleet, line, may_tell},
    },
    millis,
};
use crate::{
    daemon::message::Companion,
    policy::{
        Record,
        peers::{Allowed, Gateway, Millis, Peer, Refused, Said, Trust, Word, millis_of},
    },
};

impl Keeper {
    pub(in super::super) fn on_companion(&mut self, said: Companion) {
        match said {
            Companion::Joined(number, sender) => self.on_joined(number, sender),
            Companion::Said(word, _heard) => self.on_word(&word),
            Companion::Reported(report) => self.outside.fleet.report = Some(report),
            Companion::Ways(ways) => self.outside.fleet.ways = ways,
            Companion::Left(number, problem) => {
                self.outside.fleet.leave(number);
                if let Some(problem) = problem
                    && self.outside.fleet.may_complain()
                {
                    self.journal.error(&format!("the connection at SHARE_SOCKET ended: {problem}"));
                }
            }
        }
    }

    /// Tells the companion the whole state of this gateway.
    fn on_joined(&mut self, number: u64, sender: SyncSender<String>) {
        self.outside.fleet.join(number, sender);
        let gateway = self.outside.fleet.name.clone();
        let version = env!("CARGO_PKG_VERSION");
        self.outside.fleet.tell(line(
            json!({"word": "hello", "gateway": gateway, "version": version, "prefix": self.scope.prefix()}),
        ));
        let records = self.register.ledger().records();
        let shared = records.filter(|record| self.outside.fleet.shares(record, &self.scope));
        let mut lines: Vec<String> = Vec::new();
        let mut blocks: Vec<Said> = Vec::new();
        for record in shared {
            blocks.push(self.said(&record));
            if blocks.len() == AT_ONCE {
                let blocks = std::mem::take(&mut blocks);
                lines.push(speak(&Word::Block {
                    gateway: gateway.clone(),
                    state: true,
                    said: millis(),
                    blocks,
                }));
            }
        }
        if !blocks.is_empty() {
            lines.push(speak(&Word::Block { gateway: gateway.clone(), state: true, said: millis(), blocks }));
        }
        let lifted = self.outside.fleet.peers.lifted_here();
        for (network, at) in lifted.filter(|(network, _)| may_tell(&self.scope, *network)) {
            lines.push(speak(&Word::Lift {
                gateway: gateway.clone(),
                state: true,
                addresses: vec![network.addr()],
                at,
            }));
        }
        for (network, Allowed { at, allowed }) in self.outside.fleet.peers.allowed() {
            lines.push(speak(&Word::Allow { gateway: gateway.clone(), state: true, network, at, allowed }));
        }
        lines.push(line(json!({"word": "synced"})));
        // More lines than the queue to the companion has room for.
        lines.chunks(AT_ONCE).for_each(|some| self.outside.fleet.tell(some.concat()));
    }

    fn on_word(&mut self, word: &Word) {
        let now = millis();
        let Self { outside, scope, .. } = self;
        let gateway = word.gateway();
        let held = |fleet: &Fleet| fleet.peers.named(gateway).is_some_and(|peer| peer.held.is_some());
        let exempt = |fleet: &Fleet| match word {
            Word::Allow { network, .. } => fleet.peers.said_of(*network),
            Word::Block { .. } | Word::Lift { .. } | Word::Beat { .. } => None,
        };
        // What this gateway said returns to it from the fleet's state.
        if *gateway == outside.fleet.name {
            return;
        }
        let refused = |fleet: &Fleet| {
            fleet.peers.named(gateway).and_then(|peer| peer.refused.get(&Refused::Rate).copied())
        };
        let (was_held, was_exempt) = (held(&outside.fleet), exempt(&outside.fleet));
        let were_refused = refused(&outside.fleet);
        let changed = outside.fleet.peers.hear(word, |source| scope.network_of(source), now);
        if refused(&outside.fleet) != were_refused && !held(&outside.fleet) {
            outside.fleet.note_refusal(gateway, word.is_state());
        }
        if !was_held && held(&outside.fleet) {
            self.journal.error(&format!(
                "gateway {gateway} is held, because it exceeds PEER_RATE tenfold: its blocks are suspended until \
                 `portsentry peers release {gateway}`"
            ));
        }
        match word {
            Word::Lift { addresses, .. } => {
                let networks: Vec<IpNet> =
                    addresses.iter().map(|address| self.scope.network_of(*address)).collect();
                self.release_lifted(&networks, gateway);
            }
            Word::Allow { network, .. } if exempt(&self.outside.fleet) != was_exempt => {
                self.release_allowed(*network);
            }
            Word::Block { .. } | Word::Allow { .. } | Word::Beat { .. } => {}
        }
        self.settle(changed);
    }

    /// Releases own blocks that the fleet has lifted: those that this gateway shares.
    fn release_lifted(&mut self, networks: &[IpNet], gateway: &Gateway) {
        let fleet = &self.outside.fleet;
        if fleet.peers.named(gateway).and_then(Peer::counts) != Some(Trust::Block) {
            return;
        }
        let lifted = networks.iter().filter_map(|network| {
            let hold = *self.register.ledger().get(*network)?;
            let at = fleet.peers.lifted(*network)?;
            let is_shared = fleet.shares(&Record { network: *network, hold }, &self.scope);
            (is_shared && millis_of(hold.since) < at).then_some(*network)
        });
        let lifted: BTreeSet<IpNet> = lifted.collect();
        let reason = format!("an administrator lifted it at gateway {gateway}");
        let unwanted = lifted.into_iter().map(|network| (network, reason.clone()));
        self.outside.fleet.unwanted.extend(unwanted);
        self.release_unwanted();
    }

    /// Releases own blocks in a network on the fleet's allow list: those that this gateway shares.
    fn release_allowed(&mut self, network: IpNet) {
        let Self { outside, register, scope, .. } = self;
        let ledger = register.ledger();
        let records = ledger.within(network);
        let records = records.filter_map(|network| Some(Record { network, hold: *ledger.get(network)? }));
        let shared = records.filter(|record| outside.fleet.shares(record, scope));
        let allowed = shared.filter(|record| outside.fleet.peers.is_allowed(record.network));
        let unwanted: Vec<_> = allowed.map(|record| (record.network, ALLOWED.to_owned())).collect();
        outside.fleet.unwanted.extend(unwanted);
        self.release_unwanted();
    }

    /// Tells the fleet a block of this gateway.
    pub(in super::super) fn share_block(&mut self, record: &Record) {
        if !self.outside.fleet.shares(record, &self.scope) {
            return;
        }
        if self.outside.fleet.peers.is_allowed(record.network) {
            self.outside.fleet.unwanted.push((record.network, ALLOWED.to_owned()));
            return;
        }
        if self.outside.fleet.is_joined() {
            let (gateway, blocks) = (self.outside.fleet.name.clone(), vec![self.said(record)]);
            self.outside.fleet.tell(speak(&Word::Block { gateway, state: false, said: millis(), blocks }));
        }
    }

    /// Tells the fleet that an administrator has lifted networks' blocks, unless that concerns only this gateway.
    pub(in super::super) fn share_lifts(&mut self, networks: &[IpNet], at: Millis) {
        let fleet = &mut self.outside.fleet;
        if fleet.is_here || !fleet.is_joined() {
            return;
        }
        let told = networks.iter().filter(|network| may_tell(&self.scope, **network));
        let addresses: Vec<IpAddr> = told.map(IpNet::addr).collect();
        for some in addresses.chunks(AT_ONCE) {
            let (gateway, addresses) = (fleet.name.clone(), some.to_vec());
            fleet.tell(speak(&Word::Lift { gateway, state: false, addresses, at }));
        }
    }

    /// Exempts a network in the fleet, or no longer. Returns whether that was possible.
    pub(in super::super) fn allow_in_fleet(&mut self, network: IpNet, allowed: bool) -> bool {
        let at = millis();
        let Some(changed) = self.outside.fleet.peers.allow(network, Allowed { at, allowed }) else {
            return false;
        };
        self.release_allowed(network);
        self.settle(changed);
        let gateway = self.outside.fleet.name.clone();
        self.outside.fleet.tell(speak(&Word::Allow { gateway, state: false, network, at, allowed }));
        true
    }

    fn said(&self, record: &Record) -> Said {
        let block = self.kernel.blocked.get(record.source()).ok().flatten();
        Said::new(record, block.and_then(|block| block.kind.try_into().ok()))
    }
}

const ALLOWED: &str = "the fleet's allow list names it";

fn speak(word: &Word) -> String {
    line(serde_json::to_value(word).unwrap_or_default())
}
