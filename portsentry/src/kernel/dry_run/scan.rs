//! The memory of scans. `explain` judges one packet, and a scan takes several: it notes nothing.

use portsentry_common::{
    event::ScanEvent,
    learned::Question,
    scan::{
        Contact,
        contacts::{Heard, Hearing, Judged, Scans},
    },
};

use super::DryRun;

impl<A> Scans<A> for DryRun {
    fn note(&self, _: A, _: &Contact, _: u32, _: bool) -> Judged {
        Judged::NOTHING
    }

    type Expected = ();

    fn expect(&self, _: A) -> Option<()> {
        None
    }

    fn admit(&self, (): (), _: &Contact, _: u32, _: i16) -> Option<Judged> {
        None
    }

    fn hear(&self, _: &Heard<A>, _: u32) -> Hearing {
        Hearing::Unheard
    }

    fn mark(&self, _: &Question<A>, _: u8) {}

    fn report_scan(&self, _: &ScanEvent) -> bool {
        true
    }
}
