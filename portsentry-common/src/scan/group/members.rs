//! The latest sources of a group.

use bytemuck::{Pod, Zeroable};

use crate::scan::MEMBER_PAIRS;

/// Maximum number of members: the latest ones.
pub const MEMBERS: usize = 64;

/// The latest sources, and the number of contacts that each has added.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Members {
    sources: [u64; MEMBERS],
    pairs: [u8; MEMBERS],
    /// Place of the next one.
    next: u64,
    /// Always 0.
    reserved: u64,
}

impl Members {
    /// Adds a contact of a source.
    pub(super) fn add(&mut self, source: u64) {
        if let Some(place) = self.place(source) {
            self.pairs[place] = (self.pairs[place] + 1).min(MEMBER_PAIRS);
            return;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a place")]
        let place = self.next as usize % MEMBERS;
        (self.sources[place], self.pairs[place]) = (source, 1);
        self.next = (place as u64 + 1) % MEMBERS as u64;
    }

    /// Returns the number of contacts of a source, at most [`MEMBER_PAIRS`].
    #[must_use]
    pub fn pairs(&self, source: u64) -> u8 {
        self.place(source).map_or(0, |place| self.pairs[place])
    }

    /// Returns the sources with their numbers of contacts, the latest one last.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u8)> {
        #[expect(clippy::cast_possible_truncation, reason = "a place")]
        let next = self.next as usize;
        let places = (0..MEMBERS).map(move |it| (next + it) % MEMBERS);
        places.map(|place| (self.sources[place], self.pairs[place])).filter(|(_, pairs)| *pairs > 0)
    }

    /// Whether this version makes such members, if no source is above `limit`.
    pub(super) fn are_sound(&self, limit: u64) -> bool {
        self.next < MEMBERS as u64
            && self.reserved == 0
            && self.pairs.iter().all(|pairs| *pairs <= MEMBER_PAIRS)
            && self.sources.iter().all(|source| *source <= limit)
    }

    fn place(&self, source: u64) -> Option<usize> {
        self.sources.iter().zip(&self.pairs).position(|(it, pairs)| *it == source && *pairs > 0)
    }
}
