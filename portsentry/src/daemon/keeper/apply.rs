//! Carries out the register's effects.

use std::time::SystemTime;

use ipnet::IpNet;

use super::{Keeper, peers::millis};
use crate::{
    kernel,
    policy::{
        Decision, Record, Sighting,
        register::{Admission, Case, Count, Effect, FileChange, Line, Release, Shared, Why},
    },
};

impl Keeper {
    /// Blocks or fences a network. If the kernel's map can't be changed, there are no other effects.
    pub(super) fn admit(
        &mut self,
        way: Admission,
        record: Record,
        sighting: Option<&Sighting>,
        why: Why<'_>,
    ) -> Result<(), kernel::Error> {
        let before = self.register.ledger().get(record.network).copied();
        let Decision { record, id, effects } = self.register.admit(way, record);
        let case = Case::held(way, record, sighting, why).with_id(id);
        let done = self.carry_out(&effects, &case);
        if done.is_err() {
            let ledger = self.register.ledger_mut();
            ledger.lift(record.network);
            if let Some(hold) = before {
                ledger.replace(record.network, hold);
            } else {
                self.register.ids_mut().remove(record.network);
            }
        }
        done
    }

    /// Releases a network. Returns whether the kernel's map was changed.
    pub(super) fn release(&mut self, way: Release, network: IpNet, reason: &str) -> bool {
        self.release_unless(way, network, reason, |_| false)
    }

    /// Releases a network without a log line.
    pub(super) fn release_silently(&mut self, way: Release, network: IpNet, reason: &str) -> bool {
        self.release_unless(way, network, reason, |effect| *effect == Effect::Emit(Line::Lifted))
    }

    fn release_unless(
        &mut self,
        way: Release,
        network: IpNet,
        reason: &str,
        is_left_out: impl Fn(&Effect) -> bool,
    ) -> bool {
        let id = self.register.ids().get(network);
        let (record, mut effects) = self.register.release(way, network);
        effects.retain(|effect| !is_left_out(effect));
        let now = SystemTime::now();
        let hold = crate::policy::Hold::ordered(now, None);
        let record_or_new = record.unwrap_or(Record { network, hold });
        // No daemon may have run when it expired.
        let expired = record_or_new.hold.until.filter(|until| way == Release::Over && *until < now);
        let case = Case::let_go(way, record_or_new, reason, expired.unwrap_or(now)).with_id(id);
        let done = self.carry_out(&effects, &case);
        if let (Ok(()), Some(record)) = (&done, record) {
            self.outside.fleet.note_release(&record);
        }
        if let Err(error) = &done {
            self.journal.error(error);
            if let Some(record) = record {
                self.register.ledger_mut().replace(network, record.hold);
            }
            if let Some(id) = id {
                self.register.ids_mut().put(network, id);
            }
        }
        done.is_ok()
    }

    /// Carries out effects, those in the kernel first. If that fails, the others are skipped.
    pub(super) fn carry_out(&mut self, effects: &[Effect], case: &Case) -> Result<(), kernel::Error> {
        for effect in effects {
            if let Effect::Map(change) = effect {
                self.change(*change, case)?;
            }
        }
        // Only messages about a source wait for its name.
        let words: Vec<Effect> = effects.iter().filter(|effect| effect.names_source()).copied().collect();
        if !words.is_empty() {
            self.tell(case, words);
        }
        effects.iter().for_each(|effect| self.apply(*effect, case));
        Ok(())
    }

    fn apply(&mut self, effect: Effect, case: &Case) {
        match effect {
            Effect::Map(_) | Effect::History(_) | Effect::Emit(_) => {}
            Effect::File(FileChange::Show) => {
                self.files.show(&case.record);
                if let Some(reason) = case.given() {
                    self.files.explain(case.record.network, reason.to_owned());
                }
            }
            Effect::File(FileChange::Hide) => self.files.hide(&case.record),
            Effect::Deny { is_new } => self.deny(case, is_new),
            Effect::Allow => self.files.allow(&case.record),
            Effect::Run(occasion) => self.run_for(occasion, case),
            Effect::Metric(Count::Admitted(way)) => {
                self.totals.stats.count_admitted(way.name(), 1);
                if let Some(scan) = case.sighting.as_ref().and_then(|sighting| sighting.scan) {
                    self.totals.stats.count_scan(scan.kind(), true);
                }
                let origins = self.journal.origins();
                if origins.have_countries() {
                    self.totals.stats.count_country(origins.of(case.record.source()).country);
                }
            }
            Effect::Metric(Count::Scan) => {
                if let Some(scan) = case.sighting.as_ref().and_then(|sighting| sighting.scan) {
                    self.totals.stats.count_scan(scan.kind(), false);
                }
            }
            Effect::Share(Shared::Block) => self.share_block(&case.record),
            Effect::Share(Shared::Lift) => self.share_lifts(&[case.record.network], millis()),
            Effect::Metric(Count::Released(way)) => self.totals.stats.count_released(way.name(), 1),
        }
    }
}
