//! The horizon of the memory of scans: the time for which it remembers a source with one failed pair.

use bytemuck::{Pod, Zeroable};

use super::{
    contacts::Fate,
    memory::{Note, OLDEST, PROBATION},
};

/// Length of a period of measurement, in seconds.
pub const PERIOD: u32 = PROBATION;
/// Time for which the memory counts as full after it had no room, in seconds.
const FULL: u32 = 60;

/// State of the memory. Times are in seconds of `CLOCK_MONOTONIC`. CPUs write it without a lock: a lost write makes one
/// displaced entry less count.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct State {
    /// The key of the hashes ([`crate::settings::Settings::scan_key`]), or 0 before the first use.
    pub key: u64,
    /// Start of the current period.
    pub began: u32,
    /// Age of the youngest entry displaced in the current period, or 0 if none was.
    pub youngest: u32,
    /// The same in the period before.
    pub before: u32,
    /// Time when a newcomer last found no room, or 0 if none did.
    pub full: u32,
    /// Number of scans that the daemon has reported, because it judged them once no answer was awaited. The kernel
    /// program never changes this number or the next.
    pub reports: u64,
    /// Number of scans that the daemon has fenced.
    pub fences: u64,
}

const _: () = assert!(size_of::<State>() == 40);

/// What the memory can promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// The time in seconds for which a source with one failed pair was remembered, at least, in this and the last
    /// period: a slower scan can't be detected. A day if no entry was displaced. Never less than
    /// [`SHORT_PROBATION`](super::memory::SHORT_PROBATION).
    pub seconds: u32,
    /// Whether newcomers found no room within a minute. Then they aren't remembered at all, and the horizon holds only
    /// for the sources in the memory.
    pub is_full: bool,
}

impl State {
    /// Records the result of noting a contact.
    #[inline(always)]
    pub fn note(&mut self, noted: &Note, now: u32) {
        if noted.judged.fate == Fate::NoRoom {
            self.refuse(now);
        } else if noted.displaced != 0 {
            self.displace(noted.displaced, now);
        }
    }

    /// Records that a newcomer displaced an entry of this age.
    #[inline(always)]
    pub fn displace(&mut self, age: u32, now: u32) {
        let passed = now.wrapping_sub(self.began);
        if passed >= PERIOD {
            self.before = if passed < 2 * PERIOD { self.youngest } else { 0 };
            self.youngest = 0;
            self.began = now;
        }
        if self.youngest == 0 || age < self.youngest {
            self.youngest = age;
        }
    }

    /// Records that a newcomer found no room.
    #[inline(always)]
    pub const fn refuse(&mut self, now: u32) {
        // In a flood all CPUs would write the same second, and wait for each other's cache.
        if self.full != now {
            self.full = now;
        }
    }

    /// Returns what the memory can promise at `now`.
    #[must_use]
    pub fn horizon(&self, now: u32) -> Horizon {
        let displaced = match now.wrapping_sub(self.began) {
            passed if passed < PERIOD => [self.youngest, self.before],
            passed if passed < 2 * PERIOD => [self.youngest, 0],
            _ => [0; 2],
        };
        let seconds = displaced.into_iter().filter(|age| *age != 0).min().unwrap_or(OLDEST).min(OLDEST);
        Horizon { seconds, is_full: self.full != 0 && now.saturating_sub(self.full) < FULL }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_is_the_age_of_the_youngest_entry_displaced_lately() {
        let mut state = State::default();
        assert_eq!(state.horizon(5000), Horizon { seconds: OLDEST, is_full: false });
        for (age, now) in [(3000, 5000), (2000, 5100), (4000, 5200)] {
            state.displace(age, now);
        }
        let seconds = |state: &State, now| state.horizon(now).seconds;
        assert_eq!(seconds(&state, 5300), 2000);
        assert_eq!(seconds(&state, 5000 + 2 * PERIOD - 1), 2000);
        assert_eq!(seconds(&state, 5000 + 2 * PERIOD), OLDEST, "nothing was displaced for long enough");
        state.displace(3500, 5000 + PERIOD);
        assert_eq!(seconds(&state, 5000 + PERIOD), 2000, "of the period before");
        state.displace(3500, 5000 + 2 * PERIOD);
        assert_eq!(seconds(&state, 5000 + 2 * PERIOD), 3500);
        state.displace(100_000, 50_000);
        assert_eq!(seconds(&state, 50_000), OLDEST, "an older entry counts for nothing anyway");
    }

    #[test]
    fn the_memory_is_full_for_a_minute_after_it_had_no_room() {
        let mut state = State::default();
        state.refuse(100);
        assert!(state.horizon(100).is_full && state.horizon(159).is_full);
        assert!(!state.horizon(160).is_full);
    }
}
