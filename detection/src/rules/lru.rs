//! This project's scores in a memory that forgets the source it heard of least recently.

use portsentry_common::scan::{Verdict, memory::Name, suspect::Suspect};

use super::contact;
use crate::event::Event;

const PLACES: usize = 8;

/// Least recently used entries in sets of eight, as a BPF map of this type keeps them, more or less.
#[derive(Debug)]
pub struct Lru {
    sets: Vec<[Suspect; PLACES]>,
    key: u64,
}

impl Lru {
    /// Returns an empty memory of this many bytes.
    pub fn new(bytes: usize, key: u64) -> Self {
        Self { sets: vec![Default::default(); bytes / size_of::<[Suspect; PLACES]>()], key }
    }

    /// Reads an event. Returns the verdict on its source.
    pub fn read(&mut self, event: &Event) -> Verdict {
        let name = Name::new(event.source, self.key);
        let (tag, place) = (name.tag(), name.set(u32::MAX) as usize % self.sets.len());
        let contact = contact(event, self.key);
        let set = &mut self.sets[place];
        if let Some(suspect) = set.iter_mut().find(|it| it.tag == tag) {
            let verdict = suspect.add(&contact, event.at);
            suspect.last = event.at;
            return verdict;
        }
        if event.has_failed()
            && let Some(oldest) = set.iter_mut().min_by_key(|it| it.last)
        {
            *oldest = Suspect::new(tag, &contact, event.at);
        }
        Verdict::None
    }
}
