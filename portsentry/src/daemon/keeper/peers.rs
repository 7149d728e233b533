//! What follows from the words of other gateways, in the kernel's maps and for own blocks.

mod asked;
mod companion;
mod map;

use std::{mem, time::SystemTime};

use ipnet::IpNet;

use super::{Keeper, listed::Listed, scope::Scope};
use crate::policy::{
    Register, is_host,
    peers::{Change, Millis, View, millis_of},
    register::Release,
};

/// What takes precedence over peers.
struct Here<'a> {
    scope: &'a Scope,
    register: &'a Register,
    listed: &'a Listed,
}

impl View for Here<'_> {
    fn is_exempt(&self, network: IpNet) -> bool {
        let exempt = self.scope.exempt();
        exempt.cover(network) || (!is_host(network) && exempt.are_within(network))
    }

    fn is_own(&self, network: IpNet, is_fence: bool) -> bool {
        let hold = self.register.ledger().get(network);
        hold.is_some_and(|hold| !hold.is_fence || is_fence) || self.listed.names(network)
    }
}

impl Keeper {
    /// Brings the kernel's maps into step with what peers say about these networks.
    pub(super) fn settle(&mut self, networks: impl IntoIterator<Item = IpNet>) -> usize {
        let Self { scope, register, listed, outside, .. } = self;
        let changes = outside.fleet.peers.settle(networks, &Here { scope, register, listed }, millis());
        let count = changes.len();
        self.carry_out_peers(changes);
        count
    }

    /// Settles everything, as after a change of the exempt networks.
    pub(super) fn settle_all(&mut self) {
        let networks = self.outside.fleet.peers.networks();
        self.settle(networks);
    }

    /// Returns the peers' block or fence that is to be in force as soon as the own one of this network is not.
    pub(super) fn succeed(&mut self, network: IpNet) -> Vec<Change> {
        let Self { scope, register, listed, outside, .. } = self;
        outside.fleet.peers.give_way(network);
        outside.fleet.peers.settle([network], &Here { scope, register, listed }, millis())
    }

    /// Releases own blocks that the fleet has lifted or exempted.
    pub(super) fn release_unwanted(&mut self) {
        for (network, reason) in mem::take(&mut self.outside.fleet.unwanted) {
            if self.register.ledger().holds(network) {
                self.release(Release::Fleet, network, &reason);
            }
        }
    }

    /// Forgets what is over, and releases own blocks that the fleet has lifted.
    pub(super) fn tick_fleet(&mut self) {
        self.release_unwanted();
        self.outside.fleet.tell_released();
        self.outside.fleet.tell_refused();
        for message in self.outside.fleet.naming.messages() {
            self.journal.note(&message);
        }
        if self.outside.fleet.is_expiry_due() {
            let over = self.outside.fleet.peers.expire(millis());
            self.settle(over);
        }
    }

    /// Lifts a network's blocks here, those of peers included, and tells the fleet unless the administrator's request
    /// concerns only this gateway. Returns whether peers' blocks were in force.
    pub(super) fn lift_for_fleet(&mut self, network: IpNet) -> bool {
        let fleet = &mut self.outside.fleet;
        let now = millis();
        let mut claimed = fleet.peers.within(network);
        if is_host(network) {
            claimed.extend(fleet.peers.within(self.scope.network_of(network.addr())));
        }
        // A peer may yet say a block that began before.
        let own = self.register.ledger().within(network).filter(|_| fleet.is_on);
        let lifted: Vec<IpNet> = claimed.iter().copied().chain(own).collect();
        for network in lifted {
            if fleet.is_here {
                fleet.peers.lift_only_here(network, now);
            } else {
                fleet.peers.lift_here(network, now);
            }
        }
        self.share_lifts(&claimed, now);
        self.settle(claimed) > 0
    }
}

/// Returns the wall clock's time.
pub(super) fn millis() -> Millis {
    millis_of(SystemTime::now())
}
