//! Reports the daemon's state to its supervisor (systemd, if any) by `sd_notify(3)`.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sd_notify::NotifyState;
use tokio::time::interval;

/// Maximum age of a heartbeat. The keeper's heartbeats are half a second apart.
const PATIENCE: Duration = Duration::from_secs(2);

/// The heartbeat of one part of the daemon.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Mutex<Instant>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Pulse {
    /// Records a heartbeat.
    pub fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_within(&self, time: Duration) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < time
    }
}

/// Reports that the daemon is ready, with the latest configuration.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Reports a reload. A call of [`ready`] follows in any case.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// Reports that the daemon is about to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Sets the text that `systemctl status` shows.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Feeds the supervisor's watchdog at half its interval (`WATCHDOG_USEC`), as long as each of `pulses` beats. Does
/// nothing without a watchdog.
pub async fn watch(pulses: &[Pulse]) -> Infallible {
    let Some(half) = sd_notify::watchdog_enabled().map(|whole| whole / 2).filter(|half| !half.is_zero())
    else {
        return std::future::pending().await;
    };
    let mut ticks = interval(half);
    loop {
        ticks.tick().await;
        if pulses.iter().all(|pulse| pulse.is_within(half.max(PATIENCE))) {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// Feeds the watchdog once: a step of a session's start is done. On a slow processor the kernel takes many seconds to check the
/// program.
pub fn progress() {
    tell(&[NotifyState::Watchdog]);
}

/// An unreachable supervisor counts as none.
fn tell(state: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(state);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_is_as_old_as_its_last_beat() {
        let pulse = Pulse::default();
        *pulse.0.lock().unwrap() = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
        assert!(!pulse.is_within(Duration::from_secs(59)));
        assert!(pulse.is_within(Duration::from_secs(90)));
        pulse.clone().beat();
        assert!(pulse.is_within(Duration::from_secs(59)));
    }
}
