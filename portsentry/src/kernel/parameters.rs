//! The parameters of a load: settings and sizes of maps, from the configuration and this machine.

use portsentry_common::{
    scan::memory::sets_in,
    settings::{Answers, ScanDetection, Settings},
};

use super::hooks;
use crate::{
    config::Config,
    modes::Modes,
    policy::rules::{Machine, settings},
};

/// Parameters of a load.
#[derive(Clone, Debug)]
pub struct Load {
    /// Its read-only settings. Unless a clock is given, it is measured.
    pub settings: Settings,
    /// Entries of each blocked map.
    pub max_blocked: u32,
    /// Entries of the map of blocked networks.
    pub max_networks: u32,
    /// Entries of each map of ignored networks, and of each map of watched networks.
    pub max_addresses: u32,
    /// Entries of each fenced map.
    pub max_fenced: u32,
    /// Number of sources whose probes are counted.
    pub max_sources: u32,
    /// Number of learned ports, served and refused each, and of sources with failed connections.
    pub max_served: u32,
    /// Number of sets of suspects in the memory of scans, a power of two: see
    /// [`portsentry_common::scan::memory::sets_in`]. 1 without the detection of scans.
    pub scan_sets: u32,
    /// The ring's size in bytes, a power of two and a multiple of the page size.
    pub ring_size: u32,
    /// Whether to log the program's debug messages.
    pub debug: bool,
}

/// The system's settings on which the program's depend. They may change while it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    /// The lowest and highest port that the kernel assigns to sockets that request none.
    pub ephemeral: (u16, u16),
    /// Whether this host forwards packets of either address family.
    pub forwards: bool,
}

impl System {
    /// Reads them.
    #[must_use]
    pub fn read() -> Self {
        Self { ephemeral: ephemeral(), forwards: forwards() }
    }
}

impl Load {
    /// Derives the parameters from a configuration.
    #[must_use]
    pub fn new(config: &Config, modes: Modes, System { ephemeral, forwards }: System, debug: bool) -> Self {
        let machine = Machine { cpus: cpus(), ephemeral, netns: hooks::namespace().unwrap_or_default() };
        let mut settings = settings(config, modes, &machine);
        if config.protected_networks.is_empty() && !forwards {
            // No other host's answer leaves here.
            settings.answers = Answers::Off as u8;
        }
        if !settings.learns() && settings.scans == ScanDetection::Fence as u8 && forwards {
            // A translated port looks unserved.
            settings.scans = ScanDetection::Report as u8;
        }
        let Config { max_blocked, max_networks, max_addresses, max_fenced, max_sources, ring_size, .. } =
            *config;
        let max_served = if settings.learns() { config.max_served } else { 1 };
        Self {
            settings,
            max_blocked,
            max_networks,
            max_addresses,
            max_fenced,
            max_sources,
            max_served,
            scan_sets: scan_sets(config),
            ring_size,
            debug,
        }
    }
}

fn forwards() -> bool {
    ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"]
        .iter()
        .any(|path| std::fs::read_to_string(path).is_ok_and(|setting| setting.trim() != "0"))
}

/// Returns the number of online CPUs.
fn cpus() -> u32 {
    aya::util::online_cpus().map_or(1, |cpus| u32::try_from(cpus.len()).unwrap_or(u32::MAX))
}

/// Returns the kernel's defaults if they can't be read.
fn ephemeral() -> (u16, u16) {
    const DEFAULT: (u16, u16) = (32_768, 60_999);
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let ports: Vec<u16> = range.split_whitespace().filter_map(|port| port.parse().ok()).collect();
    if let [first, last] = ports[..] { (first, last) } else { DEFAULT }
}

/// Returns the number of sets of suspects that `SCAN_MEMORY` has room for, or one if scans aren't detected.
fn scan_sets(config: &Config) -> u32 {
    match config.scan_detection {
        ScanDetection::Off => 1,
        ScanDetection::Report | ScanDetection::Fence => sets_in(u64::from(config.scan_memory) << 20),
    }
}
