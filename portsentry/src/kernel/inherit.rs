//! Takes over the blocks and fences of an earlier run, even from maps of another version or size.

use std::{net::IpAddr, os::fd::AsFd};

use aya::maps::{MapData, PerCpuArray};
use bytemuck::Zeroable;
use portsentry_common::{block::Block, counter::Counters};

use super::{Blocked, BlockedNetworks, Error, batch, counters, monotonic_ns};

/// The maps of blocked sources, IPv4 and IPv6.
pub(super) const BLOCKED: [&str; 2] = ["BLOCKED_V4", "BLOCKED_V6"];
/// The maps of fenced sources, IPv4 and IPv6.
pub(super) const FENCED: [&str; 2] = ["FENCED_V4", "FENCED_V6"];

/// The contents of maps that were replaced.
#[derive(Debug, Default)]
pub(super) struct Inheritance {
    blocked: Vec<(IpAddr, Block)>,
    fenced: Vec<(IpAddr, Block)>,
}

impl Inheritance {
    /// Takes the unexpired entries of the map called `name`, if it is a map of sources. Skips unreadable entries,
    /// because the blocked file has them, too.
    pub(super) fn take(&mut self, name: &str, map: &MapData) {
        let heirs = if BLOCKED.contains(&name) {
            &mut self.blocked
        } else if FENCED.contains(&name) {
            &mut self.fenced
        } else {
            return;
        };
        let now_ns = monotonic_ns().unsigned_abs();
        let found = read(map).unwrap_or_default().into_iter();
        heirs.extend(found.filter(|(_, block)| !block.is_over(now_ns)));
    }

    /// Enters the newest entries, up to the maps' capacity. Returns the blocks without room. Fences without room
    /// are dropped.
    pub(super) fn leave(
        self,
        blocked: &mut Blocked,
        fenced: &mut Blocked,
    ) -> Result<Vec<(IpAddr, Block)>, Error> {
        hand_over(self.fenced, fenced)?;
        hand_over(self.blocked, blocked)
    }
}

/// Enters the newest entries, and returns those without room.
fn hand_over(mut heirs: Vec<(IpAddr, Block)>, map: &mut Blocked) -> Result<Vec<(IpAddr, Block)>, Error> {
    heirs.sort_by_key(|(_, block)| std::cmp::Reverse(block.since_ns));
    let (mut v4, mut v6): (Vec<_>, Vec<_>) = heirs.into_iter().partition(|(source, _)| source.is_ipv4());
    let left_out = [&mut v4, &mut v6].map(|family| family.split_off(family.len().min(map.capacity())));
    map.insert_all(&v4)?;
    map.insert_all(&v6)?;
    Ok(left_out.concat())
}

/// The contents of the maps when they were taken over. Entries that an earlier program makes later are reported, or
/// counted as suppressed.
#[derive(Debug, Default)]
pub struct Found {
    /// Blocked sources, including expired blocks.
    pub blocked: Vec<(IpAddr, Block)>,
    /// Fenced sources, including expired fences.
    pub fenced: Vec<(IpAddr, Block)>,
    /// The counters, from before the maps were read.
    pub counters: Counters,
    /// Blocked sources from maps of another size for which these maps had no room.
    pub left_out: Vec<(IpAddr, Block)>,
}

impl Found {
    /// Reads the maps, and sets the gates' bits.
    pub(super) fn take(
        counters: &PerCpuArray<MapData, counters::Raw>,
        [blocked, fenced]: [&Blocked; 2],
        networks: &BlockedNetworks,
    ) -> Result<Self, Error> {
        let counters = counters::read(counters)?;
        networks.fill_gate()?;
        let (blocked, fenced) = (blocked.fill_gate()?, fenced.fill_gate()?);
        Ok(Self { blocked, fenced, counters, left_out: Vec::new() })
    }
}

/// Reads the entries of a map whose keys are addresses and whose values begin like a [`Block`].
fn read(map: &MapData) -> Option<Vec<(IpAddr, Block)>> {
    let info = map.info().ok()?;
    let (key, value) = (info.key_size() as usize, info.value_size() as usize);
    if key != 4 && key != 16 || value == 0 {
        return None;
    }
    let octets = batch::read_octets(map.fd().as_fd(), info.max_entries(), (key, value)).ok()?;
    let address = |octets: &[u8]| match <[u8; 4]>::try_from(octets) {
        Ok(octets) => Some(IpAddr::from(octets)),
        Err(_) => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
    };
    let entries = octets.keys.chunks_exact(key).zip(octets.values.chunks_exact(value));
    Some(entries.filter_map(|(key, value)| Some((address(key)?, begun(value)))).collect())
}

/// Returns the fields that `value` contains. Missing fields are zero.
fn begun(value: &[u8]) -> Block {
    let mut block = Block::zeroed();
    let ours = bytemuck::bytes_of_mut(&mut block);
    let length = ours.len().min(value.len());
    ours[..length].copy_from_slice(&value[..length]);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_versions_have_in_common_is_taken() {
        let block = Block { since_ns: -7, until_ns: 9, port: 11, proof: 1, ..Block::zeroed() };
        let longer = [bytemuck::bytes_of(&block), &[1; 24]].concat();
        assert_eq!(begun(&longer), block);
        assert_eq!(begun(&longer[..16]), Block { port: 0, proof: 0, ..block });
    }
}
