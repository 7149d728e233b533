//! The blocked and fenced networks, and the effects of changes. Every way into a block or fence, and out of one,
//! leads through [`Register::admit`] and [`Register::release`]. Both return effects and carry out none.

mod admit;
mod case;
mod cause;
mod effect;
mod noted;
mod release;
mod witness;

use std::time::SystemTime;

use ipnet::IpNet;
use portsentry_common::{block::Proof, classify::Protocol, decide::Verdict, judge::SourceState};

use self::noted::Noted;
pub use self::{
    admit::{Entry, Kills, admit},
    case::{Case, Why},
    cause::{
        ADMINISTRATOR, Admission, NEAR, NEVER_BLOCKED, OTHER_PREFIX, OVER, Release, asked, asked_because,
    },
    effect::{Change, Count, Effect, FileChange, HistoryAction, Line, Occasion, Shared},
    release::release,
};
use super::{BlockId, Hold, Ids, Ledger, Offences, Record, Sighting, Terms};
use crate::{
    config::{Config, Response},
    modes::Modes,
    policy::kills::kills_on_proof,
};

/// The settings that effects depend on.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Durations of blocks and fences.
    pub terms: Terms,
    /// `BLOCK_TCP`
    pub tcp: Response,
    /// `BLOCK_UDP`
    pub udp: Response,
    /// `KILL_ON_PROOF`
    pub kills_on_proof: bool,
    /// Whether `KILL_RUN_CMD` has a macro whose value changes when a fence becomes a block, so that it runs for
    /// both.
    pub tells_changes: bool,
}

impl Rules {
    /// Returns the settings in `config`, for all processes' `modes`.
    #[must_use]
    pub fn new(config: &Config, modes: Modes) -> Self {
        Self {
            terms: Terms {
                block: config.block_time,
                factor: config.block_time_factor,
                longest: config.max_block_time,
                fence: config.fence_time,
            },
            tcp: config.block_tcp,
            udp: config.block_udp,
            kills_on_proof: kills_on_proof(config, modes),
            tells_changes: config.kill_run_cmd.as_ref().is_some_and(crate::config::Command::tells_changes),
        }
    }

    /// Returns the value of `BLOCK_TCP` or `BLOCK_UDP`.
    #[must_use]
    pub const fn response(&self, protocol: Protocol) -> Response {
        match protocol {
            Protocol::Tcp => self.tcp,
            Protocol::Udp => self.udp,
        }
    }

    /// Whether the `KILL_*` actions run for such a block or fence.
    #[must_use]
    pub fn kills(&self, hold: &Hold) -> bool {
        !self.kills_on_proof || hold.proof != Proof::None
    }
}

/// The effects of a change on a network, and its block or fence before or after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The network, with its end filled in.
    pub record: Record,
    /// Its id. An entry of the block list has none.
    pub id: Option<BlockId>,
    /// The effects, in order.
    pub effects: Vec<Effect>,
}

/// The blocked and fenced networks, and the number of blocks of each.
#[derive(Debug)]
pub struct Register {
    ledger: Ledger,
    offences: Offences,
    ids: Ids,
    noted: Noted,
    rules: Rules,
}

impl Register {
    /// Creates an empty register.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            ledger: Ledger::default(),
            offences: Offences::default(),
            ids: Ids::default(),
            noted: Noted::default(),
            rules,
        }
    }

    /// Returns the blocked and fenced networks.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Returns them for changes that bring them into step with the kernel and the files.
    pub const fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Returns the ids of the blocked and fenced networks.
    #[must_use]
    pub const fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Returns them for changes.
    pub const fn ids_mut(&mut self) -> &mut Ids {
        &mut self.ids
    }

    /// Removes the ids of networks without an entry.
    pub fn forget_ids(&mut self) {
        self.ids.retain(|network, _| self.ledger.holds(network));
    }

    /// The settings.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Counts a block that the history records.
    pub fn recall(&mut self, network: IpNet) {
        self.offences.add(network);
    }

    /// Returns the end of a block or fence of `network`.
    #[must_use]
    pub fn until(&self, network: IpNet, hold: &Hold) -> Option<SystemTime> {
        self.rules.terms.until(hold, self.offences.of(network))
    }

    /// Enters a block or fence, and returns its effects. If an administrator changes a block, its start and probe
    /// stay. An administrator's block replaces a fence.
    pub fn admit(&mut self, cause: Admission, record: Record) -> Decision {
        let Record { network, hold } = record;
        let before = self.ledger.get(network).copied();
        let is_ordered = matches!(cause, Admission::Administrator | Admission::Offline);
        let hold = match before {
            Some(old) if is_ordered && !old.is_fence => Hold { until: hold.until, proof: hold.proof, ..old },
            _ => hold,
        };
        let is_new = before.is_none_or(|old| old.is_fence && !hold.is_fence) || is_ordered;
        // Blocks that are taken over were counted when they were made, according to the history.
        let counts = is_new && !hold.is_fence && !is_ordered && cause != Admission::TakenOver;
        let times = if counts { self.offences.add(network) } else { self.offences.of(network) };
        let hold = Hold { until: self.rules.terms.until(&hold, times), ..hold };
        if is_new {
            self.ledger.replace(network, hold);
        }
        let id = (cause != Admission::List).then(|| self.ids.assign(network, hold.since));
        let entry = Entry {
            before: match before {
                None => SourceState::Free,
                Some(old) if old.is_fence => SourceState::Fenced,
                Some(_) => SourceState::Blocked,
            },
            is_fence: hold.is_fence,
            kills: match (self.kills(network), before.is_some_and(|old| self.rules.kills(&old))) {
                (false, _) => Kills::Not,
                (true, false) => Kills::First,
                (true, true) => Kills::Again { tells_changes: self.rules.tells_changes },
            },
            reoffends: (counts && self.rules.terms.lengthens(times)).then_some(times),
        };
        Decision { record: Record { network, hold }, id, effects: admit(cause, &entry) }
    }

    /// Removes a block or fence, and returns the effects. A network without an entry is released only in the
    /// kernel.
    pub fn release(&mut self, cause: Release, network: IpNet) -> (Option<Record>, Vec<Effect>) {
        let record = self.ledger.lift(network);
        self.ids.remove(network);
        let kills = record.is_some_and(|record| self.rules.kills(&record.hold));
        let effects = release(cause, record.map(|record| record.hold.is_fence), kills);
        (record, effects)
    }

    /// Returns the effects of a probe that causes neither a block nor a fence.
    pub fn witness(&mut self, sighting: &Sighting) -> Vec<Effect> {
        let is_proven = sighting.proof != Proof::None;
        if let Some(scan) = &sighting.scan {
            let is_news = self.noted.is_news(sighting.network(), scan, sighting.time);
            return if is_news { witness::scan() } else { Vec::new() };
        }
        let is_first =
            sighting.verdict == Verdict::Report && self.ledger.report(sighting.network(), is_proven);
        witness::witness(sighting.verdict, self.rules.response(sighting.protocol), is_first)
    }

    /// Whether the `KILL_*` actions run for the current block or fence of `network`.
    #[must_use]
    pub fn kills(&self, network: IpNet) -> bool {
        self.ledger.get(network).is_some_and(|hold| self.rules.kills(hold))
    }

    /// Returns the duration of fences in seconds.
    #[must_use]
    pub const fn fence_seconds(&self) -> u64 {
        self.rules.terms.fence.as_secs()
    }
}

#[cfg(test)]
mod tests;
