//! The maps of questions and learned ports.

use portsentry_common::{
    address::Address,
    learned::{Learned, Question},
};

use super::{Family, Kernel};
use crate::learned;

impl<A: Family> Learned<A> for Kernel<'_> {
    #[inline(always)]
    fn ask(&self, question: &Question<A>) {
        let [source_high, source_low, high, low] = question.halves();
        learned::ask(source_high, source_low, high, low, question.ports());
    }

    #[inline(always)]
    fn has_answered(&self, question: &Question<A>, _: u64) -> bool {
        is_known(question, learned::SERVED)
    }

    #[inline(always)]
    fn has_refused(&self, question: &Question<A>) -> bool {
        is_known(question, learned::REFUSED)
    }

    #[inline(always)]
    fn suspect(&self, key: A, pair: u32, _: u64) -> u32 {
        let [high, low] = key.to_mapped().halves();
        learned::fail(high, low, pair.into(), 0) as u32
    }

    #[inline(always)]
    fn failures(&self, key: A, _: u64) -> u32 {
        let [high, low] = key.to_mapped().halves();
        learned::failures(high, low) as u32
    }

    #[inline(always)]
    fn forget_failures(&self, key: A) {
        let [high, low] = key.to_mapped().halves();
        learned::forget(high, low);
    }
}

#[inline(always)]
fn is_known<A: Address>(question: &Question<A>, which: u64) -> bool {
    let ([high, low], what) = question.asked();
    learned::is_known(high, low, what, which) != 0
}
