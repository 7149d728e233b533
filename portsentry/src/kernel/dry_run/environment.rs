//! The part of the environment that both address families share.

use portsentry_common::{
    bound::Horizon,
    challenge::{Constants, Secrets},
    classify::Protocol,
    counter::Counter,
    environment::{Environment, RateLimit},
    event::Event,
    settings::Settings,
};

use super::{DryRun, Fact};
use crate::kernel::Watched;

impl DryRun {
    /// Whether a bitmap contains `port`.
    fn has(&self, bitmap: Watched, port: u16) -> bool {
        let word =
            self.known(self.maps.element(bitmap.map(), usize::from(port) / 64).map(u64::from_ne_bytes));
        word >> (port % 64) & 1 == 1
    }
}

impl Environment for DryRun {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn now_ns(&self) -> u64 {
        self.now_ns
    }

    fn heartbeat_ns(&self) -> u64 {
        if self.now_ns.saturating_sub(self.heartbeat_ns) >= self.settings.open_after_ns {
            self.note(Fact::NotEnforced);
        }
        self.heartbeat_ns
    }

    fn interface(&self) -> u32 {
        self.interface
    }

    fn has_devices_above(&self) -> bool {
        self.has_devices_above
    }

    fn count(&self, counter: Counter) {
        self.note(Fact::Counted(counter));
    }

    fn is_watched(&self, protocol: Protocol, port: u16) -> bool {
        let advanced = match protocol {
            Protocol::Tcp => Watched::AdvancedTcp,
            Protocol::Udp => Watched::AdvancedUdp,
        };
        let is_listed = self.is_listed(protocol, port);
        let is_watched = is_listed || self.has(advanced, port);
        self.note(Fact::Watched(is_watched.then_some(is_listed)));
        is_watched
    }

    fn is_listed(&self, protocol: Protocol, port: u16) -> bool {
        let listed = match protocol {
            Protocol::Tcp => Watched::ListedTcp,
            Protocol::Udp => Watched::ListedUdp,
        };
        self.has(listed, port)
    }

    /// Whether some CPU has a token: nobody knows which one will receive the packet.
    fn try_acquire(&self, limit: RateLimit, now_ns: u64) -> bool {
        let mut buckets = self.buckets.borrow_mut();
        let has_token = buckets.iter_mut().any(|bucket| bucket.try_acquire(limit, &self.settings, now_ns));
        if !has_token {
            self.note(Fact::Exhausted(limit));
        }
        has_token
    }

    fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    fn is_excluded(&self, port: u16) -> bool {
        self.has(Watched::ExcludedTcp, port)
    }

    fn constants(&self) -> Constants {
        self.constants
    }

    fn secrets(&self) -> Option<&Secrets> {
        self.secrets.as_ref()
    }

    fn report(&self, event: &Event) -> bool {
        self.note(Fact::Reported(*event));
        true
    }
}
