//! The part of the rules' environment that both address families share.

use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_log_ebpf::debug;
use portsentry_common::{
    bound::Horizon,
    challenge::{Constants, NEAR_INTERFACES, Secrets},
    classify::{Kind, Protocol},
    counter::Counter,
    environment::{Environment, RateLimit},
    event::Event,
    parse::Malformed,
    settings::Settings,
};

use super::{Kernel, once, ports};
use crate::{maps, served, settings::settings};

impl Environment for Kernel<'_> {
    #[inline(always)]
    fn settings(&self) -> &Settings {
        settings()
    }

    #[inline(always)]
    fn now_ns(&self) -> u64 {
        let Settings { first_jiffy, jiffy_ns, .. } = self.settings();
        self.jiffies.wrapping_sub(*first_jiffy).wrapping_mul(*jiffy_ns)
    }

    #[inline(always)]
    fn heartbeat_ns(&self) -> u64 {
        maps::HEARTBEAT.get(0).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn horizon(&self) -> &Horizon {
        maps::BOUND_HORIZON.get(0).unwrap_or(&Horizon::NONE)
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        self.context.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn has_devices_above(&self) -> bool {
        self.horizon().is_flat == 0 && served::has_above(self.interface())
    }

    #[inline(always)]
    fn count(&self, counter: Counter) {
        self.count_at(counter as usize);
    }

    #[inline(always)]
    fn count_kind(&self, kind: Kind) {
        self.count_computed(kind.into());
    }

    #[inline(always)]
    fn count_malformed(&self, cause: Malformed) {
        self.count_computed(cause.into());
    }

    #[inline(always)]
    fn is_watched(&self, protocol: Protocol, port: u16) -> bool {
        ports::is_watched(protocol, port)
    }

    #[inline(always)]
    fn is_listed(&self, protocol: Protocol, port: u16) -> bool {
        ports::is_listed(protocol, port)
    }

    #[inline(always)]
    fn is_excluded(&self, port: u16) -> bool {
        ports::is_excluded(port)
    }

    #[inline(always)]
    fn constants(&self) -> Constants {
        let interface = self.interface();
        if let Some(near) = maps::ANSWERS_NEAR.get(interface % NEAR_INTERFACES as u32)
            && near.interface == interface
        {
            return near.constants;
        }
        maps::ANSWERS.get_ptr(interface).map_or(Constants::USUAL, |constants| {
            // SAFETY: a map's value, which stays readable while the program runs.
            unsafe { *constants }
        })
    }

    #[inline(always)]
    fn try_acquire(&self, limit: RateLimit, now_ns: u64) -> bool {
        let Some(mut buckets) = once(&self.buckets, &maps::TOKEN_BUCKETS) else { return false };
        // SAFETY: the value belongs to this CPU, and programs on one CPU's queue don't preempt each other.
        let buckets = unsafe { buckets.as_mut() };
        buckets.try_acquire(limit, self.settings(), now_ns)
    }

    #[inline(always)]
    fn secrets(&self) -> Option<&Secrets> {
        maps::SECRETS.get(0)
    }

    #[inline(always)]
    fn report(&self, event: &Event) -> bool {
        debug!(
            self.context,
            "{:i} to port {}: protocol {}, kind {}, flags {:x}, verdict {}",
            event.source.octets,
            event.port,
            event.protocol,
            event.kind,
            event.flags,
            event.verdict
        );
        // The daemon reads on a timer, because a wake-up per record would starve it under a flood. Blocks of proven
        // sources are few (`CHALLENGE_RATE`), and other gateways wait for them.
        let wakeup = if event.is_proven_block() { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
        maps::EVENTS.output(event, u64::from(wakeup)).is_ok()
    }
}
