//! This project's rules.

use std::collections::HashMap;

use portsentry_common::{
    address::Ipv4,
    scan::{
        MEMBER_PAIRS, Verdict,
        contacts::Fate,
        group::{self, GROUPS, Group, Groups, Target},
        memory::{ENTRANTS, Memory, Note, Probation, SUSPECTS},
        suspect::Suspect,
    },
};

use super::contact;
use crate::{event::Event, network::Pair};

/// Sets of sources on probation and of suspects: 36 MiB together, for two and a half million sources.
pub const SETS: [usize; 2] = [1 << 18, 1 << 17];
/// Sets of groups: 4,096 groups in 768 KiB.
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
}

/// What a contact led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The verdict on the source, if it is graver than before.
    pub verdict: Verdict,
    /// The verdict on its group.
    pub group: group::Noted,
}

impl Finding {
    const NOTHING: Self = Self { verdict: Verdict::None, group: group::Noted::Nothing };
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
        }
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
        let target = Target::new(Ipv4 { octets: host.to_be_bytes() }, port, event.shape);
        let is_member = event.has_failed() && groups.is_scanned(&target, event.at);
        let contact = super::Contact { is_member, ..contact(event, *key) };
        let mut memory = Memory { probation, suspects, key: *key };
        let Note { judged, is_suspect, .. } = memory.note(event.source, &contact, event.at);
        let failed = match judged.fate {
            _ if is_suspect => judged.evidence.failed,
            Fate::Counted => 1,
            Fate::Nothing | Fate::NoRoom => return Finding::NOTHING,
        };
        let mut finding = Finding { verdict: judged.verdict, ..Finding::NOTHING };
        if judged.added > 0 && failed <= MEMBER_PAIRS {
            #[expect(clippy::cast_possible_truncation, reason = "an IPv4 address, or a part of an IPv6 one")]
            let source = event.source as u32;
            finding.group = groups.note(&target, source, group::BLOCK, event.at);
        }
        finding
    }
}
