//! The kernel program's clock: ticks since boot, in nanoseconds close to `CLOCK_MONOTONIC`.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use nix::time::{ClockId, clock_getres, clock_gettime};

use super::Error;

/// Conversion of the kernel program's tick counter to nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Length of a tick in nanoseconds.
    pub jiffy_ns: u64,
    /// The tick counter at the origin of `CLOCK_MONOTONIC`.
    pub first_jiffy: u64,
}

impl Clock {
    /// Measures this machine's ticks. Their length is the resolution of `CLOCK_MONOTONIC_COARSE`, and their count
    /// is in `/proc/timer_list`. If that is hidden (in containers), the count is computed from the kernel's initial
    /// value. It is then late by the fraction of a second that the boot takes to start ticking.
    pub fn measure() -> Result<Self, Error> {
        let resolution = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)
            .map_err(|errno| Error::System { what: "clock_getres", source: errno.into() })?;
        let jiffy_ns = Duration::from(resolution).as_nanos();
        let jiffy_ns = u64::try_from(jiffy_ns).unwrap_or(u64::MAX);
        let listed = fs::read_to_string("/proc/timer_list").ok();
        let first_jiffy =
            listed.and_then(|text| first_jiffy(&text, jiffy_ns)).unwrap_or_else(|| initial_jiffies(jiffy_ns));
        Ok(Self { jiffy_ns, first_jiffy })
    }
}

/// Returns the time of `CLOCK_MONOTONIC` in nanoseconds.
#[must_use]
pub fn monotonic_ns() -> i64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |now| now.tv_sec().saturating_mul(1_000_000_000).saturating_add(now.tv_nsec()))
}

/// Returns how long the machine has slept since its start, which `CLOCK_MONOTONIC` leaves out.
#[must_use]
pub fn slept() -> Duration {
    let read = |clock| clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    let once = || read(ClockId::CLOCK_BOOTTIME).saturating_sub(read(ClockId::CLOCK_MONOTONIC));
    // A process that is interrupted between both clocks gets too small a difference. That hardly happens each time.
    let [first, second, third] = [once(), once(), once()];
    first.max(second).max(third)
}

/// Returns how long ago the machine was started, with the time that it has slept.
#[must_use]
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from)
}

/// Both clocks at one moment. Reading them again for each of a million blocks would take longer than all other
/// work.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub monotonic_ns: i64,
    wall: SystemTime,
}

impl Moment {
    /// Reads both clocks.
    #[must_use]
    pub fn now() -> Self {
        Self { monotonic_ns: monotonic_ns(), wall: SystemTime::now() }
    }

    /// Returns the wall clock's time at `at_ns` of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn wall_time(&self, at_ns: i64) -> SystemTime {
        let ago = self.monotonic_ns.saturating_sub(at_ns);
        let distance = Duration::from_nanos(ago.unsigned_abs());
        if ago >= 0 { self.wall.checked_sub(distance) } else { self.wall.checked_add(distance) }
            .unwrap_or(self.wall)
    }
}

/// Returns the wall clock's time at `at_ns` of `CLOCK_MONOTONIC`.
#[must_use]
pub fn wall_time(at_ns: i64) -> SystemTime {
    Moment::now().wall_time(at_ns)
}

/// Returns the nanoseconds of `CLOCK_MONOTONIC` at `time`, negative before the machine's start.
#[must_use]
pub fn monotonic_at(time: SystemTime) -> i64 {
    let nanoseconds = |distance: Duration| i64::try_from(distance.as_nanos()).unwrap_or(i64::MAX);
    let now = monotonic_ns();
    match SystemTime::now().duration_since(time) {
        Ok(ago) => now.saturating_sub(nanoseconds(ago)),
        Err(ahead) => now.saturating_add(nanoseconds(ahead.duration())),
    }
}

/// Reads the text of `/proc/timer_list`: "now at N nsecs" at its start, "jiffies: N" for each CPU. An idle CPU may
/// show an old tick, so the latest counts.
fn first_jiffy(text: &str, jiffy_ns: u64) -> Option<u64> {
    let now = text.lines().find_map(|line| line.strip_prefix("now at ")?.strip_suffix(" nsecs"))?;
    let jiffies =
        text.lines().filter_map(|line| line.strip_prefix("jiffies: ")?.trim().parse::<u64>().ok()).max()?;
    Some(jiffies.wrapping_sub(now.parse::<u64>().ok()?.checked_div(jiffy_ns)?))
}

/// `INITIAL_JIFFIES` (`include/linux/jiffies.h` in the kernel): five minutes before 32 bits wrap.
fn initial_jiffies(jiffy_ns: u64) -> u64 {
    let hertz = 1_000_000_000_u64.checked_div(jiffy_ns).unwrap_or(0);
    (1_u64 << 32).wrapping_sub(300 * hertz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timer_list_tells_the_first_tick() {
        let text = "Timer List Version: v0.10\nHRTIMER_MAX_CLOCK_BASES: 8\nnow at 8442783437958 nsecs\n\ncpu: 0\n\
                    jiffies: 4297002916\ncpu: 1\njiffies: 4297002910\n";
        assert_eq!(first_jiffy(text, 4_000_000), Some(4_297_002_916 - 2_110_695));
        assert_eq!(first_jiffy("", 4_000_000), None);
        assert_eq!(first_jiffy("now at x nsecs\njiffies: 1", 4_000_000), None);
    }

    #[test]
    fn the_two_ways_agree_within_seconds() {
        let clock = Clock::measure().unwrap();
        let apart = clock.first_jiffy.abs_diff(initial_jiffies(clock.jiffy_ns));
        assert!(apart * clock.jiffy_ns < 10_000_000_000, "{apart} ticks");
    }

    #[test]
    fn wall_and_monotonic_time_are_inverse() {
        let at = monotonic_ns() - 5_000_000_000;
        assert!((monotonic_at(wall_time(at)) - at).abs() < 1_000_000_000);
    }
}
