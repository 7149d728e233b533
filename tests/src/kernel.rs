//! The judge in the kernel: the real program, loaded and run on single frames.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use portsentry::{
    kernel::{Bound, BoundSocket, Clock, Kernel, Load, Pins, Ring, Watched, monotonic_ns},
    policy::Sighting,
};
use portsentry_common::{
    block::Block,
    bound::{Horizon, PER_SECOND, stamp},
    classify::Protocol::{self, Tcp, Udp},
    counter::Counters,
    decide::Verdict,
    settings::Settings,
    state::NEIGHBOUR,
};

use crate::{
    frames::{tcp, udp},
    outcome::{Judge, Outcome, grown, timeless_block},
    scenario::Scenario,
    sent::Sent,
    sockets::Socket,
    test_host,
};

/// The loaded program, with its own maps.
pub struct InKernel {
    kernel: Kernel,
    ring: Ring,
    counters: Counters,
    scenario: Scenario,
    /// Time by which the program's clock is ahead.
    ahead: Duration,
    pins: Pins,
    // Dropped last, after the maps are closed.
    _directory: PinDirectory,
}

impl InKernel {
    /// Loads the program for `scenario`; it uses the sockets of the network namespace.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let directory = PinDirectory::new();
        let pins = Pins::open(&directory.0).expect("a directory for pins");
        let (mut kernel, ring) = load(scenario, &pins, Duration::ZERO);
        for (source, block) in &scenario.blocked {
            kernel.blocked.insert(*source, block).expect("a block is written");
        }
        kernel.settle_gates().expect("the gates are filled");
        for sent in &scenario.sent {
            send(&mut kernel, sent);
        }
        let counters = kernel.counters().expect("counters are read");
        let (scenario, ahead) = (scenario.clone(), Duration::ZERO);
        Self { kernel, ring, counters, scenario, ahead, pins, _directory: directory }
    }

    /// Lets time pass: a program whose clock is further ahead takes over the maps. Questions and what answers have shown are
    /// forgotten, as after every restart.
    pub fn pass_time(&mut self, by: Duration) {
        self.ahead += by;
        (self.kernel, self.ring) = load(&self.scenario, &self.pins, self.ahead);
        self.kernel.settle_gates().expect("the gates are filled");
        self.counters = self.kernel.counters().expect("counters are read");
    }

    /// Returns the time of the program's clock in seconds.
    #[must_use]
    pub fn now(&self) -> u32 {
        let now = Duration::from_nanos(monotonic_ns().unsigned_abs()) + self.ahead;
        u32::try_from(now.as_secs()).expect("less than a century")
    }

    /// Returns the program's maps, mutable.
    pub fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// Returns the program's maps, for several threads at once.
    #[must_use]
    pub fn look(&self) -> &Kernel {
        &self.kernel
    }

    /// Runs the program `times` times on `frame`. The events stay in the ring.
    pub fn repeat(&mut self, frame: &[u8], times: u32) -> Outcome {
        let run = self.kernel.try_frame(frame, times).unwrap_or_else(|error| panic!("{error}"));
        let before = self.counters;
        self.counters = self.kernel.counters().expect("counters are read");
        Outcome::new(run.action, Vec::new(), &before, &self.counters)
    }

    /// Runs the program on `frame`. Returns the outcome and the rewritten frame.
    pub fn rewrite(&mut self, frame: &[u8]) -> (Outcome, Vec<u8>) {
        let run = self.kernel.try_frame(frame, 1).unwrap_or_else(|error| panic!("{error}"));
        let before = self.counters;
        self.counters = self.kernel.counters().expect("counters are read");
        (Outcome::new(run.action, self.told(), &before, &self.counters), run.frame)
    }

    /// Runs the program on a packet without an Ethernet header.
    pub fn judge_bare(&mut self, packet: &[u8]) -> Outcome {
        let run = self.kernel.try_packet(packet).unwrap_or_else(|error| panic!("{error}"));
        let before = self.counters;
        self.counters = self.kernel.counters().expect("counters are read");
        Outcome::new(run.action, self.told(), &before, &self.counters)
    }

    /// Runs the program for outgoing packets on `frame`. Returns whether it leaves, and the names of the counters that
    /// grew.
    pub fn leave(&mut self, frame: &[u8], is_forwarded: bool) -> (bool, Vec<&'static str>) {
        let leaves = self.kernel.try_leaving(frame, is_forwarded).unwrap_or_else(|error| panic!("{error}"));
        let before = self.counters;
        self.counters = self.kernel.counters().expect("counters are read");
        (leaves, grown(&before, &self.counters))
    }

    /// Returns the ring.
    #[must_use]
    pub const fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Returns all events in the ring, without the contacts for [`portsentry_common::scan::group`].
    pub fn told(&mut self) -> Vec<Sighting> {
        let is_contact = |told: &Sighting| told.scan.is_some() && told.verdict == Verdict::Noticed;
        let told =
            std::iter::from_fn(|| self.ring.next_sighting()).filter(|told| !is_contact(told)).collect();
        assert_eq!(self.ring.unreadable(), 0, "the daemon can read every record");
        told
    }
}

impl Judge for InKernel {
    fn judge(&mut self, frame: &[u8]) -> Outcome {
        let before = self.counters;
        let Outcome { action, .. } = self.repeat(frame, 1);
        Outcome::new(action, self.told(), &before, &self.counters)
    }

    fn blocked(&self) -> BTreeMap<IpAddr, Block> {
        let blocked = self.kernel.blocked.read().expect("blocks are read");
        blocked.into_iter().map(|(source, block)| (source, timeless_block(block))).collect()
    }
}

/// Loads the program with a clock that is ahead, and fills the maps that the scenario determines.
fn load(scenario: &Scenario, pins: &Pins, ahead: Duration) -> (Kernel, Ring) {
    let clock = Clock::measure().expect("the length of a tick");
    let ticks = u64::try_from(ahead.as_nanos()).expect("less than centuries") / clock.jiffy_ns;
    let load = Load {
        settings: Settings {
            keeps_served: 1,
            jiffy_ns: clock.jiffy_ns,
            first_jiffy: clock.first_jiffy.wrapping_sub(ticks),
            ..scenario.settings
        },
        max_blocked: scenario.max_blocked,
        max_networks: 1024,
        max_addresses: 1024,
        max_fenced: 4096,
        max_sources: 1 << 16,
        max_served: 1 << 16,
        scan_sets: scenario.settings.scan_mask + 1,
        ring_size: scenario.ring_size,
        debug: false,
    };
    let (mut kernel, ring) = load.load(pins.clone()).unwrap_or_else(|error| panic!("{error}"));
    for (map, protocol, is_watched) in [
        (Watched::ListedTcp, Tcp, test_host::is_listed as fn(Protocol, u16) -> bool),
        (Watched::ListedUdp, Udp, test_host::is_listed),
        (Watched::AdvancedTcp, Tcp, test_host::is_advanced),
        (Watched::AdvancedUdp, Udp, test_host::is_advanced),
        (Watched::ExcludedTcp, Tcp, test_host::is_excluded),
    ] {
        kernel.watch(map, &bitmap(|port| is_watched(protocol, port))).expect("a bitmap is written");
    }
    let local = test_host::local().into_iter().map(|(network, locality)| (network, locality as u32));
    kernel.local.replace(&local.collect()).expect("localities are written");
    let ignored = test_host::ignored().into_iter().map(|(network, exempt)| (network, exempt as u32));
    let neighbours = test_host::neighbours().into_iter().map(|network| (network, NEIGHBOUR));
    kernel.ignored.replace(&ignored.chain(neighbours).collect()).expect("ignored networks are written");
    kernel.networks.replace(&scenario.networks.iter().copied().collect()).expect("networks are written");
    let now_ns = monotonic_ns().unsigned_abs() + u64::try_from(ahead.as_nanos()).expect("as above");
    set_up(kernel.bound.as_mut().expect("a table of bound ports"), scenario, now_ns);
    (kernel, ring)
}

/// Sets the stamps of the scenario's table to the current time, or to eight seconds ago, which even a freshly
/// booted machine has reached.
fn set_up(bound: &mut Bound, scenario: &Scenario, now_ns: u64) {
    const FIRST_DEVICE: u32 = 100;
    let now = stamp(now_ns);
    let [grace, old] = [2, 8].map(|seconds| now.saturating_sub(seconds * PER_SECOND));
    let socket = |protocol, at: SocketAddr, device, is_connected| BoundSocket {
        protocol,
        address: at.ip(),
        port: at.port(),
        device,
        is_ipv6_only: false,
        is_connected,
        is_multipath: false,
    };
    let above = if scenario.table.has_devices_above { FIRST_DEVICE } else { 0 };
    let devices = (1..10).flat_map(|interface| {
        [interface, above + interface].map(|device| (device, BTreeSet::from([interface])))
    });
    bound.set_devices(devices.collect()).expect("devices are written");
    let over: Vec<_> =
        scenario.table.over.iter().map(|(protocol, at)| socket(*protocol, *at, 0, false)).collect();
    let served = scenario.table.served.iter().map(|(protocol, at, interface)| {
        let device = interface.map_or(0, |interface| FIRST_DEVICE + interface);
        socket(*protocol, *at, device, *protocol == Udp && scenario.table.connected.contains(at))
    });
    // A connected socket is bound, but accepts only its peer's packets, as in a look-up.
    let open = scenario.sockets.iter().filter_map(|open| match *open {
        Socket::Listener(at) => Some(socket(Tcp, at, 0, true)),
        Socket::Bound(at) | Socket::Connected((at, _)) => Some(socket(Udp, at, 0, true)),
        Socket::Connection(_) | Socket::TimeWait(_) => None,
    });
    let open = open.filter(|_| scenario.table.is_complete);
    bound.stamp(&over, old, 0).expect("stamps are written");
    bound.stamp(&served.chain(open).collect::<Vec<_>>(), now, 0).expect("stamps are written");
    let horizon = Horizon {
        open: grace,
        bound: now.saturating_sub(3 * PER_SECOND),
        // The model's clock stands still.
        dumped: u32::MAX,
        is_complete: scenario.table.is_complete.into(),
        traps: [0; 4],
        is_flat: 0,
    };
    bound.publish(&horizon).expect("a horizon is written");
}

/// Runs the program for outgoing packets on the packet.
fn send(kernel: &mut Kernel, sent: &Sent) {
    let packet = match sent.protocol {
        Tcp => tcp(sent.flags),
        Udp => udp(),
    };
    let frame = packet.from(&sent.local.to_string()).to(&sent.remote.to_string()).frame(0);
    let leaves = kernel.try_leaving(&frame, sent.is_forwarded).unwrap_or_else(|error| panic!("{error}"));
    assert!(leaves, "{sent:?}");
}

fn bitmap(is_watched: impl Fn(u16) -> bool) -> Box<[u64; 1024]> {
    let mut words = Box::new([0; 1024]);
    for port in (0..=u16::MAX).filter(|port| is_watched(*port)) {
        words[usize::from(port / 64)] |= 1 << (port % 64);
    }
    words
}

/// A directory for pins, removed when dropped.
struct PinDirectory(PathBuf);

impl PinDirectory {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(format!("/sys/fs/bpf/portsentry-test-{}-{number}", process::id()).into())
    }
}

impl Drop for PinDirectory {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes a directory and its content. Entries on bpffs have no type on which `remove_dir_all` could rely.
fn remove(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { remove(&path) } else { drop(fs::remove_file(path)) }
    }
    // A failed clean-up must not hide the test's own failure.
    let _ = fs::remove_dir(directory);
}
