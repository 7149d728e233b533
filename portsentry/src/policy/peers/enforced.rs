//! What follows from the peers' words for a network, and the changes of the kernel's maps.

use std::cmp::Reverse;

use ipnet::IpNet;

use super::{Claim, Enforced, Millis, Number, Peer, Peers, Trust};

/// What takes precedence over peers.
pub trait View {
    /// Whether a network is never blocked here: it holds an address of this host, a gateway, a name server, or an
    /// ignored network.
    fn is_exempt(&self, network: IpNet) -> bool;

    /// Whether this gateway blocks the network itself: with `is_fence` also if it fences it.
    fn is_own(&self, network: IpNet, is_fence: bool) -> bool;
}

/// A change of the kernel's maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A peer's block or fence is entered. An earlier one in the other map is removed.
    Enter {
        /// The network.
        network: IpNet,
        /// The block or fence.
        enforced: Enforced,
        /// Whether no peer's block or fence was in force before.
        is_new: bool,
    },
    /// It is removed.
    Leave {
        /// The network.
        network: IpNet,
        /// The block or fence.
        enforced: Enforced,
    },
}

/// What becomes of a peer's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in force.
    InForce,
    /// An own block, or another peer's, has precedence.
    Covered,
    /// The network is exempt here or in the fleet.
    Exempt,
    /// It began before an administrator lifted it.
    Lifted,
    /// Its peer is held, or not trusted to block.
    Ignored,
    /// It has ended.
    Over,
}

impl Standing {
    /// Returns the name for people and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InForce => "in force",
            Self::Covered => "covered",
            Self::Exempt => "exempt",
            Self::Lifted => "lifted",
            Self::Ignored => "ignored",
            Self::Over => "over",
        }
    }
}

impl Peers {
    /// Returns what peers say about a network, and what becomes of it.
    pub fn standings<'a>(
        &'a self,
        network: IpNet,
        view: &'a impl View,
        now: Millis,
    ) -> impl Iterator<Item = (&'a Peer, Claim, Standing)> {
        let enforced = self.enforced(network).map(|enforced| (enforced.number, enforced.claim));
        let lifted = self.lifted(network).unwrap_or(0);
        self.claims.about(network).filter_map(move |(number, claim)| {
            let peer = self.peer(number)?;
            let standing = if claim.until <= now {
                Standing::Over
            } else if peer.counts().is_none() {
                Standing::Ignored
            } else if claim.first < lifted {
                Standing::Lifted
            } else if view.is_exempt(network) || self.is_allowed(network) {
                Standing::Exempt
            } else if enforced == Some((number, claim)) {
                Standing::InForce
            } else {
                Standing::Covered
            };
            Some((peer, claim, standing))
        })
    }

    /// Returns the block or fence that follows from the peers' words: nothing for a network that is exempt here or in
    /// the fleet, or if each block began before an administrator lifted it; otherwise the one that ends last. Blocks
    /// come before fences.
    #[must_use]
    pub fn wanted(&self, network: IpNet, view: &impl View, now: Millis) -> Option<Enforced> {
        let lifted = self.lifted(network).unwrap_or(0);
        let claims =
            self.claims.about(network).filter(|(_, claim)| claim.first >= lifted && claim.until > now);
        let claims = claims.filter_map(|(number, claim)| {
            let is_fence = self.peer(number)?.counts()? != Trust::Block;
            Some(Enforced { number, claim, is_fence })
        });
        let wanted = claims.max_by_key(|it| (!it.is_fence, it.claim.until, it.claim, Reverse(it.number)))?;
        (!view.is_exempt(network) && !self.is_allowed(network)).then_some(wanted)
    }

    /// Returns the changes of the kernel's maps for these networks, and records them as done. An own block or fence
    /// stays as it is.
    pub fn settle(
        &mut self,
        networks: impl IntoIterator<Item = IpNet>,
        view: &impl View,
        now: Millis,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for network in networks {
            let wanted =
                self.wanted(network, view, now).filter(|wanted| !view.is_own(network, wanted.is_fence));
            let before = self.enforced.get(&network).copied();
            match (before, wanted) {
                (Some(before), None) => {
                    self.enforce(network, None);
                    changes.push(Change::Leave { network, enforced: before });
                }
                (before, Some(enforced)) if before != Some(enforced) => {
                    self.enforce(network, Some(enforced));
                    changes.push(Change::Enter { network, enforced, is_new: before.is_none() });
                }
                _ => {}
            }
        }
        changes
    }

    /// Returns the peer's block or fence of a network that is in the kernel's map.
    #[must_use]
    pub fn enforced(&self, network: IpNet) -> Option<&Enforced> {
        self.enforced.get(&network)
    }

    /// Records that a network's entry in the kernel's map is this gateway's own now.
    pub fn give_way(&mut self, network: IpNet) {
        self.enforce(network, None);
    }

    /// Returns the number of a peer's blocks and fences in force.
    #[must_use]
    pub fn in_force(&self, number: Number) -> usize {
        self.in_force.get(&number).copied().unwrap_or_default()
    }

    /// Records what is in force for a network.
    pub(super) fn enforce(&mut self, network: IpNet, enforced: Option<Enforced>) {
        let before = match enforced {
            Some(enforced) => {
                *self.in_force.entry(enforced.number).or_default() += 1;
                self.enforced.insert(network, enforced)
            }
            None => self.enforced.remove(&network),
        };
        if let Some(count) = before.and_then(|before| self.in_force.get_mut(&before.number)) {
            *count -= 1;
        }
    }
}
