//! Loads the kernel program, reusing the maps of an earlier run if they match.

use std::{fs, path::Path, sync::Arc, thread};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapData, MapError, RingBuf},
};
use portsentry_common::{gate::Held, settings::FencedSyns};

use super::{
    Blocked, BlockedNetworks, Bound, Clock, Error, Kernel, LearnedPorts, Load, Networks, Pins, Ring,
    ScanMemory, accept, blocked_networks, bound,
    gate::{self, Gate},
    heartbeat,
    inherit::{BLOCKED, FENCED, Found, Inheritance},
    layout::{Layout, drop_misfit, drop_renamed},
    learned,
    loaded::entered,
    local_hosts::{self, LocalHosts},
    near_ignored::{Bitmaps, NEAR},
    per_source::{HANDSHAKES, HandshakesMap, TALLIES, TalliesMap},
    program::{PROGRAM, program, verify},
    scan, secrets, traffic,
};

/// The kernel program's object file (ELF), built by `cargo xtask build-ebpf`.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/portsentry.o"));
const BTF: &str = "/sys/kernel/btf/vmlinux";

impl Load {
    /// Loads the program with maps pinned in `pins`.
    pub fn load(mut self, pins: Pins) -> Result<(Kernel, Ring), Error> {
        if !Path::new(BTF).exists() {
            return Err(Error::NoBtf(BTF.into()));
        }
        let layouts = self.layouts();
        // Otherwise a program may be entering sources in these maps.
        let are_new = BLOCKED.iter().chain(&FENCED).all(|name| !pins.map(name).exists());
        let mut inheritance = Inheritance::default();
        let mut are_known = true;
        for layout in &layouts {
            if let Some(misfit) = drop_misfit(&pins, layout)? {
                inheritance.take(layout.0, &misfit);
                are_known = false;
            }
        }
        drop_renamed(&pins)?;
        if self.settings.jiffy_ns == 0 {
            let clock = Clock::measure()?;
            self.settings.jiffy_ns = clock.jiffy_ns;
            self.settings.first_jiffy = clock.first_jiffy;
        }
        self.settings.question_key = learned::random_key()?;
        self.settings.scan_mask = self.scan_sets - 1;
        if self.settings.scan_key == 0 {
            self.settings.scan_key = scan::key(&pins)?;
        }
        self.settings = self.settings.paced();
        let types = if self.settings.accepts() { fs::read(BTF).unwrap_or_default() } else { Vec::new() };
        let accept = accept::function(&types);
        let mut why_forwarded =
            if self.settings.accepts() { accept::why_not(accept).map(str::to_owned) } else { None };
        if why_forwarded.is_some() {
            self.settings.fenced_syns = FencedSyns::Forward as u8;
        }
        let is_of_earlier_version =
            pins.map(bound::SERVED).exists() && !pins.map(bound::NEEDS_SYN_MAP).exists();
        let mut ebpf = self.open(&pins, &layouts, accept)?;
        if self.settings.accepts()
            && let Err(error) = traffic::try_accept(&mut ebpf)
        {
            why_forwarded = Some(error.to_string());
            self.settings.fenced_syns = FencedSyns::Forward as u8;
            ebpf = self.open(&pins, &layouts, accept)?;
        }
        if is_of_earlier_version {
            bound::expect_needs_syn(&mut ebpf)?;
        }
        let gate = Arc::new(Gate::of(&ebpf)?);
        if !are_new {
            gate.open_wide();
        }
        let mut sources = |names: [&'static str; 2], held, capacity| -> Result<Blocked, Error> {
            let (v4, v6) = (take(&mut ebpf, names[0])?, take(&mut ebpf, names[1])?);
            Ok(Blocked::new((names, held), v4, v6, Arc::clone(&gate), capacity))
        };
        let mut blocked = sources(BLOCKED, Held::Blocked, self.max_blocked)?;
        let mut fenced = sources(FENCED, Held::Fenced, self.max_fenced)?;
        let left_out = inheritance.leave(&mut blocked, &mut fenced)?;
        let networks = take(&mut ebpf, blocked_networks::MAP)?;
        let networks = BlockedNetworks::new(networks, Arc::clone(&gate), self.max_networks);
        let counters = take(&mut ebpf, "COUNTERS")?;
        scan::keep_key(&mut ebpf, self.settings.scan_key)?;
        secrets::renew(ebpf.map_mut(secrets::MAP).ok_or_else(|| Error::Missing(secrets::MAP.into()))?)?;
        heartbeat::beat(ebpf.map_mut(heartbeat::MAP).ok_or_else(|| Error::Missing(heartbeat::MAP.into()))?)?;
        let program = program(&mut ebpf, PROGRAM)?;
        // Verification takes as long as reading a million blocks.
        let (verified, found) = thread::scope(|scope| {
            let found = scope.spawn(|| Found::take(&counters, [&blocked, &fenced], &networks));
            (verify(program), found.join())
        });
        verified?;
        let found = found.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let counted = scan::with_judged(&found.counters, &scan::loaded(&ebpf)?)?;
        let found = Found { left_out, counters: counted, ..found };
        let ring = Ring::new(take::<RingBuf<MapData>>(&mut ebpf, "EVENTS")?);
        let pair = |ebpf: &mut Ebpf, names: [&'static str; 2]| -> Result<Networks, Error> {
            Networks::new(names, take(ebpf, names[0])?, take(ebpf, names[1])?, self.max_addresses)
        };
        let near = Bitmaps::new([take(&mut ebpf, NEAR[0])?, take(&mut ebpf, NEAR[1])?]);
        let hosts = LocalHosts::new(take(&mut ebpf, local_hosts::MAP)?);
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
            scans: self.settings.detects_scans().then(|| ScanMemory::pinned(pins.directory())).transpose()?,
            learned: if self.settings.learns() { LearnedPorts::open(pins.directory())? } else { None },
            bound: Some(Bound::open(&pins, self.settings.keeps_served != 0)?),
            ignored: pair(&mut ebpf, ["IGNORED_V4", "IGNORED_V6"])?.behind(near)?,
            local: pair(&mut ebpf, ["LOCAL_V4", "LOCAL_V6"])?.behind_hosts(hosts)?,
            ebpf,
            pins,
        };
        Ok((kernel, ring))
    }

    /// Opens the object file and the maps. `accept` is the number of the kernel's function that opens connections.
    fn open(&self, pins: &Pins, layouts: &[Layout], accept: Option<u32>) -> Result<Ebpf, Error> {
        let level: u8 = if self.debug { aya_log::Level::Debug as u8 } else { 0 };
        let mut loader = EbpfLoader::new();
        loader.override_global("AYA_LOG_LEVEL", &level, true);
        loader.override_global("SETTINGS", bytemuck::bytes_of(&self.settings), true);
        for (name, _, _, entries) in layouts {
            loader.map_pin_path(name, pins.map(name));
            if let Some(entries) = entries {
                loader.map_max_entries(name, *entries);
            }
        }
        gate::make(pins, &mut loader).map_err(denied)?;
        let function = accept.filter(|_| self.settings.accepts());
        loader.load(&accept::patched(OBJECT, function)).map_err(|error| denied(error.into()))
    }
}

/// Recognises the error of the first system call if this process lacks privileges.
fn denied(error: Error) -> Error {
    match super::error::os_error(&error).map(nix::Error::from_raw) {
        Some(nix::Error::EPERM | nix::Error::EACCES) => Error::Privileges,
        _ => error,
    }
}

fn take<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, Error> {
    let map = ebpf.take_map(name).ok_or_else(|| Error::Missing(name.into()))?;
    T::try_from(map).map_err(Error::map(name))
}
