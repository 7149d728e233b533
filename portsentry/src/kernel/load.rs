//! Loads the kernel program, with the maps of an earlier run where they fit.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    path::Path,
    sync::Arc,
    thread,
};

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf},
    programs::{ProgramError, Xdp},
};
use nix::sys::signal::{SigSet, SigmaskHow};
use portsentry_common::{
    classify::Protocol,
    counter::{Counter, Counters},
    settings::{FencedSyns, Settings},
    state::SteerKey,
};

use crate::{
    config::Config,
    modes::Modes,
    policy::rules::{Machine, settings},
};

use super::{
    Attachment, Blocked, BlockedNetworks, Bound, BoundState, Clock, DebugLog, Error, Framing, Hooks, Mode,
    Networks, Pins, Ring, TestRun, TrapSlot, Traps, Waiting, accept, bitmap, blocked_networks, bound,
    constants, counters,
    gate::{self, Gate},
    heartbeat, hooks,
    inherit::{BLOCKED, FENCED, Found, Inheritance},
    layout::{Layout, drop_misfit, drop_renamed},
    link,
    per_source::{HANDSHAKES, HandshakesMap, TALLIES, TalliesMap},
    ring, secrets, test_run, traffic, trap,
    watched::Watched,
};

/// The kernel program as `cargo xtask build-ebpf` made it, in ELF.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/portsentry.o"));
const PROGRAM: &str = "portsentry";
/// The program for frames that begin with their IP header.
const BARE: &str = "portsentry_bare";
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Parameters of a load.
#[derive(Clone, Debug)]
pub struct Load {
    /// Its read-only settings; the clock is filled in here.
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
    /// The ring's size in bytes, a power of two and a multiple of the page size.
    pub ring_size: u32,
    /// Whether to log the program's debug messages.
    pub debug: bool,
}

/// The loaded program and its maps.
pub struct Kernel {
    /// The program's settings.
    pub settings: Settings,
    ebpf: Ebpf,
    pins: Pins,
    counters: PerCpuArray<MapData, counters::Raw>,
    gate: Arc<Gate>,
    why_forwarded: Option<String>,
    /// How many sources programs had entered in the maps before those were read into the gates; nothing where an earlier
    /// program counts elsewhere.
    entered: Option<u64>,
    /// The blocked sources.
    pub blocked: Blocked,
    /// The blocked networks.
    pub networks: BlockedNetworks,
    /// The fenced sources.
    pub fenced: Blocked,
    /// The sources that completed handshakes with traps.
    pub handshakes: HandshakesMap,
    /// How many probes of each source were counted.
    pub tallies: TalliesMap,
    /// Networks that are never blocked.
    pub ignored: Networks,
    /// Networks whose ports are watched.
    pub local: Networks,
    /// The table of bound ports, until the thread that maintains it takes it.
    pub bound: Option<Bound>,
    /// The contents of the maps when they were taken over.
    pub found: Found,
}

impl Load {
    /// Derives the parameters from a configuration.
    #[must_use]
    pub fn from_config(config: &Config, modes: Modes, debug: bool) -> Self {
        let machine =
            Machine { cpus: cpus(), ephemeral: ephemeral(), netns: hooks::namespace().unwrap_or_default() };
        let settings = settings(config, modes, &machine);
        let Config { max_blocked, max_networks, max_addresses, max_fenced, max_sources, ring_size, .. } =
            *config;
        Self { settings, max_blocked, max_networks, max_addresses, max_fenced, max_sources, ring_size, debug }
    }

    /// Loads the program with maps pinned in `pins`.
    pub fn load(mut self, pins: Pins) -> Result<(Kernel, Ring), Error> {
        if !Path::new(BTF).exists() {
            return Err(Error::NoBtf(BTF.into()));
        }
        let layouts = self.layouts();
        let mut inheritance = Inheritance::default();
        let mut are_known = true;
        for layout in &layouts {
            if let Some(misfit) = drop_misfit(&pins, layout)? {
                inheritance.take(layout.0, &misfit);
                are_known = false;
            }
        }
        drop_renamed(&pins)?;
        let clock = Clock::measure()?;
        self.settings.jiffy_ns = clock.jiffy_ns;
        self.settings.first_jiffy = clock.first_jiffy;
        self.settings = self.settings.paced();
        let btf = Btf::from_sys_fs().ok();
        let mut why_forwarded =
            if self.settings.accepts() { accept::why_not(btf.as_ref()).map(str::to_owned) } else { None };
        if why_forwarded.is_some() {
            self.settings.fenced_syns = FencedSyns::Forward as u8;
        }
        let mut ebpf = self.open(&pins, &layouts, btf.as_ref())?;
        if self.settings.accepts()
            && let Err(error) = traffic::try_accept(&mut ebpf)
        {
            why_forwarded = Some(error.to_string());
            self.settings.fenced_syns = FencedSyns::Forward as u8;
            ebpf = self.open(&pins, &layouts, btf.as_ref())?;
        }
        let gate = Arc::new(Gate::of(&ebpf)?);
        gate.open_wide();
        let mut sources = |names: [&'static str; 2], capacity| -> Result<Blocked, Error> {
            let (v4, v6) = (take(&mut ebpf, names[0])?, take(&mut ebpf, names[1])?);
            Ok(Blocked::new(names, v4, v6, Arc::clone(&gate), capacity))
        };
        let mut blocked = sources(BLOCKED, self.max_blocked)?;
        let mut fenced = sources(FENCED, self.max_fenced)?;
        let left_out = inheritance.leave(&mut blocked, &mut fenced)?;
        let networks = take(&mut ebpf, blocked_networks::MAP)?;
        let networks = BlockedNetworks::new(networks, Arc::clone(&gate), self.max_networks);
        let counters = take(&mut ebpf, "COUNTERS")?;
        secrets::renew(ebpf.map_mut(secrets::MAP).ok_or_else(|| Error::Missing(secrets::MAP.into()))?)?;
        heartbeat::beat(ebpf.map_mut(heartbeat::MAP).ok_or_else(|| Error::Missing(heartbeat::MAP.into()))?)?;
        let program = program(&mut ebpf, PROGRAM)?;
        // The verifier takes as long as reading a million blocks.
        let (verified, found) = thread::scope(|scope| {
            let found = scope.spawn(|| Found::take(&counters, [&blocked, &fenced], &networks));
            (verify(program), found.join())
        });
        verified?;
        let found = found.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let found = Found { left_out, ..found };
        let ring = Ring::new(take::<RingBuf<MapData>>(&mut ebpf, "EVENTS")?);
        let pair = |ebpf: &mut Ebpf, names: [&'static str; 2]| -> Result<Networks, Error> {
            Networks::new(names, take(ebpf, names[0])?, take(ebpf, names[1])?, self.max_addresses)
        };
        let kernel = Kernel {
            settings: self.settings,
            entered: are_known.then(|| entered(&found.counters)),
            counters,
            found,
            gate,
            why_forwarded,
            blocked,
            networks,
            fenced,
            handshakes: HandshakesMap::new(take(&mut ebpf, HANDSHAKES)?),
            tallies: TalliesMap::new(take(&mut ebpf, TALLIES)?),
            bound: Some(Bound::open(&pins, self.settings.keeps_served != 0)?),
            ignored: pair(&mut ebpf, ["IGNORED_V4", "IGNORED_V6"])?,
            local: pair(&mut ebpf, ["LOCAL_V4", "LOCAL_V6"])?,
            ebpf,
            pins,
        };
        Ok((kernel, ring))
    }

    fn open(&self, pins: &Pins, layouts: &[Layout], btf: Option<&Btf>) -> Result<Ebpf, Error> {
        let level: u8 = if self.debug { aya_log::Level::Debug as u8 } else { 0 };
        let mut loader = EbpfLoader::new();
        loader.btf(btf).override_global("AYA_LOG_LEVEL", &level, true);
        loader.override_global("SETTINGS", bytemuck::bytes_of(&self.settings), true);
        for (name, _, _, entries) in layouts {
            loader.map_pin_path(name, pins.map(name));
            if let Some(entries) = entries {
                loader.map_max_entries(name, *entries);
            }
        }
        gate::make(pins, &mut loader).map_err(denied)?;
        let function = btf.filter(|_| self.settings.accepts()).and_then(accept::function);
        loader.load(&accept::patched(OBJECT, function)).map_err(|error| denied(error.into()))
    }
}

/// Returns the number of online CPUs.
fn cpus() -> u32 {
    aya::util::online_cpus().map_or(1, |cpus| u32::try_from(cpus.len()).unwrap_or(u32::MAX))
}

impl Kernel {
    /// Sets the watched ports, by list and in advanced mode.
    pub fn watch(&mut self, name: Watched, words: &[u64; 1024]) -> Result<(), Error> {
        let name = name.map();
        let map = self.ebpf.map_mut(name).ok_or_else(|| Error::Missing(name.into()))?;
        let mut array = Array::try_from(map).map_err(Error::map(name))?;
        bitmap::write(&mut array, name, words)
    }

    /// Attaches the program to an interface by name, taking over an earlier run's link.
    pub fn attach(&mut self, interface: &str, only: Option<Mode>) -> Result<Attachment, Error> {
        let index =
            nix::net::if_::if_nametoindex(interface).map_err(|_| Error::NoInterface(interface.into()))?;
        self.attach_to((interface, index), only)
    }

    /// Like [`Kernel::attach`], by index; the name is used in messages.
    pub fn attach_to(&mut self, interface: (&str, u32), only: Option<Mode>) -> Result<Attachment, Error> {
        let program = program_for(&mut self.ebpf, interface)?;
        link::attach(program, &self.pins, interface, only)
    }

    /// Attaches the programs that a fence needs beside the judge to the interface of that index, and has answers say there what
    /// the network stack's would, by its MTU. Before the judge is attached, lest it answer what nobody accepts.
    pub fn attach_traffic(&mut self, index: u32, mtu: u32) -> Result<(), Error> {
        self.set_constants(index, mtu)?;
        for hook in traffic::HOOKS {
            let is_wanted = match hook {
                traffic::Hook::Egress => self.settings.fences(),
                traffic::Hook::Accept => self.settings.accepts(),
            };
            if is_wanted {
                traffic::attach(&mut self.ebpf, &self.pins, hook, index)?;
            } else {
                traffic::detach(&self.pins, hook, index)?;
            }
        }
        Ok(())
    }

    /// Has answers by the interface of that index say what the network stack's would, by its MTU.
    pub fn set_constants(&mut self, index: u32, mtu: u32) -> Result<(), Error> {
        const MAP: &str = "ANSWERS";
        let map = self.ebpf.map_mut(MAP).ok_or_else(|| Error::Missing(MAP.into()))?;
        let mut map: HashMap<_, u32, [u8; 12]> = HashMap::try_from(map).map_err(Error::map(MAP))?;
        let constants: [u8; 12] = bytemuck::cast(constants::constants(mtu));
        map.insert(index, constants, 0).map_err(Error::map(MAP))
    }

    /// Whether the connection of `peer` to the local `port` was opened while its source was fenced.
    #[must_use]
    pub fn was_opened(&self, peer: SocketAddr, port: u16) -> bool {
        let Some(map) = self.ebpf.map("OPENED") else { return false };
        let address = match peer.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let key = SteerKey::new(address.into(), peer.port(), port, Protocol::Tcp as u8);
        let key: [u8; 24] = bytemuck::cast(key);
        HashMap::<&MapData, [u8; 24], u32>::try_from(map).is_ok_and(|map| map.get(&key, 0).is_ok())
    }

    /// How a fenced source's SYNs are answered, for the log; nothing where they are dropped.
    #[must_use]
    pub fn fence(&self) -> Option<String> {
        if self.settings.accepts() {
            return Some(format!("The fence is {}", accept::describe_fence(FencedSyns::Accept)));
        }
        let why = self.why_forwarded.as_deref().filter(|_| self.settings.opens())?;
        Some(format!("The fence is {}, because {why}", accept::describe_fence(FencedSyns::Forward)))
    }

    /// The indices of the interfaces that a program of ours is attached to.
    pub fn attached(&self) -> impl Iterator<Item = u32> {
        self.pins.links()
    }

    /// Detaches from every interface whose index is not in `keep`.
    pub fn detach_all_but(&self, keep: &[u32]) -> Result<(), Error> {
        self.pins.links().filter(|index| !keep.contains(index)).try_for_each(|index| {
            link::detach(&self.pins, index)?;
            traffic::HOOKS.into_iter().try_for_each(|hook| traffic::detach(&self.pins, hook, index))
        })
    }

    /// Detaches from every interface, and removes all pins.
    pub fn remove_pins(&self) -> Result<(), Error> {
        self.pins.remove_all().map(drop)
    }

    /// Checks the pins, and restores hidden ones; returns `false` if it did, so that a new session must use them.
    pub fn keep_pins(&self) -> Result<bool, Error> {
        self.pins.keep()
    }

    /// Returns the ring's size and its unread data.
    pub fn ring(&self) -> Result<Waiting, Error> {
        ring::waiting(&self.pins.map("EVENTS"))
    }

    /// Runs the program on `frame` (at least 14 bytes) `times` over, without attaching it.
    pub fn try_frame(&self, frame: &[u8], times: u32) -> Result<TestRun, Error> {
        test_run::run(self.program()?, frame, times)
    }

    /// Runs the program for frames that begin with their IP header, which also needs at least 14 bytes.
    pub fn try_packet(&mut self, packet: &[u8]) -> Result<TestRun, Error> {
        test_run::run(bare(&mut self.ebpf)?, packet, 1)
    }

    /// The same with the program for what leaves, for a frame that another host sent or this one.
    pub fn try_leaving(&mut self, frame: &[u8], is_forwarded: bool) -> Result<(), Error> {
        test_run::leave(traffic::egress(&mut self.ebpf)?, frame, is_forwarded)
    }

    /// The loaded program, for what leads frames to it without attaching it: the bench.
    pub fn program(&self) -> Result<&Xdp, Error> {
        let program = self.ebpf.program(PROGRAM).ok_or_else(|| Error::Missing(PROGRAM.into()))?;
        program.try_into().map_err(Error::Program)
    }

    /// Returns the counters, summed over the CPUs.
    pub fn counters(&self) -> Result<Counters, Error> {
        counters::read(&self.counters)
    }

    /// Returns the state of the table of bound ports.
    pub fn bound_state(&self) -> Result<BoundState, Error> {
        let map = self.ebpf.map(bound::HORIZON).ok_or_else(|| Error::Missing(bound::HORIZON.into()))?;
        BoundState::read(&Array::<&MapData, _>::try_from(map).map_err(Error::map(bound::HORIZON))?)
    }

    /// Attaches the bind hooks, for as long as the result exists.
    pub fn see_binds(&mut self) -> Hooks {
        Hooks::attach(&mut self.ebpf, &self.pins.hooks_directory())
    }

    /// Steers connections and datagrams for traps to `sockets`, for as long as the result exists.
    pub fn set_traps(&mut self, sockets: &[(TrapSlot, &dyn AsRawFd)]) -> Result<Traps, Error> {
        trap::set(&mut self.ebpf, sockets)
    }

    /// Writes a heartbeat, without which the program drops nothing after `OPEN_AFTER`. It also invalidates the
    /// benign-flow cache, which nothing else would if it covered every packet.
    pub fn beat(&mut self) -> Result<(), Error> {
        self.gate.forget();
        heartbeat::beat(
            self.ebpf.map_mut(heartbeat::MAP).ok_or_else(|| Error::Missing(heartbeat::MAP.into()))?,
        )
    }

    /// Replaces the older of the two keys of the challenge's cookies.
    pub fn renew_secrets(&mut self) -> Result<(), Error> {
        secrets::renew(self.ebpf.map_mut(secrets::MAP).ok_or_else(|| Error::Missing(secrets::MAP.into()))?)
    }

    /// Returns the number of set bits in the gates, IPv4 and IPv6 together: packets of sources with a set bit cost
    /// look-ups.
    #[must_use]
    pub fn gate_bits(&self) -> usize {
        self.gate.count()
    }

    /// Switches the program from looking up every source to using its gates; must be called once no other program is
    /// attached that could enter blocks.
    pub fn settle_gates(&self) -> Result<(), Error> {
        gate::synchronize_rcu();
        if self.entered == Some(entered(&self.counters()?)) {
            self.gate.close();
        } else {
            self.renew_gates()?;
        }
        gate::settle(&self.pins)
    }

    /// Clears stale bits of the gates.
    pub fn renew_gates(&self) -> Result<(), Error> {
        self.gate.renew(|| {
            self.blocked.fill_gate()?;
            self.fenced.fill_gate()?;
            self.networks.fill_gate()
        })
    }

    /// Returns the program's debug messages; only the first caller gets them.
    pub fn debug_log(&mut self) -> Result<DebugLog, Error> {
        DebugLog::of(&mut self.ebpf)
    }
}

/// Recognises the error of the first system call if this process lacks privileges.
fn denied(error: Error) -> Error {
    match super::error::os_error(&error).map(nix::Error::from_raw) {
        Some(nix::Error::EPERM | nix::Error::EACCES) => Error::Privileges,
        _ => error,
    }
}

/// Returns the number of sources that programs have entered in the maps.
fn entered(counters: &Counters) -> u64 {
    counters.get(Counter::Blocked).wrapping_add(counters.get(Counter::Fenced))
}

/// Returns the lowest and highest port that the kernel assigns to sockets that ask for none; the kernel's default if
/// they can't be read.
#[must_use]
pub fn ephemeral() -> (u16, u16) {
    const DEFAULT: (u16, u16) = (32_768, 60_999);
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let ports: Vec<u16> = range.split_whitespace().filter_map(|port| port.parse().ok()).collect();
    if let [first, last] = ports[..] { (first, last) } else { DEFAULT }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, Error> {
    let program = ebpf.program_mut(name).ok_or_else(|| Error::Missing(name.into()))?;
    program.try_into().map_err(Error::Program)
}

/// Returns the program for an interface's frames. Few hosts need the one for bare frames, so it is loaded on demand.
fn program_for<'a>(ebpf: &'a mut Ebpf, (interface, index): (&str, u32)) -> Result<&'a mut Xdp, Error> {
    match Framing::of_interface(index) {
        Ok(Framing::Ethernet) => program(ebpf, PROGRAM),
        Ok(Framing::Bare) => bare(ebpf),
        Ok(Framing::Other(number)) => Err(Error::Framing { interface: interface.into(), number }),
        Err(_) => Err(Error::NoInterface(interface.into())),
    }
}

fn bare(ebpf: &mut Ebpf) -> Result<&mut Xdp, Error> {
    let program = program(ebpf, BARE)?;
    if program.fd().is_err() {
        verify(program)?;
    }
    Ok(program)
}

fn verify(program: &mut Xdp) -> Result<(), Error> {
    unsignalled(|| program.load())
}

/// Loads a program without being disturbed.
pub(super) fn unsignalled(load: impl FnOnce() -> Result<(), ProgramError>) -> Result<(), Error> {
    // A signal makes the verifier give up (EAGAIN), and the loader try again with a log, which takes seconds.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap_or_else(|_| SigSet::empty());
    let loaded = load();
    // The mask was this thread's, so the kernel takes it.
    let _ = before.thread_set_mask();
    loaded.map_err(|error| match error {
        ProgramError::LoadError { ref io_error, ref verifier_log } => match io_error.raw_os_error() {
            Some(number) if number == nix::Error::EPERM as i32 => Error::Privileges,
            _ => Error::Refused(format!("{io_error}\n{verifier_log}")),
        },
        error => Error::Program(error),
    })
}

fn take<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, Error> {
    let map = ebpf.take_map(name).ok_or_else(|| Error::Missing(name.into()))?;
    T::try_from(map).map_err(Error::map(name))
}
