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
        let [source, destination] =
            [question.source, question.destination].map(|end| end.to_mapped().halves());
        learned::ask(source[0], source[1], destination[0], destination[1], question.ports());
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
    let [high, low] = question.destination.to_mapped().halves();
    let what = u64::from(question.port) | (question.protocol as u64) << 16;
    learned::is_known(high, low, what, which) != 0
}
