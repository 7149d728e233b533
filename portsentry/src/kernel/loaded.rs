//! The loaded program and its maps, as the daemon uses them while it runs.

use std::{collections::HashSet, net::SocketAddr, os::fd::AsRawFd, sync::Arc};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError, PerCpuArray},
    programs::{SchedClassifier, Xdp},
};
use portsentry_common::{
    classify::Protocol,
    counter::{Counter, Counters},
    settings::{FencedSyns, Settings},
    state::SteerKey,
};

use super::{
    Attachment, Blocked, BlockedNetworks, Bound, BoundState, DebugLog, Error, Hooks, Kept, LearnedPorts,
    Networks, PinState, Pins, ScanMemory, TestRun, TrapSlot, Traps, Waiting, accept, bitmap, bound,
    constants, counters,
    gate::{self, Gate},
    heartbeat,
    inherit::Found,
    link,
    per_source::{HandshakesMap, TalliesMap},
    program::{PROGRAM, bare, program_for},
    ring, scan, secrets, settings_pin, test_run, traffic, trap,
    watched::Watched,
};
use crate::policy::placement::Placement;

/// Key of a connection that a fenced source opened: the bytes of a [`SteerKey`].
pub type OpenedKey = [u8; size_of::<SteerKey>()];

/// The loaded program and its maps.
pub struct Kernel {
    /// The program's settings.
    pub settings: Settings,
    pub(super) ebpf: Ebpf,
    pub(super) pins: Pins,
    pub(super) counters: PerCpuArray<MapData, counters::Raw>,
    pub(super) gate: Arc<Gate>,
    pub(super) why_forwarded: Option<String>,
    /// Number of sources that programs had entered in the maps before the maps were read into the gates, or `None`
    /// if an earlier program has other counters.
    pub(super) entered: Option<u64>,
    /// The blocked sources.
    pub blocked: Blocked,
    /// The blocked networks.
    pub networks: BlockedNetworks,
    /// The fenced sources.
    pub fenced: Blocked,
    /// The sources that completed handshakes with traps.
    pub handshakes: HandshakesMap,
    /// The number of counted probes per source.
    pub tallies: TalliesMap,
    /// The sources whose first contacts failed, if scans are detected.
    pub scans: Option<ScanMemory>,
    /// The ports learned from other hosts' answers, if answers teach.
    pub learned: Option<LearnedPorts>,
    /// Networks that are never blocked.
    pub ignored: Networks,
    /// Networks whose ports are watched.
    pub local: Networks,
    /// The table of bound ports, until the thread that maintains it takes it.
    pub bound: Option<Bound>,
    /// The contents of the maps when they were taken over.
    pub found: Found,
}

impl Kernel {
    /// Sets the watched ports, by list and in advanced mode.
    pub fn watch(&mut self, name: Watched, words: &[u64; 1024]) -> Result<(), Error> {
        let name = name.map();
        let map = self.ebpf.map_mut(name).ok_or_else(|| Error::Missing(name.into()))?;
        bitmap::write(&Array::try_from(map).map_err(Error::map(name))?, words)
    }

    /// Attaches the program to an interface by name, taking over an earlier run's link.
    pub fn attach(&mut self, interface: &str, placement: Placement) -> Result<Attachment, Error> {
        let index =
            nix::net::if_::if_nametoindex(interface).map_err(|_| Error::NoInterface(interface.into()))?;
        self.attach_to((interface, index), placement)
    }

    /// Like [`Kernel::attach`], by index; the name is used in messages.
    pub fn attach_to(&mut self, interface: (&str, u32), placement: Placement) -> Result<Attachment, Error> {
        let program = program_for(&mut self.ebpf, interface)?;
        link::attach(program, &self.pins, interface, placement)
    }

    /// Whether the program on the interface with this index is generic only until the interface is configured.
    #[must_use]
    pub fn is_provisional(&self, index: u32) -> bool {
        self.pins.provisional(index).exists()
    }

    /// Whether a link to the interface with this index is pinned.
    #[must_use]
    pub fn is_pinned(&self, index: u32) -> bool {
        self.pins.pin_state() == PinState::There && self.pins.link(index).exists()
    }

    /// Lets such a program stay as it is, for this reason.
    pub fn keep_generic(&mut self, interface: (&str, u32), reason: &str) -> Result<Attachment, Error> {
        link::keep_generic(&self.pins, interface, reason)
    }

    /// Replaces such a program by one that stays. For a moment the interface has none.
    pub fn settle(&mut self, interface: (&str, u32), placement: Placement) -> Result<Attachment, Error> {
        let program = program_for(&mut self.ebpf, interface)?;
        link::settle(program, &self.pins, interface, placement)
    }

    /// Attaches the traffic control programs to the interface with this index, and sets the constant fields of
    /// answers through it, given its MTU. Must be called before the main program is attached, so that the kernel can
    /// accept the connections that it answers.
    pub fn attach_traffic(&mut self, index: u32, mtu: u32) -> Result<(), Error> {
        self.set_constants(index, mtu)?;
        for hook in traffic::HOOKS {
            let is_wanted = match hook {
                traffic::Hook::Egress => true,
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

    /// Attaches the program for outgoing packets to the interface with this index again, unless it is attached.
    /// `has_failed` says whether the last attempt failed: then a missing pin is no administrator's removal.
    pub fn keep_outgoing(&mut self, index: u32, has_failed: bool) -> Result<Kept, Error> {
        traffic::keep(&mut self.ebpf, &self.pins, index, has_failed)
    }

    /// Sets the constant fields of answers through the interface with this index, given its MTU, to those of the
    /// network stack.
    pub fn set_constants(&mut self, index: u32, mtu: u32) -> Result<(), Error> {
        const MAP: &str = "ANSWERS";
        let map = self.ebpf.map_mut(MAP).ok_or_else(|| Error::Missing(MAP.into()))?;
        let mut map: HashMap<_, u32, [u8; 12]> = HashMap::try_from(map).map_err(Error::map(MAP))?;
        let constants = constants::constants(mtu);
        map.insert(index, bytemuck::cast::<_, [u8; 12]>(constants), 0).map_err(Error::map(MAP))?;
        let near =
            self.ebpf.map_mut(constants::NEAR).ok_or_else(|| Error::Missing(constants::NEAR.into()))?;
        let mut near = Array::try_from(near).map_err(Error::map(constants::NEAR))?;
        constants::write_near(&mut near, index, constants)
    }

    /// Whether the connection of `peer` to the local `port` was opened while its source was fenced.
    #[must_use]
    pub fn was_opened(&self, peer: SocketAddr, port: u16) -> bool {
        let Some(map) = self.ebpf.map("OPENED") else { return false };
        let key = SteerKey::new(peer.ip().into(), peer.port(), port, Protocol::Tcp as u8);
        let key: OpenedKey = bytemuck::cast(key);
        HashMap::<&MapData, OpenedKey, u32>::try_from(map).is_ok_and(|map| map.get(&key, 0).is_ok())
    }

    /// Returns the keys of the connections that fenced sources opened.
    pub fn opened(&self) -> Result<HashSet<OpenedKey>, Error> {
        const MAP: &str = "OPENED";
        let map = self.ebpf.map(MAP).ok_or_else(|| Error::Missing(MAP.into()))?;
        let map: HashMap<&MapData, OpenedKey, u32> = HashMap::try_from(map).map_err(Error::map(MAP))?;
        // The kernel program changes the map meanwhile, which may end the iteration early.
        Ok(map.keys().map_while(Result::ok).collect())
    }

    /// Makes such a connection one like any other.
    pub fn forget_opened(&mut self, key: &OpenedKey) -> Result<(), Error> {
        const MAP: &str = "OPENED";
        let map = self.ebpf.map_mut(MAP).ok_or_else(|| Error::Missing(MAP.into()))?;
        let mut map: HashMap<_, OpenedKey, u32> = HashMap::try_from(map).map_err(Error::map(MAP))?;
        match map.remove(key) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(error) => Err(Error::map(MAP)(error)),
        }
    }

    /// Describes the answers to fenced sources' SYNs for the log, or returns `None` if these are dropped.
    #[must_use]
    pub fn fence(&self) -> Option<String> {
        if self.settings.accepts() {
            return Some(format!("The fence is {}", accept::describe_fence(FencedSyns::Accept)));
        }
        let why = self.why_forwarded.as_deref().filter(|_| self.settings.opens())?;
        Some(format!("The fence is {}, because {why}", accept::describe_fence(FencedSyns::Forward)))
    }

    /// Returns the indices of the interfaces to which PortSentry's program is attached.
    pub fn attached(&self) -> impl Iterator<Item = u32> {
        self.pins.links()
    }

    /// Detaches from every interface whose index is not in `keep`.
    pub fn detach_all_but(&self, keep: &[u32]) -> Result<(), Error> {
        self.pins.detach_all_but(keep)
    }

    /// Detaches from every interface, and removes all pins.
    pub fn remove_pins(&self) -> Result<(), Error> {
        self.pins.remove_all().map(drop)
    }

    /// Checks the pins, and restores hidden ones. Returns `false` if it did, so that a new session must use them.
    pub fn keep_pins(&self) -> Result<bool, Error> {
        self.pins.keep()
    }

    /// Returns the ring's size and its unread data.
    pub fn ring(&self) -> Result<Waiting, Error> {
        ring::waiting(&self.pins.map("EVENTS"))
    }

    /// Runs the program `times` times on `frame` (at least 14 bytes), without attaching it.
    pub fn try_frame(&self, frame: &[u8], times: u32) -> Result<TestRun, Error> {
        test_run::run(self.program()?, frame, times)
    }

    /// Runs the program for frames that begin with their IP header, which also needs at least 14 bytes.
    pub fn try_packet(&mut self, packet: &[u8]) -> Result<TestRun, Error> {
        test_run::run(bare(&mut self.ebpf)?, packet, 1)
    }

    /// Runs the program for outgoing packets on a frame that this host sent or forwarded. Returns whether it leaves.
    pub fn try_leaving(&mut self, frame: &[u8], is_forwarded: bool) -> Result<bool, Error> {
        test_run::leave(traffic::load_egress(&mut self.ebpf)?, frame, is_forwarded)
    }

    /// Returns the loaded program, for the bench, which passes frames to it without attaching it.
    pub fn program(&self) -> Result<&Xdp, Error> {
        let program = self.ebpf.program(PROGRAM).ok_or_else(|| Error::Missing(PROGRAM.into()))?;
        program.try_into().map_err(Error::Program)
    }

    /// Loads the program for outgoing packets without attaching it, for the bench.
    pub fn load_egress(&mut self) -> Result<(), Error> {
        traffic::load_egress(&mut self.ebpf).map(drop)
    }

    /// Returns the program for outgoing packets that [`Self::load_egress`] has loaded.
    pub fn egress(&self) -> Result<&SchedClassifier, Error> {
        traffic::egress(&self.ebpf)
    }

    /// Returns the counters, summed over the CPUs, and with the scans that the daemon judged.
    pub fn counters(&self) -> Result<Counters, Error> {
        scan::with_judged(&counters::read(&self.counters)?, &scan::loaded(&self.ebpf)?)
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

    /// Writes a heartbeat. After `OPEN_AFTER` without one, the program drops no packets. The heartbeat also
    /// invalidates the benign-flow cache, which would otherwise stay valid if it covered every packet.
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

    /// Returns the number of set bits in the gates, IPv4 and IPv6 together. Packets of sources with a set bit cost
    /// look-ups.
    #[must_use]
    pub fn gate_bits(&self) -> usize {
        self.gate.count()
    }

    /// Switches the program from looking up every source to using its gates. Must be called once no other attached
    /// program can enter blocks.
    pub fn settle_gates(&self) -> Result<(), Error> {
        gate::synchronize_rcu();
        if self.entered == Some(entered(&self.counters()?)) {
            self.gate.close();
        } else {
            self.renew_gates()?;
        }
        gate::settle(&self.pins)?;
        settings_pin::publish(&self.pins, &self.settings)
    }

    /// Clears stale bits of the gates.
    pub fn renew_gates(&self) -> Result<(), Error> {
        self.gate.renew(|| {
            self.blocked.fill_gate()?;
            self.fenced.fill_gate()?;
            self.networks.fill_gate()
        })
    }

    /// Returns the program's debug messages. Only the first caller gets them.
    pub fn debug_log(&mut self) -> Result<DebugLog, Error> {
        DebugLog::of(&mut self.ebpf)
    }
}

/// Returns the number of sources that programs have entered in the maps.
pub(super) fn entered(counters: &Counters) -> u64 {
    counters.get(Counter::Blocked).wrapping_add(counters.get(Counter::Fenced))
}
