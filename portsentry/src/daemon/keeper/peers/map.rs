//! Peers' blocks and fences in the kernel's maps, in batches.

use std::{
    net::IpAddr,
    time::{Instant, SystemTime},
};

use ipnet::IpNet;
use portsentry_common::{
    block::{Block, Origin},
    judge::SourceState,
};

use super::{
    super::{
        Keeper,
        peer_entries::{claim_of, peer_entry, record},
    },
    millis,
};
use crate::{
    kernel::{self, Blocked, Found, Moment},
    policy::{
        network_of,
        peers::{Change, Enforced},
        register::{self, Admission, Case, Effect, Entry, Kills, Release, Why},
    },
    sink::peer_file,
};

impl Keeper {
    /// Takes over the peers, and their blocks in the kernel's maps.
    pub(in super::super) fn take_over_peers(&mut self, found: &Found) {
        match peer_file::read(self.files.blocked_file()) {
            Ok(lines) => self.outside.fleet.peers.recall_all(lines),
            Err(error) => self.journal.error(&error),
        }
        let now = Moment::now();
        for (map, is_fence) in [(&found.blocked, false), (&found.fenced, true)] {
            let of_peers = map.iter().filter(|(_, block)| block.origin == Origin::Peer as u8);
            let (mut known, mut unknown) = (0, Vec::new());
            for (source, block) in of_peers {
                let claim = claim_of(block, now);
                let enforced = Enforced { number: block.interface, claim, is_fence };
                let network = network_of(*source, block.prefix);
                if self.outside.fleet.peers.recall(network, enforced) {
                    known += 1;
                } else {
                    unknown.push(*source);
                }
            }
            if known + unknown.len() > 0 {
                let what = if is_fence { "fences" } else { "blocks" };
                self.journal.note(&format!("{known} {what} of other gateways stand"));
            }
            if let Err(error) = self.blocked_or_fenced(is_fence).remove_all(unknown) {
                self.journal.error(&error);
            }
        }
        self.settle_all();
    }

    /// Carries out changes of peers' blocks and fences: first those in the kernel, each kind at once.
    pub(super) fn carry_out_peers(&mut self, changes: Vec<Change>) {
        // A number in the kernel's map needs its name in the file, also after a crash.
        if let Some(message) = self.outside.fleet.flush_names() {
            self.journal.news(&message);
        }
        if let Err(error) = self.change_maps(&changes) {
            self.journal.error(&error);
            self.forget_missing(&changes);
        }
        for change in changes {
            match change {
                Change::Enter { is_new: false, .. } => {}
                // It was another's entry.
                Change::Enter { network, .. } if self.outside.fleet.peers.enforced(network).is_none() => {}
                Change::Enter { network, enforced, .. } => self.follow_entry(network, &enforced),
                Change::Leave { network, enforced } => self.follow_release(network, &enforced),
            }
        }
    }

    /// Carries out the effects of a block or fence outside the kernel.
    fn follow_entry(&mut self, network: IpNet, enforced: &Enforced) {
        if !self.outside.fleet.naming.names(true, Instant::now()) {
            return self.totals.stats.count_admitted(Admission::Peer.name(), 1);
        }
        let is_fence = enforced.is_fence;
        let entry = Entry { before: SourceState::Free, is_fence, kills: Kills::Not, reoffends: None };
        let reason = self.outside.fleet.reason(enforced);
        let case = Case::held(Admission::Peer, record(network, enforced), None, Why::Usual);
        self.follow_up(&register::admit(Admission::Peer, &entry), &Case { reason, ..case });
    }

    /// Carries out the effects of a release outside the kernel.
    fn follow_release(&mut self, network: IpNet, enforced: &Enforced) {
        let (way, reason) = self.why_left(network, enforced);
        if !self.outside.fleet.naming.names(false, Instant::now()) {
            return self.totals.stats.count_released(way.name(), 1);
        }
        let case = Case::let_go(way, record(network, enforced), reason, SystemTime::now());
        self.follow_up(&register::release(way, None, false), &case);
    }

    /// Forgets blocks and fences that could not be entered, so that the next word about them tries again.
    fn forget_missing(&mut self, changes: &[Change]) {
        for change in changes {
            let Change::Enter { network, enforced, .. } = change else { continue };
            let entry = self.blocked_or_fenced(enforced.is_fence).get(network.addr());
            if !entry.is_ok_and(|entry| entry.is_some_and(|entry| entry.origin == Origin::Peer as u8)) {
                self.outside.fleet.peers.give_way(*network);
            }
        }
    }

    fn follow_up(&mut self, effects: &[Effect], case: &Case) {
        let is_left = |effect: &&Effect| !matches!(effect, Effect::Map(_));
        let effects: Vec<Effect> = effects.iter().filter(is_left).copied().collect();
        if let Err(error) = self.carry_out(&effects, case) {
            self.journal.error(&error);
        }
    }

    fn why_left(&self, network: IpNet, enforced: &Enforced) -> (Release, &'static str) {
        let peers = &self.outside.fleet.peers;
        if enforced.claim.until <= millis() {
            (Release::Over, register::OVER)
        } else if self.scope.exempt().cover(network) {
            (Release::Exempt, register::NEVER_BLOCKED)
        } else if peers.is_allowed(network) {
            (Release::Fleet, "the fleet's allow list names it")
        } else if peers.lifted(network).is_some_and(|at| enforced.claim.first < at) {
            (Release::Fleet, "an administrator of the fleet lifted it")
        } else {
            (Release::Fleet, "its gateway is held, forgotten or over its quota")
        }
    }

    fn change_maps(&mut self, changes: &[Change]) -> Result<(), kernel::Error> {
        let mut enter: [Vec<(IpAddr, Block)>; 2] = Default::default();
        let mut leave: [Vec<IpAddr>; 2] = Default::default();
        for change in changes {
            match change {
                Change::Enter { network, enforced, is_new } => {
                    enter[usize::from(enforced.is_fence)]
                        .push((network.addr(), peer_entry(*network, enforced)));
                    if !is_new {
                        leave[usize::from(!enforced.is_fence)].push(network.addr());
                    }
                }
                Change::Leave { network, enforced } => {
                    leave[usize::from(enforced.is_fence)].push(network.addr());
                }
            }
        }
        for (is_fence, entries) in [false, true].into_iter().zip(&enter) {
            let now_ns = kernel::monotonic_ns().unsigned_abs();
            let replaces = |old: &Block| old.origin == Origin::Peer as u8 || old.is_over(now_ns);
            let others = self.blocked_or_fenced(is_fence).insert_beside(entries, replaces)?;
            for (source, block) in others {
                self.outside.fleet.peers.give_way(network_of(source, block.prefix));
            }
        }
        for (is_fence, sources) in [false, true].into_iter().zip(leave) {
            let map = self.blocked_or_fenced(is_fence);
            let mut of_peers = Vec::new();
            for source in sources {
                if map.get(source)?.is_some_and(|block| block.origin == Origin::Peer as u8) {
                    of_peers.push(source);
                }
            }
            map.remove_all(of_peers)?;
        }
        Ok(())
    }

    fn blocked_or_fenced(&mut self, is_fence: bool) -> &mut Blocked {
        if is_fence { &mut self.kernel.fenced } else { &mut self.kernel.blocked }
    }
}
