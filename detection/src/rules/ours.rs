//! This project's rules.

use std::collections::HashMap;

use portsentry_common::{
    address::Ipv4,
    scan::{
        MEMBER_PAIRS, Verdict,
        contacts::Fate,
        group::{self, GROUPS, Group, Groups, Noted, Target, View},
        memory::{ENTRANTS, Memory, Note, Probation, SUSPECTS},
        suspect::Suspect,
    },
};

use super::contact;
use crate::{event::Event, network::Pair};

/// Sets of sources on probation and of suspects: 36 MiB together, for two and a half million sources.
pub const SETS: [usize; 2] = [1 << 18, 1 << 17];
/// Sets of groups: 4,096 groups in 3 MiB.
const GROUP_SETS: usize = 1 << 10;
/// Time for which a port that was served is no evidence, in seconds: a day, as `ANSWERS` remembers it.
const SERVED: u32 = 86_400;

/// This project's rules, in tables as the kernel has them.
#[derive(Debug)]
pub struct Ours {
    probation: Vec<Probation>,
    suspects: Vec<[Suspect; SUSPECTS]>,
    groups: Vec<[Group; GROUPS]>,
    key: u64,
    served: HashMap<Pair, u32>,
    raises_all: bool,
}

/// What a contact led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The verdict on the source, if it is graver than before.
    pub verdict: Verdict,
    /// The verdict on its group.
    pub group: Noted,
}

impl Finding {
    const NOTHING: Self = Self { verdict: Verdict::None, group: Noted::Nothing };
}

impl Ours {
    /// Returns empty tables with these numbers of sets of sources.
    pub fn new([probation, suspects]: [usize; 2], key: u64) -> Self {
        Self {
            probation: vec![[0; ENTRANTS]; probation],
            suspects: vec![Default::default(); suspects],
            groups: vec![Default::default(); GROUP_SETS],
            key,
            served: HashMap::new(),
            raises_all: false,
        }
    }

    /// Takes every source for a member of distributed scans.
    pub fn raising_all(mut self) -> Self {
        self.raises_all = true;
        self
    }

    /// Returns the size of the tables of sources in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.probation) + size_of_val(&*self.suspects)
    }

    /// Reads an event.
    pub fn read(&mut self, event: &Event) -> Finding {
        if !event.has_failed() {
            self.served.insert(event.pair, event.at);
        } else if self.served.get(&event.pair).is_some_and(|at| event.at.saturating_sub(*at) < SERVED) {
            return Finding::NOTHING;
        }
        self.note(event)
    }

    /// Notes a contact, without regard to ports that were served.
    pub fn note(&mut self, event: &Event) -> Finding {
        let Self { probation, suspects, groups, key, .. } = self;
        let mut groups = Groups { sets: groups, key: *key };
        let (host, port) = event.pair;
        let contact = contact(event, *key);
        let mut memory = Memory { probation, suspects, key: *key };
        let Note { judged, is_suspect, .. } = memory.note(event.source, &contact, event.at);
        let failed = match judged.fate {
            _ if is_suspect => judged.evidence.failed,
            Fate::Counted => 1,
            Fate::Nothing | Fate::NoRoom => return Finding::NOTHING,
        };
        let mut finding = Finding { verdict: judged.verdict, ..Finding::NOTHING };
        if judged.added == 0 || failed > MEMBER_PAIRS {
            return finding;
        }
        let target = Target::new(Ipv4 { octets: host.to_be_bytes() }, port, event.shape, View::Hosts);
        finding.group = groups.note(&target, event.source, group::BLOCK, event.at);
        // As the daemon does.
        if let Some(group) = groups.find(&target) {
            match finding.group {
                _ if self.raises_all => memory.raise(event.source, failed, event.at),
                Noted::Found => {
                    group.members.iter().for_each(|(it, pairs)| memory.raise(it, pairs, event.at));
                }
                Noted::Member => memory.raise(event.source, group.members.pairs(event.source), event.at),
                Noted::Nothing | Noted::NoRoom => {}
            }
        }
        finding
    }
}
