//! Raises the scores of members of distributed scans.

use super::{Memory, Name, find, place};
#[cfg(doc)]
use crate::scan::suspect::Suspect;

impl Memory<'_> {
    /// Raises the score of `source`, if it is a suspect: see [`Suspect::raise`].
    pub fn raise(&mut self, source: u64, pairs: u8, now: u32) {
        let name = Name::new(source, self.key);
        let suspects = place(self.suspects, name);
        let found = find(suspects, name.tag(), now);
        if let Some(suspect) = suspects.get_mut(found) {
            suspect.raise(pairs);
        }
    }
}
