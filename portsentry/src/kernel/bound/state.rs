//! State of the table of bound ports, read from the published horizon: its sources, and the age of the last dump.

use std::{borrow::Borrow, fmt, time::Duration};

use aya::maps::{Array, MapData};
use portsentry_common::bound::{FRESH, Horizon, stamp};

use super::{HORIZON, RawHorizon};
use crate::kernel::{Error, clock::monotonic_ns};

/// State of the table of bound ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BoundState {
    /// Whether bind hooks see every bind; otherwise only the dumps count.
    pub by_hooks: bool,
    /// Age of the last dump of the sockets; `None` before the first.
    pub dump_age: Option<Duration>,
}

impl BoundState {
    /// Reads the state from the horizon's map.
    pub(in crate::kernel) fn read<T: Borrow<MapData>>(map: &Array<T, RawHorizon>) -> Result<Self, Error> {
        let raw = map.get(&0, 0).map_err(Error::map(HORIZON))?;
        Ok(Self::of(&bytemuck::cast(raw), stamp(monotonic_ns().unsigned_abs())))
    }

    fn of(horizon: &Horizon, now: u32) -> Self {
        let age = age(now.saturating_sub(horizon.dumped));
        Self { by_hooks: horizon.is_complete != 0, dump_age: (horizon.dumped != 0).then_some(age) }
    }

    /// Whether the last dump is missing, or so old (five seconds) that the kernel program no longer trusts missing
    /// stamps. With a running daemon this is a fault.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.dump_age.is_none_or(|found| found > age(FRESH))
    }
}

impl fmt::Display for BoundState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(age) = self.dump_age else {
            return formatter
                .write_str("unknown: sockets have not been dumped yet, services are found by look-ups only");
        };
        let how = if self.by_hooks { "bind hooks and dumps" } else { "dumps alone" };
        write!(formatter, "known by {how}; last dump {} s ago", age.as_secs())
    }
}

/// Converts a number of stamps to a duration.
fn age(stamps: u32) -> Duration {
    // A stamp is 2^26 nanoseconds: see `stamp`.
    Duration::from_nanos(u64::from(stamps) << 26)
}

#[cfg(test)]
mod tests {
    use portsentry_common::bound::PER_SECOND;

    use super::*;

    const NOW: u32 = 1000 * PER_SECOND;

    #[test]
    fn a_stamp_is_converted_back() {
        assert_eq!(age(stamp(80 << 26) - stamp(5 << 26)), Duration::from_nanos(75 << 26));
    }

    #[test]
    fn the_horizon_says_how_bound_ports_are_known() {
        for (dumped, is_complete, is_overdue, words) in [
            (NOW, 1, false, "known by bind hooks and dumps; last dump 0 s ago"),
            (NOW - 3 * PER_SECOND, 0, false, "known by dumps alone; last dump 3 s ago"),
            (NOW - FRESH, 1, false, "known by bind hooks and dumps; last dump 5 s ago"),
            (NOW - FRESH - 1, 1, true, "known by bind hooks and dumps; last dump 5 s ago"),
            (NOW - 60 * PER_SECOND, 0, true, "known by dumps alone; last dump 60 s ago"),
            (NOW + 1, 1, false, "known by bind hooks and dumps; last dump 0 s ago"),
            (0, 0, true, "unknown: sockets have not been dumped yet, services are found by look-ups only"),
        ] {
            let state = BoundState::of(&Horizon { dumped, is_complete, ..Horizon::NONE }, NOW);
            assert_eq!((state.to_string().as_str(), state.is_overdue()), (words, is_overdue), "{dumped}");
        }
    }
}
