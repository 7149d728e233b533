//! The memory of scans.

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use portsentry_common::{
    event::ScanEvent,
    learned::Question,
    scan::{
        Contact,
        contacts::{Heard, Hearing, Judged, Scans},
        memory::Name,
    },
};

use super::{Family, Kernel};
use crate::{
    learned, maps,
    scan::{
        self,
        sets::{Expected, expect},
    },
    settings::settings,
};

impl<A: Family> Scans<A> for Kernel<'_> {
    #[inline(always)]
    fn note(&self, key: A, contact: &Contact, now: u32, fences: bool) -> Judged {
        let [high, low] = key.to_mapped().halves();
        scan::note_in([high, low], contact, (now, fences))
    }

    type Expected = Expected;

    #[inline(always)]
    fn expect(&self, key: A) -> Option<Expected> {
        expect(Name::of(key.to_mapped().halves(), settings().scan_key))
    }

    #[inline(always)]
    fn admit(&self, sets: Expected, contact: &Contact, now: u32, added: i16) -> Option<Judged> {
        scan::admit(&sets, contact, now, added)
    }

    #[inline(always)]
    fn hear(&self, destination: &Heard<A>, now: u32) -> Hearing {
        scan::hear(destination, now)
    }

    #[inline(always)]
    fn mark(&self, question: &Question<A>, mark: u8) {
        let [source_high, source_low, high, low] = question.halves();
        let what = question.ports() | u64::from(mark) << learned::MARK_AT;
        learned::mark(source_high, source_low, high, low, what);
    }

    #[inline(always)]
    fn report_scan(&self, event: &ScanEvent) -> bool {
        maps::EVENTS.output_untyped::<ScanEvent>(event, u64::from(BPF_RB_NO_WAKEUP)).is_ok()
    }
}
