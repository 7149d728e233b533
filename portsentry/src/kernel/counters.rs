//! The kernel program's counters, summed over the CPUs.

use aya::maps::{MapData, PerCpuArray};
use bytemuck::Zeroable;
use portsentry_common::counter::Counters;

use super::Error;

pub(super) type Raw = [u8; size_of::<Counters>()];

/// Returns the sums since the maps were created.
pub(super) fn read(map: &PerCpuArray<MapData, Raw>) -> Result<Counters, Error> {
    let cpus = map.get(&0, 0).map_err(Error::map("COUNTERS"))?;
    let sum = |sum: Counters, cpu: &Raw| sum.plus(&bytemuck::pod_read_unaligned(cpu));
    Ok(cpus.iter().fold(Counters::zeroed(), sum))
}
