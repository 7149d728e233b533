//! The other gateways of a fleet: what they say about sources, and what follows from it. The result depends neither
//! on the order nor on the repetition of their words.

mod claim;
mod enforced;
mod peer;
mod quota;
mod rules;
mod word;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;

use self::quota::Quota;
pub use self::{
    claim::{Allowed, Claim, Enforced, HERE, Millis, Number, ONLY_HERE, millis_of, time_of},
    enforced::{Change, Standing, View},
    peer::{Hold, Peer},
    rules::Rules,
    word::{Gateway, Refused, Said, Word, is_private, may_be_shared},
};
use super::networks::Networks;
pub use crate::config::Trust;

/// Maximum number of gateways.
const GATEWAYS: usize = 16_384;
/// Maximum number of networks about which a word `allow` is remembered.
const ALLOWED: usize = 4096;
/// Maximum number of lifts of administrators of this gateway that are remembered: of those for the fleet, and of those
/// for this gateway alone.
const LIFTED_HERE: usize = 65_536;

/// What outlives the daemon in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// A peer with its number.
    Peer(Number, Gateway, Option<Hold>),
    /// An administrator of this gateway lifted a source's blocks.
    Lift {
        /// The source.
        network: IpNet,
        /// The moment.
        at: Millis,
        /// Whether the fleet isn't told.
        is_only_here: bool,
    },
    /// An administrator of the fleet exempted a network, or does so no longer.
    Allow(IpNet, Allowed),
}

/// The peers and what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    rules: Rules,
    known: BTreeMap<Number, Peer>,
    numbers: BTreeMap<Gateway, Number>,
    claims: Quota<Claim>,
    /// The moments at which an administrator lifted blocks.
    lifts: Quota<Millis>,
    allowed: Networks<Allowed>,
    enforced: BTreeMap<IpNet, Enforced>,
    /// Numbers of entries in `enforced`, by peer.
    in_force: BTreeMap<Number, usize>,
    revision: u64,
}

impl Peers {
    /// Creates the state without peers.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            known: BTreeMap::new(),
            numbers: BTreeMap::new(),
            claims: Quota::default(),
            lifts: Quota::default(),
            allowed: Networks::default(),
            enforced: BTreeMap::new(),
            in_force: BTreeMap::new(),
            revision: 0,
        }
    }

    /// Returns the peers, by number.
    pub fn iter(&self) -> impl Iterator<Item = (Number, &Peer)> {
        self.known.iter().map(|(number, peer)| (*number, peer))
    }

    /// Returns the peer with this number.
    #[must_use]
    pub fn peer(&self, number: Number) -> Option<&Peer> {
        self.known.get(&number)
    }

    /// Returns the peer with this name.
    #[must_use]
    pub fn named(&self, gateway: &Gateway) -> Option<&Peer> {
        self.peer(*self.numbers.get(gateway)?)
    }

    /// Returns the number of a peer's claims.
    #[must_use]
    pub fn count(&self, number: Number) -> usize {
        self.claims.count(number)
    }

    /// Returns the number of changes to the state that outlives the daemon: names, numbers, held peers, lifts of this
    /// gateway, exempt networks.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the networks that are exempt in the whole fleet, or no longer.
    pub fn allowed(&self) -> impl Iterator<Item = (IpNet, Allowed)> {
        self.allowed.iter().map(|(network, allowed)| (network, *allowed))
    }

    /// Returns the lifts of this gateway's administrators, of which the fleet is told.
    pub fn lifted_here(&self) -> impl Iterator<Item = (IpNet, Millis)> {
        self.lifts.of_peer(HERE).map(|(at, network)| (network, at))
    }

    /// Returns the lifts of this gateway's administrators, of which the fleet isn't told.
    pub fn lifted_only_here(&self) -> impl Iterator<Item = (IpNet, Millis)> {
        self.lifts.of_peer(ONLY_HERE).map(|(at, network)| (network, at))
    }

    /// Enters a peer with a known number.
    pub fn restore(&mut self, number: Number, gateway: Gateway, held: Option<Hold>) {
        let trust = self.rules.trusted.trust(gateway.name());
        self.numbers.insert(gateway.clone(), number);
        self.known.insert(number, Peer::new(gateway, trust, held));
    }

    /// Enters what an earlier run has recorded.
    pub fn recall_all(&mut self, lines: Vec<Recorded>) {
        for line in lines {
            match line {
                Recorded::Peer(number, gateway, held) => self.restore(number, gateway, held),
                Recorded::Lift { network, at, is_only_here: false } => self.lift_here(network, at),
                Recorded::Lift { network, at, is_only_here: true } => self.lift_only_here(network, at),
                Recorded::Allow(network, said) => drop(self.allow(network, said)),
            }
        }
    }

    /// Enters a block or fence found in the kernel's map. Returns `false` if its peer is unknown.
    pub fn recall(&mut self, network: IpNet, enforced: Enforced) -> bool {
        let is_known = self.known.contains_key(&enforced.number);
        if is_known {
            let limits = (self.rules.each, self.rules.all);
            self.claims.say(enforced.number, network, enforced.claim, limits);
            self.enforce(network, Some(enforced));
        }
        is_known
    }

    /// Hears a word. `network_of` returns the network by which a source is blocked here. Returns the networks about
    /// which something has changed.
    pub fn hear(
        &mut self,
        word: &Word,
        network_of: impl Fn(IpAddr) -> IpNet,
        now: Millis,
    ) -> BTreeSet<IpNet> {
        let Some(number) = self.number(word.gateway()) else { return BTreeSet::new() };
        let limits = (self.rules.each, self.rules.all);
        let Some(peer) = self.known.get_mut(&number) else { return BTreeSet::new() };
        let was_held = peer.held.is_some();
        let rate = (self.rules.rate, self.rules.state);
        if !peer.admit(word.count(), word.is_state(), rate, now) {
            let is_held = peer.held.is_some();
            self.revision += u64::from(was_held != is_held);
            // Its blocks are suspended.
            return if was_held == is_held { BTreeSet::new() } else { self.networks_of(number) };
        }
        match word {
            Word::Block { blocks, .. } => {
                let (offset, longest) = (peer.offset, self.rules.longest);
                let mut changed = BTreeSet::new();
                for said in blocks {
                    match said.claim(offset, longest, now) {
                        Ok(claim) => {
                            changed.extend(self.claims.say(number, network_of(said.address), claim, limits));
                        }
                        Err(reason) => peer.refuse(reason, 1),
                    }
                }
                changed
            }
            Word::Lift { addresses, at, .. } => {
                let at = at.saturating_add_signed(peer.offset).min(now);
                let says_so = peer.trust == Some(Trust::Block);
                let mut changed = BTreeSet::new();
                for address in addresses {
                    if !says_so || !may_be_shared(*address) {
                        peer.refuse(if says_so { Refused::Address } else { Refused::Trust }, 1);
                        continue;
                    }
                    changed.extend(self.lifts.say(number, network_of(*address), at, limits));
                }
                changed
            }
            // As with a lift, the gateway could free any source.
            Word::Allow { .. } if peer.trust != Some(Trust::Block) => {
                peer.refuse(Refused::Trust, 1);
                BTreeSet::new()
            }
            Word::Allow { network, at, allowed, .. } => {
                let at = at.saturating_add_signed(peer.offset).min(now);
                self.allow(*network, Allowed { at, allowed: *allowed }).unwrap_or_default()
            }
            Word::Beat { clock, .. } => {
                peer.beat(*clock, now);
                BTreeSet::new()
            }
        }
    }

    /// Lifts a network's blocks that began before `at`, as an administrator of this gateway asks for the fleet.
    pub fn lift_here(&mut self, network: IpNet, at: Millis) {
        self.lift(HERE, network, at);
    }

    /// Lifts a network's blocks that began before `at`, as an administrator asks for this gateway alone.
    pub fn lift_only_here(&mut self, network: IpNet, at: Millis) {
        self.lift(ONLY_HERE, network, at);
    }

    fn lift(&mut self, number: Number, network: IpNet, at: Millis) {
        self.lifts.say(number, network, at, (LIFTED_HERE, usize::MAX));
        self.revision += 1;
    }

    /// Exempts a network, or no longer. Returns the networks that this concerns, or `None` if there is no room or a
    /// later word is known.
    pub fn allow(&mut self, network: IpNet, said: Allowed) -> Option<BTreeSet<IpNet>> {
        match self.allowed.get(network) {
            Some(known) if *known > said => return None,
            Some(known) if *known == said => return Some(BTreeSet::new()),
            None if self.allowed.iter().count() >= ALLOWED => return None,
            Some(_) | None => {}
        }
        self.allowed.insert(network, said);
        self.revision += 1;
        Some(self.claims.within(network).collect())
    }

    /// Returns the last word about exactly this network.
    #[must_use]
    pub fn said_of(&self, network: IpNet) -> Option<Allowed> {
        self.allowed.get(network).copied()
    }

    /// Whether an administrator of the fleet has exempted a network. The narrowest word counts.
    #[must_use]
    pub fn is_allowed(&self, network: IpNet) -> bool {
        self.allowed.around(network).is_some_and(|word| word.allowed)
    }

    /// Returns the latest moment at which an administrator lifted a network's blocks.
    #[must_use]
    pub fn lifted(&self, network: IpNet) -> Option<Millis> {
        self.lifts.about(network).map(|(_, at)| at).max()
    }

    /// Holds a peer, or releases it. Returns the networks that this concerns, or `None` for an unknown peer.
    pub fn hold(&mut self, gateway: &Gateway, held: Option<Hold>) -> Option<BTreeSet<IpNet>> {
        let number = *self.numbers.get(gateway)?;
        self.known.get_mut(&number)?.held = held;
        self.revision += 1;
        Some(self.networks_of(number))
    }

    /// Forgets what a peer said. Returns the networks that this concerns, or `None` for an unknown peer.
    pub fn forget(&mut self, gateway: &Gateway) -> Option<BTreeSet<IpNet>> {
        let number = *self.numbers.get(gateway)?;
        let lifts = self.lifts.forget(number);
        Some(self.claims.forget(number).into_iter().chain(lifts).collect())
    }

    /// Forgets claims that are over, and lifts that no claim can precede any more. Returns their networks.
    pub fn expire(&mut self, now: Millis) -> BTreeSet<IpNet> {
        let longest = u64::try_from(self.rules.longest.as_millis()).unwrap_or(u64::MAX);
        self.lifts.expire(|at| at.saturating_add(longest) < now);
        self.claims.expire(|claim| claim.until <= now).into_iter().collect()
    }

    /// Returns the networks about which something is said or enforced.
    #[must_use]
    pub fn networks(&self) -> BTreeSet<IpNet> {
        self.claims.networks().chain(self.enforced.keys().copied()).collect()
    }

    /// Returns the networks in `network`, itself included, about which something is said.
    #[must_use]
    pub fn within(&self, network: IpNet) -> Vec<IpNet> {
        self.claims.within(network).collect()
    }

    fn networks_of(&self, number: Number) -> BTreeSet<IpNet> {
        self.claims.of_peer(number).map(|(_, network)| network).collect()
    }

    /// Returns the number of a gateway: a new one for its first word.
    fn number(&mut self, gateway: &Gateway) -> Option<Number> {
        if let Some(number) = self.numbers.get(gateway) {
            return Some(*number);
        }
        if self.known.len() >= GATEWAYS {
            return None;
        }
        let last = self.known.last_key_value().map_or(HERE, |(last, _)| *last);
        let number = (last + 1..ONLY_HERE).next()?;
        self.restore(number, gateway.clone(), None);
        self.revision += 1;
        Some(number)
    }
}

#[cfg(test)]
mod tests;
