//! The blocked and fenced sources in the kernel's maps, and how the keeper's ledger and the files follow them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::SystemTime,
};

use portsentry_common::{
    block::{Block, Origin, Proof},
    classify::Protocol,
};

use super::Keeper;
use crate::{
    kernel::{self, Found, Kernel, Moment},
    policy::{Hold, Record, Sighting, SourceState, TakeOver, calls_for_kill, network_of},
};

/// Fences that are found and written down at a time.
const FENCES: usize = 500;

impl Keeper {
    /// Lifts a block or fence; whether the kernel has let go.
    pub(super) fn lift(&mut self, source: IpAddr, why: &str) -> bool {
        // Whom the list names is in the map throughout: a full one might not take it back.
        let removed = match self.list_again(source) {
            Ok(true) => Ok(()),
            Ok(false) => self.kernel.blocked.remove(source),
            Err(error) => Err(error),
        };
        if let Err(error) = removed.and_then(|()| self.kernel.fenced.remove(source)) {
            self.journal.error(&error);
            return false;
        }
        let lifted = self.ledger.lift(source);
        // A fence that ends leaves its source's handshakes: a slow scan goes on. After a block they begin anew.
        if lifted.is_none_or(|record| !record.hold.is_fence)
            && let Err(error) = self.kernel.handshakes.forget(source)
        {
            self.journal.error(&error);
        }
        self.stats.count_lifted(1);
        if let Some(record) = &lifted {
            self.files.lift(record);
        }
        let name = lifted.map_or_else(|| source.to_string(), |record| record.name());
        self.journal.lifted((source, &name), lifted.is_some_and(|record| record.hold.is_fence), why);
        true
    }

    /// Length of the IPv6 network that `source` is held by; 0 for the source alone.
    pub(super) fn prefix_of(&self, source: IpAddr) -> u8 {
        self.scope.exempt().prefix_of(source, self.prefix)
    }

    /// When the block or fence of `source` ends.
    pub(super) fn until(&self, source: IpAddr, hold: &Hold) -> Option<SystemTime> {
        self.terms.until(hold, self.offences.of(source))
    }

    /// Counts one more block of `source`, which the kernel has made for the first one's term, and has it last as long
    /// as this one is to.
    pub(super) fn offend(&mut self, source: IpAddr, hold: &Hold) -> Result<(), kernel::Error> {
        let times = self.offences.add(source);
        if !self.terms.lengthens(times) {
            return Ok(());
        }
        let seconds = self.terms.block_for(times).as_secs();
        self.journal.note(&format!("Host {source} reoffended (block {times}): blocked for {seconds} s"));
        let until = self.until(source, hold);
        let Some(block) = self.kernel.blocked.get(source)? else { return Ok(()) };
        self.kernel.blocked.insert(source, &Block { until_ns: end_ns(until), ..block })
    }

    /// Enters a source that the blocked file names.
    pub(super) fn restore(&mut self, record: &Record) -> Result<(), kernel::Error> {
        let Record { source, hold } = *record;
        let map = if hold.is_fence { &mut self.kernel.fenced } else { &mut self.kernel.blocked };
        let new = restored(&hold);
        // What the kernel knows of a block, other terms leave as it is.
        let block = map.get(source)?.map_or(new, |old| Block {
            until_ns: new.until_ns,
            proof: new.proof,
            mirrored: new.mirrored,
            ..old
        });
        map.insert(source, &block)
    }

    /// Enters the source of a visit to a trap in the kernel's maps.
    pub(super) fn enter(&mut self, sighting: &Sighting) -> Result<(), kernel::Error> {
        let Record { source, mut hold } = sighting.record();
        hold.until = self.until(source, &hold);
        let block = Block {
            origin: Origin::Trigger as u8,
            kind: sighting.kind as u8,
            hits: sighting.hits,
            mirrored: 0,
            ..restored(&hold)
        };
        if hold.is_fence {
            self.kernel.fenced.insert(source, &block)
        } else {
            self.kernel.blocked.insert(source, &block)
        }
    }

    /// What the kernel's maps say of `source` now.
    pub(super) fn standing(&self, source: IpAddr) -> Result<Option<SourceState>, kernel::Error> {
        let now = Moment::now();
        let Kernel { blocked, fenced, .. } = &self.kernel;
        let blocked = blocked.get(source)?.and_then(|block| standing(source, &block, false, now));
        let fenced = fenced.get(source)?.and_then(|block| standing(source, &block, true, now));
        Ok(blocked.or(fenced))
    }

    /// Whether `source` is never blocked.
    pub(super) fn is_exempt(&self, source: IpAddr) -> bool {
        self.scope.exempt().contains(source)
    }

    /// Lifts what is over, unless the kernel has begun it anew.
    pub(super) fn lift_over(&mut self) {
        let over: Vec<IpAddr> = self.ledger.over(SystemTime::now()).collect();
        for source in over {
            match self.standing(source) {
                Ok(Some(SourceState { hold, .. })) => {
                    self.ledger.lift(source);
                    self.ledger.enter(source, hold);
                }
                Ok(None) => drop(self.lift(source, "its time is over")),
                Err(error) => self.journal.error(&error),
            }
        }
    }

    /// Forgets fences that the kernel's map had no room for any more: a flood of forged sources must not fill the
    /// memory and the files.
    pub(super) fn forget_surplus(&mut self) -> Result<(), kernel::Error> {
        if self.ledger.surplus(self.max_fenced).next().is_none() {
            return Ok(());
        }
        // The kernel's map lets go whom it has not seen for longest, which needn't be whose fence ends first.
        let standing: BTreeSet<IpAddr> =
            self.kernel.fenced.read()?.into_iter().map(|(source, _)| source).collect();
        let surplus: Vec<IpAddr> =
            self.ledger.surplus(0).filter(|source| !standing.contains(source)).collect();
        if surplus.is_empty() {
            return Ok(());
        }
        self.journal.surplus(surplus.len());
        self.stats.count_lifted(surplus.len());
        for source in surplus {
            if let Some(record) = self.ledger.lift(source) {
                self.files.lift(&record);
            }
        }
        Ok(())
    }

    /// Finds what the kernel has entered and not told: all blocks, and of fences, which a flood makes by the thousand, so
    /// many at a time. Whether that was all.
    pub(super) fn record_unrecorded(&mut self) -> Result<bool, kernel::Error> {
        let mut found = 0;
        let (blocked, fenced) = (self.kernel.blocked.read()?, self.kernel.fenced.read()?);
        for SourceState { source, hold, mirrored } in standings(&blocked, &fenced) {
            if mirrored || (hold.is_fence && found == FENCES) {
                continue;
            }
            if self.scope.exempt().cover(Record { source, hold }.network()) {
                self.lift(source, "its address is never blocked");
                continue;
            }
            let was_fenced = self.ledger.get(source).is_some_and(|hold| hold.is_fence);
            if !hold.is_fence && hold.proof == Proof::Cookie && self.spares(source) {
                continue;
            }
            if self.ledger.enter(source, hold) {
                found += usize::from(hold.is_fence);
                if !hold.is_fence {
                    self.offend(source, &hold)?;
                }
                let record = Record { source, hold };
                self.journal.found(&record);
                self.files.record(&record, None, &source.into());
                self.files.show(&record);
                if calls_for_kill(&hold, was_fenced, self.kills_on_proof) {
                    self.kill(&record);
                }
            }
        }
        Ok(found < FENCES)
    }

    /// Notes in the map that the files have shown a source: as fenced or as blocked, whichever they say. The kernel may have
    /// blocked it meanwhile, which they are still to show.
    pub(super) fn mark(&mut self, source: IpAddr) -> Result<(), kernel::Error> {
        let Some(hold) = self.ledger.get(source) else { return Ok(()) };
        let map = if hold.is_fence { &mut self.kernel.fenced } else { &mut self.kernel.blocked };
        if let Some(block) = map.get(source)?
            && block.mirrored == 0
        {
            map.insert(source, &Block { mirrored: 1, ..block })?;
        }
        Ok(())
    }

    /// What proved those whom only the file knows, as after a reboot, is in the evidence: the file doesn't tell.
    fn recall_proofs(&mut self, lines: &mut [Record], standings: &BTreeMap<IpAddr, SourceState>) {
        let is_forgotten = |line: &&mut Record| {
            line.hold.proof == Proof::None && !line.hold.is_fence && !standings.contains_key(&line.source)
        };
        let mut forgotten = lines.iter_mut().filter(is_forgotten).peekable();
        if forgotten.peek().is_none() {
            return;
        }
        let (decided, problem) = self.files.decided();
        if let Some(problem) = problem {
            self.journal.error(&problem);
        }
        for line in forgotten {
            if let Some(decision) = decided.at(line.source, line.hold.since, false) {
                line.hold.proof = decision.proof;
            }
        }
    }

    /// Makes the files, the kernel's maps and the ledger agree when the daemon starts.
    pub(super) fn take_over(&mut self, found: &Found) -> Result<(), kernel::Error> {
        for source in self.files.once_blocked() {
            self.offences.add(network_of(source, self.prefix_of(source)).addr());
        }
        let (mut lines, problems) = self.files.read();
        let now = SystemTime::now();
        let standings: BTreeMap<IpAddr, SourceState> =
            standings(&found.blocked, &found.fenced).map(|standing| (standing.source, standing)).collect();
        let standings = self.let_go(standings, lines.as_mut());
        if let Some(lines) = &mut lines {
            self.recall_proofs(lines, &standings);
        }
        for line in lines.iter_mut().flatten() {
            line.hold.until = self.until(line.source, &line.hold);
            // The kernel's clock is never set. An end that an administrator writes is a moment, by the wall clock.
            if let Some(SourceState { hold, .. }) = standings.get(&line.source)
                && line.hold.is_fence == hold.is_fence
                && line.hold.proof != Proof::Administrator
            {
                if line.hold.is_apart_from(hold) {
                    self.files.rewrite();
                }
                // Nor does the file say what proved the source.
                line.hold = Hold { since: hold.since, until: hold.until, proof: hold.proof, ..line.hold };
            }
        }
        for over in lines.iter_mut().flat_map(|lines| lines.extract_if(.., |line| is_over(line, now))) {
            // No daemon ran when it ended: its line in `hosts.deny` is still there.
            self.files.lift(&over);
        }
        for problem in problems {
            self.journal.error(&problem);
        }
        let exempt = self.scope.exempt();
        let is_exempt = |record: &Record| exempt.cover(record.network());
        let TakeOver { block, lift, record } = self.ledger.take_over(lines.as_deref(), &standings, is_exempt);
        // Whom the file has never shown nobody else remembers.
        let is_lost =
            |block: &Block| block.origin != Origin::List as u8 && (block.mirrored == 0 || lines.is_none());
        let lost = found.left_out.iter().filter(|(_, block)| is_lost(block)).map(|(source, _)| *source);
        let mut homeless: BTreeSet<IpAddr> = lost.collect();
        // All at once whom the map lacks; one by one where some find no room, or the map knows more than the file.
        let is_fresh = |record: &Record| !record.hold.is_fence && !standings.contains_key(&record.source);
        let fresh = block.iter().filter(|record| is_fresh(record));
        let fresh: Vec<_> = fresh.map(|record| (record.source, restored(&record.hold))).collect();
        let are_in = self.kernel.blocked.insert_all(&fresh).is_ok();
        for record in block.into_iter().filter(|record| !(are_in && is_fresh(record))) {
            match self.restore(&record) {
                Ok(()) => {}
                Err(kernel::Error::Full { .. }) => drop(homeless.insert(record.source)),
                Err(error) => self.journal.error(&error),
            }
        }
        if !homeless.is_empty() {
            self.journal.no_room(homeless.len());
            self.no_room += homeless.len() as u64;
        }
        for Record { source, hold } in lift {
            // It is lifted in every file, as if it had been held up to now.
            self.ledger.enter(source, hold);
            self.lift(source, "the blocked file or the ignore file says so");
        }
        for record in &record {
            self.files.show(record);
        }
        let (unwritten, problem) = self.files.unwritten(record);
        if let Some(problem) = problem {
            self.journal.error(&problem);
        }
        let new: BTreeSet<IpAddr> = unwritten.iter().map(|record| record.source).collect();
        let fences = lines.iter().flatten().filter(|line| line.hold.is_fence);
        let once_fenced: BTreeSet<IpAddr> = fences.map(|line| line.source).collect();
        for record in unwritten {
            if !record.hold.is_fence {
                self.offend(record.source, &record.hold)?;
            }
            self.journal.found(&record);
            self.files.record(&record, None, &record.source.into());
            if calls_for_kill(&record.hold, once_fenced.contains(&record.source), self.kills_on_proof) {
                self.kill(&record);
            }
        }
        for record in self.ledger.records().filter(|record| !new.contains(&record.source)) {
            if calls_for_kill(&record.hold, false, self.kills_on_proof) {
                self.files.deny_still(&record);
            }
        }
        self.flush();
        Ok(())
    }
}

/// The fences and blocks that aren't over. A source that is in both comes twice: it is blocked.
fn standings<'a>(
    blocked: &'a [(IpAddr, Block)],
    fenced: &'a [(IpAddr, Block)],
) -> impl Iterator<Item = SourceState> + use<'a> {
    let now = Moment::now();
    let each = [(fenced, true), (blocked, false)].into_iter();
    each.flat_map(move |(map, is_fence)| {
        map.iter().filter_map(move |(source, block)| standing(*source, block, is_fence, now))
    })
}

fn standing(source: IpAddr, block: &Block, is_fence: bool, now: Moment) -> Option<SourceState> {
    let now_ns = u64::try_from(now.monotonic_ns).unwrap_or_default();
    // Whom the list names no file of ours does.
    if block.is_over(now_ns) || block.origin == Origin::List as u8 {
        return None;
    }
    let until = i64::try_from(block.until_ns).ok().filter(|until| *until != 0);
    let hold = Hold {
        since: now.wall_time(block.since_ns),
        until: until.map(|until| now.wall_time(until)),
        port: block.port,
        protocol: Protocol::try_from(block.protocol).unwrap_or(Protocol::Tcp),
        proof: Proof::try_from(block.proof).unwrap_or(Proof::None),
        is_fence,
        prefix: block.prefix,
    };
    Some(SourceState { source, hold, mirrored: block.mirrored != 0 })
}

fn is_over(record: &Record, now: SystemTime) -> bool {
    record.hold.until.is_some_and(|until| until <= now)
}

/// An end as the kernel's maps have it; what is over is over.
fn end_ns(until: Option<SystemTime>) -> u64 {
    u64::try_from(until.map_or(0, kernel::monotonic_at)).unwrap_or(1)
}

/// The entry of a source that the blocked file names.
fn restored(hold: &Hold) -> Block {
    Block {
        since_ns: kernel::monotonic_at(hold.since.min(SystemTime::now())),
        until_ns: end_ns(hold.until),
        port: hold.port,
        protocol: hold.protocol as u8,
        origin: Origin::File as u8,
        proof: hold.proof as u8,
        prefix: hold.prefix,
        mirrored: 1,
        ..bytemuck::Zeroable::zeroed()
    }
}
