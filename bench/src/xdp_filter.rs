//! Debian's `xdp-filter` (package xdp-tools), in its smallest variant that drops by address.

use std::{net::IpAddr, path::Path};

use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::{PerCpuHashMap, PerCpuValues},
    programs::{Xdp, XdpMode},
    util::nr_cpus,
};

use crate::{
    bytecode::xdp_mut,
    directory::Directory,
    paths::{BLOCKED, OWN},
    sources::{FAMILIES, Family},
};

const OBJECT: &str = "/usr/lib/x86_64-linux-gnu/bpf/xdpfilt_alw_ip.o";
const PROGRAM: &str = "xdpfilt_alw_ip";
/// Look-up by source and by destination (`MAP_FLAG_SRC` and `MAP_FLAG_DST` in its `common_kern_user.h`).
const AS_SOURCE: u64 = 1;
const AS_DESTINATION: u64 = 1 << 1;

/// The loaded program.
pub(crate) struct XdpFilter {
    ebpf: Ebpf,
    _pins: Directory,
}

impl XdpFilter {
    /// Loads the program if it is installed. It drops `entries` sources of each address family, and those blocked
    /// by address.
    pub(crate) fn load(entries: u32) -> Result<Option<Self>> {
        let named = BLOCKED.iter().map(|address| address.parse());
        Self::load_with(entries, AS_SOURCE, &named.collect::<Result<Vec<IpAddr>, _>>()?)
    }

    /// Loads the program, if it is installed, so that it drops every packet to the bench's own addresses.
    pub(crate) fn load_against_all() -> Result<Option<Self>> {
        let named = OWN.iter().map(|address| address.parse());
        Self::load_with(0, AS_DESTINATION, &named.collect::<Result<Vec<IpAddr>, _>>()?)
    }

    fn load_with(entries: u32, end: u64, named: &[IpAddr]) -> Result<Option<Self>> {
        if !Path::new(OBJECT).exists() {
            return Ok(None);
        }
        // It requires pinned maps.
        let pins = Directory::new()?;
        let mut loader = EbpfLoader::new();
        loader.default_map_pin_directory(pins.path());
        for family in FAMILIES {
            loader.map_max_entries(map(family), entries + 16);
        }
        let mut filter = Self { ebpf: loader.load_file(OBJECT).context(OBJECT)?, _pins: pins };
        xdp_mut(&mut filter.ebpf, PROGRAM)?.load().context(OBJECT)?;
        for family in FAMILIES {
            filter.fill(family, entries, end, named).context(map(family))?;
        }
        Ok(Some(filter))
    }

    pub(crate) fn program(&self) -> Result<&Xdp> {
        Ok(self.ebpf.program(PROGRAM).context(PROGRAM)?.try_into()?)
    }

    /// Attaches it to an interface of this network namespace.
    pub(crate) fn attach(&mut self, interface: &str) -> Result<()> {
        xdp_mut(&mut self.ebpf, PROGRAM)?.attach(interface, XdpMode::Driver).context(PROGRAM)?;
        Ok(())
    }

    fn fill(&mut self, family: Family, entries: u32, end: u64, named: &[IpAddr]) -> Result<()> {
        let sources = (0..entries).map(|number| family.source(number)).chain(named.iter().copied());
        let flags = PerCpuValues::try_from(vec![end; nr_cpus().map_err(|(_, error)| error)?])?;
        let map = self.ebpf.map_mut(map(family)).context("no such map")?;
        match family {
            Family::V4 => {
                let mut map = PerCpuHashMap::<_, [u8; 4], u64>::try_from(map)?;
                for source in sources {
                    if let IpAddr::V4(source) = source {
                        map.insert(source.octets(), clone(&flags)?, 0)?;
                    }
                }
            }
            Family::V6 => {
                let mut map = PerCpuHashMap::<_, [u8; 16], u64>::try_from(map)?;
                for source in sources {
                    if let IpAddr::V6(source) = source {
                        map.insert(source.octets(), clone(&flags)?, 0)?;
                    }
                }
            }
        }
        Ok(())
    }
}

const fn map(family: Family) -> &'static str {
    match family {
        Family::V4 => "filter_ipv4",
        Family::V6 => "filter_ipv6",
    }
}

fn clone(values: &PerCpuValues<u64>) -> Result<PerCpuValues<u64>> {
    Ok(PerCpuValues::try_from(values.to_vec())?)
}
