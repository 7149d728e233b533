//! Makes the files, the kernel's maps and the register agree when the daemon starts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use ipnet::IpNet;
use portsentry_common::block::{Block, Proof};

use super::{
    Keeper,
    entries::{entry_of, is_of_others, standing, standings},
    unreported::BLOCKS,
};
use crate::{
    kernel::{self, Found, Moment},
    policy::{
        Hold, Record, SourceState, TakeOver, is_host,
        register::{Admission, NEVER_BLOCKED, OVER, Release, Why},
    },
};

/// The entries of the maps, by network.
type Standings = BTreeMap<IpNet, SourceState>;

impl Keeper {
    /// Makes the files, the kernel's maps and the register agree.
    pub(super) fn take_over(&mut self, found: &Found) -> Result<(), kernel::Error> {
        for source in self.files.recorder().once_blocked() {
            self.register.recall(self.scope.network_of(source));
        }
        let (mut lines, problems) = self.files.read();
        let (ids, problem) = self.files.read_ids();
        *self.register.ids_mut() = ids;
        for problem in problems.into_iter().chain(problem) {
            self.journal.error(&problem);
        }
        let now = Moment::now();
        let networks = self.kernel.networks.read()?.into_iter();
        let networks = networks.filter_map(|(network, block)| standing(network, &block, false, now));
        let standings = standings(&found.blocked, &found.fenced).chain(networks);
        let standings = standings.map(|standing| (standing.network, standing)).collect();
        let mut standings = self.let_go(standings, lines.as_mut());
        self.forget_ids(lines.as_deref(), &standings);
        if let Some(lines) = &mut lines {
            self.recall_proofs(lines, &standings);
            self.reconcile(lines, &standings);
            self.release_over(lines);
            self.admit_unread(lines, &mut standings);
        }
        let exempt = self.scope.exempt();
        let is_exempt = |record: &Record| exempt.cover(record.network);
        let TakeOver { block, lift, record } =
            self.register.ledger_mut().take_over(lines.as_deref(), &standings, is_exempt);
        let homeless = self.block_again(block, &standings, found, lines.is_none());
        if homeless > 0 {
            self.journal.no_room(homeless);
            self.totals.no_room += homeless as u64;
        }
        for Record { network, hold } in lift {
            let is_exempt = self.scope.exempt().cover(network);
            let (cause, reason) = if is_exempt {
                (Release::Exempt, NEVER_BLOCKED)
            } else {
                (Release::Administrator, "its line was removed from the blocked file")
            };
            // It is released in every file, as if it had been blocked until now.
            self.register.ledger_mut().replace(network, hold);
            self.release(cause, network, reason);
        }
        let fences = lines.iter().flatten().filter(|line| line.hold.is_fence);
        let once_fenced: BTreeMap<IpNet, Hold> = fences.map(|line| (line.network, line.hold)).collect();
        self.admit_unwritten(record, &once_fenced)?;
        let known: Vec<Record> = self.register.ledger().records().collect();
        for record in known {
            self.admit(Admission::TakenOver, record, None, Why::Usual)?;
        }
        self.register.forget_ids();
        self.files.allow_all_but(|network| self.register.kills(network));
        self.flush();
        Ok(())
    }

    /// Forgets the ids of networks that were released while no daemon ran, even if the kernel has blocked them again.
    fn forget_ids(&mut self, lines: Option<&[Record]>, standings: &Standings) {
        let named: BTreeSet<IpNet> = lines.unwrap_or_default().iter().map(|line| line.network).collect();
        self.register.ids_mut().retain(|network, id| {
            let since = standings.get(&network).map(|standing| standing.hold.since);
            named.contains(&network) || since.is_some_and(|since| id.may_be_of(since))
        });
    }

    /// Recalls proofs from the evidence for sources that only the file has, as after a reboot, because the file
    /// doesn't hold them.
    fn recall_proofs(&mut self, lines: &mut [Record], standings: &Standings) {
        let is_forgotten = |line: &&mut Record| {
            line.hold.proof == Proof::None && !line.hold.is_fence && !standings.contains_key(&line.network)
        };
        let mut forgotten = lines.iter_mut().filter(is_forgotten).peekable();
        if forgotten.peek().is_none() {
            return;
        }
        let (decided, problem) = self.files.recorder().decided();
        if let Some(problem) = problem {
            self.journal.error(&problem);
        }
        for line in forgotten {
            if let Some(decision) = decided.at(line.network, line.hold.since, false) {
                line.hold.proof = decision.proof;
            }
        }
    }

    /// Sets the end of each line, and the times for which the kernel's entry is more exact.
    fn reconcile(&mut self, lines: &mut [Record], standings: &Standings) {
        for line in lines {
            line.hold.until = self.register.until(line.network, &line.hold);
            // The kernel's clock is never set. An administrator's block ends at a time of the wall clock.
            if let Some(SourceState { hold, .. }) = standings.get(&line.network)
                && line.hold.is_fence == hold.is_fence
                && line.hold.proof != Proof::Administrator
            {
                if line.hold.is_apart_from(hold) {
                    self.files.rewrite();
                }
                // The file also doesn't hold the source's proof.
                line.hold = Hold { since: hold.since, until: hold.until, proof: hold.proof, ..line.hold };
            }
        }
    }

    /// Releases entries that expired while no daemon ran.
    fn release_over(&mut self, lines: &mut Vec<Record>) {
        let now = SystemTime::now();
        let over: Vec<Record> = lines.extract_if(.., |line| line.hold.is_over(now)).collect();
        for (number, Record { network, hold }) in over.into_iter().enumerate() {
            self.register.ledger_mut().replace(network, hold);
            self.release_silently(Release::Over, network, OVER);
            // The history's queue has room for as many lines.
            if number % BLOCKS == BLOCKS - 1 {
                let problems = self.files.recorder().flush_now();
                problems.iter().for_each(|problem| self.journal.error(problem));
            }
        }
    }

    /// Admits sources that an administrator, or a command, added to the file while no daemon ran.
    fn admit_unread(&mut self, lines: &mut Vec<Record>, standings: &mut Standings) {
        let unread = self.files.take_unread();
        let exempt = self.scope.exempt();
        let is_new = |line: &mut Record| unread.contains(&line.network) && !exempt.cover(line.network);
        let new: Vec<Record> = lines.extract_if(.., is_new).collect();
        for mut line in new {
            match standings.remove(&line.network) {
                // The entry that the command made.
                Some(SourceState { hold, .. }) if hold.proof == Proof::Administrator && hold.port == 0 => {
                    line.hold.since = hold.since;
                }
                Some(SourceState { network, hold, .. }) => self.register.ledger_mut().replace(network, hold),
                None => {}
            }
            let reason = self.files.reason(line.network).map(str::to_owned);
            if let Err(error) = self.admit(Admission::Offline, line, None, reason.as_deref().into()) {
                self.journal.error(&error);
            }
        }
    }

    /// Blocks the file's sources that are missing from the map. Returns the number of sources without room,
    /// including those that no file names.
    fn block_again(
        &mut self,
        block: Vec<Record>,
        standings: &Standings,
        found: &Found,
        has_no_file: bool,
    ) -> usize {
        // Sources that the file has never shown are recorded nowhere else.
        let is_lost = |block: &Block| !is_of_others(block) && (block.mirrored == 0 || has_no_file);
        let lost =
            found.left_out.iter().filter(|(_, block)| is_lost(block)).map(|(source, _)| IpNet::from(*source));
        let mut homeless: BTreeSet<IpNet> = lost.collect();
        // Enters all hosts that are missing from the map in one batch, or one by one if there isn't room for all,
        // or if the map has more data than the file.
        let is_fresh = |record: &Record| {
            !record.hold.is_fence && is_host(record.network) && !standings.contains_key(&record.network)
        };
        let fresh = block.iter().filter(|record| is_fresh(record));
        let fresh: Vec<_> = fresh
            .map(|record| (record.source(), Block { mirrored: 1, ..entry_of(record.network, &record.hold) }))
            .collect();
        let are_in = self.kernel.blocked.insert_all(&fresh).is_ok();
        for record in block.into_iter().filter(|record| !(are_in && is_fresh(record))) {
            match self.enter(record.network, &record.hold).and_then(|()| self.mark(record.network)) {
                Ok(()) => {}
                Err(kernel::Error::Full { .. }) => drop(homeless.insert(record.network)),
                Err(error) => self.journal.error(&error),
            }
        }
        homeless.len()
    }

    /// Records sources that the kernel blocked while no daemon ran, or just before an earlier daemon ended.
    fn admit_unwritten(
        &mut self,
        record: Vec<Record>,
        once_fenced: &BTreeMap<IpNet, Hold>,
    ) -> Result<(), kernel::Error> {
        for record in &record {
            self.files.show(record);
        }
        let (unwritten, problem) = self.files.recorder().unwritten(record);
        if let Some(problem) = problem {
            self.journal.error(&problem);
        }
        for record in unwritten {
            let ledger = self.register.ledger_mut();
            ledger.lift(record.network);
            if let Some(hold) = once_fenced.get(&record.network) {
                ledger.replace(record.network, *hold);
            }
            self.admit(Admission::Untold, record, None, Why::Usual)?;
        }
        Ok(())
    }
}
