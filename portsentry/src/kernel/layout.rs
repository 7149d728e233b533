//! The pinned maps, which outlive a daemon: their layouts, and the replacement of maps that don't match.

use std::path::PathBuf;

use aya::maps::{MapData, MapInfo};
use portsentry_common::{
    block::Block,
    bound,
    challenge::{Constants, NearConstants, Secrets},
    counter::Counters,
    event::Event,
    failures::Failures,
    learned::PortKey,
    local_hosts::LocalHost,
    scan::{
        memory::{Probation, Suspects},
        state::State,
    },
    state,
    tally::{Handshakes, Tally},
    token_bucket::TokenBuckets,
};

use super::{
    Error, Load, Pins, blocked_networks,
    bound::{DEVICES, HORIZON, NEEDS_SYN_MAP, SERVED, SLOTS},
    constants, heartbeat, learned, local_hosts,
    near_ignored::NEAR,
    networks,
    per_source::{HANDSHAKES, TALLIES},
    scan, secrets,
};

/// A map's name, its key and value sizes, and its number of entries unless the object file sets it.
pub(super) type Layout = (&'static str, u32, u32, Option<u32>);

impl Load {
    /// The maps that are pinned.
    pub(super) fn layouts(&self) -> [Layout; 41] {
        const WORD: u32 = 8;
        let Self {
            max_blocked,
            max_networks,
            max_addresses,
            max_fenced,
            max_sources,
            max_served,
            scan_sets,
            ring_size,
            ..
        } = *self;
        let addresses = Some(networks::capacity(max_addresses));
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let block = size(size_of::<Block>());
        [
            ("WATCHED_TCP", 4, WORD, None),
            ("WATCHED_UDP", 4, WORD, None),
            ("ADVANCED_TCP", 4, WORD, None),
            ("ADVANCED_UDP", 4, WORD, None),
            ("BLOCKED_V4", 4, block, Some(max_blocked)),
            ("BLOCKED_V6", 16, block, Some(max_blocked)),
            (blocked_networks::MAP, 4 + size(size_of::<state::NetworkKey>()), block, Some(max_networks)),
            ("FENCED_V4", 4, block, Some(max_fenced)),
            ("FENCED_V6", 16, block, Some(max_fenced)),
            ("FLOWS", size(size_of::<state::FlowKey>()), WORD, None),
            (learned::SERVED, size(size_of::<PortKey>()), WORD, Some(max_served)),
            (learned::REFUSED, size(size_of::<PortKey>()), WORD, Some(max_served)),
            (learned::FAILURES, 16, size(size_of::<Failures>()), Some(max_served)),
            ("EXCLUDED_TCP", 4, WORD, None),
            ("ANSWERS", 4, size(size_of::<Constants>()), None),
            (constants::NEAR, 4, size(size_of::<NearConstants>()), None),
            ("OPENED", size(size_of::<state::SteerKey>()), 4, None),
            (secrets::MAP, 4, size(size_of::<Secrets>()), None),
            (heartbeat::MAP, 4, WORD, None),
            ("IGNORED_V4", 8, 4, addresses),
            ("IGNORED_V6", 20, 4, addresses),
            (NEAR[0], 4, WORD, None),
            (NEAR[1], 4, WORD, None),
            ("LOCAL_V4", 8, 4, addresses),
            ("LOCAL_V6", 20, 4, addresses),
            (local_hosts::MAP, 4, size(size_of::<LocalHost>()), None),
            (SLOTS, 4, size(size_of::<bound::Slot>()), None),
            (HORIZON, 4, size(size_of::<bound::Horizon>()), None),
            (SERVED, size(size_of::<bound::ServedKey>()), 4, None),
            (NEEDS_SYN_MAP, 4, 4, None),
            (DEVICES, 4, size(size_of::<bound::Below>()), None),
            ("STEERED", size(size_of::<state::SteerKey>()), 4, Some(max_sources)),
            (TALLIES, 16, size(size_of::<Tally>()), Some(max_sources)),
            (HANDSHAKES, 16, size(size_of::<Handshakes>()), None),
            (scan::PROBATION, 4, size(size_of::<Probation>()), Some(2 * scan_sets)),
            (scan::SUSPECTS, 4, size(size_of::<Suspects>()), Some(scan_sets)),
            (scan::STATE, 4, size(size_of::<State>()), None),
            ("RECENT", size(size_of::<state::RecentKey>()), WORD, Some(max_sources)),
            ("TOKEN_BUCKETS", 4, size(size_of::<TokenBuckets>()), None),
            ("COUNTERS", 4, size(size_of::<Counters>()), None),
            // A ring has neither keys nor values. Its minimum size is that of a record, so that rings of another
            // version are detected.
            ("EVENTS", 0, 0, Some(ring_size.max(size(size_of::<Event>())))),
        ]
    }
}

/// Unpins and returns a map of another version or size. A running program keeps using the map until it is replaced.
pub(super) fn drop_misfit(
    pins: &Pins,
    (name, key, value, entries): &Layout,
) -> Result<Option<MapData>, Error> {
    let path = pins.map(name);
    if !path.exists() {
        return Ok(None);
    }
    let fits = MapInfo::from_pin(&path).is_ok_and(|info| {
        info.key_size() == *key
            && info.value_size() == *value
            && entries.is_none_or(|entries| info.max_entries() == entries)
    });
    if fits {
        return Ok(None);
    }
    let misfit = MapData::from_pin(&path).ok();
    unpin(path)?;
    Ok(misfit)
}

/// Earlier names of maps whose contents need not outlive a daemon.
const RENAMED: [&str; 2] = ["SIGHTS", "BUDGET"];

/// Removes the pins that an earlier version made under other names.
pub(super) fn drop_renamed(pins: &Pins) -> Result<(), Error> {
    RENAMED.iter().map(|name| pins.map(name)).filter(|path| path.exists()).try_for_each(unpin)
}

fn unpin(path: PathBuf) -> Result<(), Error> {
    std::fs::remove_file(&path).map_err(|error| Error::Pins { path, problem: error.to_string() })
}
