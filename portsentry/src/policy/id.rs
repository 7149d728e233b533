//! Ids of blocks and fences. A network keeps its id from its admission to its release, even if its fence becomes a
//! block, and across restarts.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::hold::ROUNDING;

/// Crockford's base 32: without I, L, O and U, in the order of ASCII, so that ids sort as text.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Number of digits of an id: 55 bits, enough until the year 3111.
const LENGTH: usize = 11;

/// The id of a block or fence: the microsecond of its start, or the next unused one.
///
/// Written as eleven digits of Crockford's base 32 in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct BlockId(u64);

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..LENGTH).rev().try_for_each(|place| {
            let digit = (self.0 >> (5 * place)) & 31;
            fmt::Write::write_char(f, char::from(DIGITS[usize::try_from(digit).unwrap_or_default()]))
        })
    }
}

/// The text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of eleven digits")]
pub struct NotAnId;

impl FromStr for BlockId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != LENGTH {
            return Err(NotAnId);
        }
        let digit = |byte: u8| DIGITS.iter().zip(0_u64..).find(|(digit, _)| **digit == byte);
        let number = text.bytes().try_fold(0, |number, byte| Some(number << 5 | digit(byte)?.1));
        number.map(Self).ok_or(NotAnId)
    }
}

impl From<BlockId> for String {
    fn from(id: BlockId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for BlockId {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        text.parse()
    }
}

impl BlockId {
    /// Returns the first id of `time`.
    fn at(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let bits = 5 * u32::try_from(LENGTH).unwrap_or_default();
        Self(u64::try_from(since.as_micros()).unwrap_or(u64::MAX) & ((1 << bits) - 1))
    }

    fn time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.0)
    }

    /// Whether it can be the id of a block or fence since `since`: no id is older than its block or fence.
    #[must_use]
    pub fn may_be_of(self, since: SystemTime) -> bool {
        self.time() + ROUNDING >= since
    }
}

/// The ids of the blocked and fenced networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    of: BTreeMap<IpNet, BlockId>,
    last: BlockId,
    revision: u64,
}

impl Ids {
    /// Restores the ids of an earlier run, the last of which was `last`.
    #[must_use]
    pub fn new(of: BTreeMap<IpNet, BlockId>, last: BlockId) -> Self {
        let last = of.values().copied().fold(last, Ord::max);
        Self { of, last, revision: 0 }
    }

    /// Returns the id of `network`, if it is blocked or fenced.
    #[must_use]
    pub fn get(&self, network: IpNet) -> Option<BlockId> {
        self.of.get(&network).copied()
    }

    /// Returns the id of `network`. If it has none, assigns one for a block or fence since `since`.
    pub fn assign(&mut self, network: IpNet, since: SystemTime) -> BlockId {
        if let Some(id) = self.get(network) {
            return id;
        }
        let id = BlockId::at(since).max(BlockId(self.last.0 + 1));
        self.last = id;
        self.put(network, id);
        id
    }

    /// Sets the id that `network` had before.
    pub fn put(&mut self, network: IpNet, id: BlockId) {
        self.of.insert(network, id);
        self.revision += 1;
    }

    /// Removes the id of a network that is released.
    pub fn remove(&mut self, network: IpNet) -> Option<BlockId> {
        let id = self.of.remove(&network)?;
        self.revision += 1;
        Some(id)
    }

    /// Removes the ids of all networks for which `is_held` returns `false`.
    pub fn retain(&mut self, is_held: impl Fn(IpNet, BlockId) -> bool) {
        self.of.retain(|network, id| is_held(*network, *id));
        self.revision += 1;
    }

    /// Returns all ids, ordered by network.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, BlockId)> {
        self.of.iter().map(|(network, id)| (*network, *id))
    }

    /// Returns the last assigned id.
    #[must_use]
    pub const fn last(&self) -> BlockId {
        self.last
    }

    /// Returns a number that increases with each change.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(last: u8) -> IpNet {
        std::net::IpAddr::from([192, 0, 2, last]).into()
    }

    fn at(micros: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
    }

    #[test]
    fn it_is_written_in_eleven_digits() {
        let time = at(1_795_929_132_000_000);
        assert_eq!(BlockId::at(time).to_string(), "1k1cdaz8rr0");
        for text in ["", "1k1cdaz8rr", "1k1cdaz8rr00", "1K1CDAZ8RR0", "1k1cdaz8rru", "1k1cbjnc3 0"] {
            assert_eq!(text.parse::<BlockId>(), Err(NotAnId), "{text:?}");
        }
    }

    #[test]
    fn a_network_keeps_its_id_until_it_is_released() {
        let mut ids = Ids::default();
        let first = ids.assign(network(9), at(1000));
        assert_eq!(ids.assign(network(9), at(5_000_000)), first);
        let restored = Ids::new(ids.iter().collect(), ids.last());
        assert_eq!(restored.get(network(9)), Some(first));
        assert_eq!(ids.remove(network(9)), Some(first));
        assert_eq!((ids.get(network(9)), ids.remove(network(9))), (None, None));
        assert!(ids.assign(network(9), at(1000)) > first, "the clock was set back");
    }

    #[test]
    fn an_earlier_blocks_id_is_recognized() {
        let mut ids = Ids::default();
        let id = ids.assign(network(9), at(10_000_000));
        assert!(id.may_be_of(at(10_000_000)) && id.may_be_of(at(11_999_999)));
        assert!(!id.may_be_of(at(13_000_000)));
    }

    proptest! {
        #[test]
        fn ids_are_unique_and_sorted(times in prop::collection::vec(0..2_000_000_000_000_000_u64, 1..100), restarts: bool) {
            let mut ids = Ids::default();
            let mut all: Vec<String> = Vec::new();
            for time in times {
                all.push(ids.assign(network(9), at(time)).to_string());
                ids.remove(network(9));
                if restarts {
                    ids = Ids::new(BTreeMap::new(), ids.last());
                }
            }
            prop_assert!(all.is_sorted_by(|one, other| one < other), "{all:?}");
        }

        #[test]
        fn what_is_written_is_read(number in 0..1_u64 << 55) {
            let id = BlockId(number);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = text.parse::<BlockId>();
        }
    }
}
