//! Coverage by chance: how many addresses random contacts cover, with the variance.
//!
//! An address is covered by its first contact, and doubled by its second. Later ones don't count, so that a former
//! service that many clients still ask for weighs no more than two contacts. The number of contacts per address is
//! Poisson-distributed; the number of covered addresses is what a linear regression on the number of contacts leaves.

/// One, in the fixed-point numbers here.
const ONE: u64 = 1 << SHIFT;
const SHIFT: u32 = 20;
/// Steps of the table per contact and address.
const STEPS: usize = 64;

/// By the number of contacts per address, of which none has more than two: the part of the addresses that is covered,
/// and its variance, times the number of addresses.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "parts of one, computed by the compiler"
)]
static CHANCE: [[u32; 2]; 2 * STEPS] = {
    let mut table = [[0; 2]; 2 * STEPS];
    let mut rate = 0.0_f64;
    let mut step = 1;
    while step < table.len() {
        let wanted = step as f64 / STEPS as f64;
        // Newton's method for the rate at which P(1) + 2 P(2 or more) is `wanted`.
        let mut none = 1.0;
        let mut round = 0;
        while round < 24 {
            // exp(-rate): a series for a 64th, squared six times.
            let part = rate / -64.0;
            none = 1.0
                + part * (1.0 + part / 2.0 * (1.0 + part / 3.0 * (1.0 + part / 4.0 * (1.0 + part / 5.0))));
            let mut square = 0;
            while square < 6 {
                none *= none;
                square += 1;
            }
            rate += (wanted - 2.0 + none * (2.0 + rate)) / (none * (1.0 + rate));
            round += 1;
        }
        let [once, more] = [rate * none, 1.0 - none - rate * none];
        let contacts = once + 4.0 * more - wanted * wanted;
        let both = none * wanted;
        let variance = none * (1.0 - none) - both * both / contacts;
        table[step] = [((1.0 - none) * ONE as f64) as u32, (variance * ONE as f64) as u32];
        step += 1;
    }
    table
};

/// Contacts with some addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Number of addresses that could be covered.
    pub addresses: u32,
    /// Number of those with a contact.
    pub covered: u32,
    /// Number of those with more.
    pub doubled: u32,
}

impl Coverage {
    /// Whether more addresses are covered than by chance, by `deviations` standard deviations or more.
    #[inline(always)]
    #[must_use]
    pub fn exceeds_chance(&self, deviations: u64) -> bool {
        let [excess, variance] = self.excess();
        excess * excess * u64::from(self.addresses.max(1)) >= deviations * deviations * variance * ONE
            && excess > 0
    }

    /// Whether the overlap is more than half of that by chance.
    #[inline(always)]
    #[must_use]
    pub fn is_chance(&self) -> bool {
        let [expected, _] = self.chance();
        let contacts = u64::from(self.covered + self.doubled) << SHIFT;
        2 * (u64::from(self.doubled) << SHIFT) > contacts.saturating_sub(expected * u64::from(self.addresses))
    }

    /// Returns by how many standard deviations more addresses are covered than by chance, in tenths.
    #[must_use]
    pub fn deviations(&self) -> u64 {
        let [excess, variance] = self.excess();
        (100 * excess * excess * u64::from(self.addresses) / (variance * ONE).max(1)).isqrt()
    }

    fn excess(&self) -> [u64; 2] {
        let [expected, variance] = self.chance();
        let covered = (u64::from(self.covered) << SHIFT) / u64::from(self.addresses.max(1));
        [covered.saturating_sub(expected), variance]
    }

    /// Returns what chance covers, interpolated between the table's steps.
    #[inline(always)]
    fn chance(&self) -> [u64; 2] {
        const LAST: u64 = 2 * STEPS as u64 - 2;
        const FRACTION: u32 = 8;
        let contacts = u64::from(self.covered + self.doubled);
        let place = ((contacts * STEPS as u64) << FRACTION) / u64::from(self.addresses.max(1));
        let step = (place >> FRACTION).min(LAST) as usize;
        let part = (place - ((step as u64) << FRACTION)).min(1 << FRACTION);
        let [low, high] = [CHANCE[step], CHANCE[step + 1]];
        let between = |it: usize| {
            (u64::from(low[it]) * ((1 << FRACTION) - part) + u64::from(high[it]) * part) >> FRACTION
        };
        [between(0), between(1)]
    }
}
