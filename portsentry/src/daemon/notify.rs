//! Tells whoever supervises the daemon how it is, in the words of `sd_notify(3)`: systemd, or nobody.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sd_notify::NotifyState;
use tokio::time::interval;

/// How old a sign of life may be at least: the keeper gives one each half second.
const PATIENCE: Duration = Duration::from_secs(2);

/// The signs of life of one part of the daemon.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Mutex<Instant>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Pulse {
    /// Gives a sign of life.
    pub fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_within(&self, time: Duration) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < time
    }
}

/// The daemon watches, with the configuration that it was last given.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is read again; [`ready`] follows, whatever comes of it.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The daemon is about to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// What `systemctl status` shows.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Says at half of the time that the supervisor waits (`WATCHDOG_USEC`) that all is well, for as long as each of
/// `pulses` beats. Says nothing to a supervisor that doesn't wait.
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

/// A supervisor that can't be reached is none.
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
