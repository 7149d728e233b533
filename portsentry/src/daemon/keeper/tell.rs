//! Writes the register's messages to log, history and evidence, once the source's name is known or known to be
//! missing.

use super::Keeper;
use crate::{
    policy::register::{Case, Effect, Line},
    sink::{
        Named,
        resolver::{Answer, Name},
    },
};

impl Keeper {
    /// Writes messages, or queues them until the name is known.
    pub(super) fn tell(&mut self, case: &Case, words: Vec<Effect>) {
        let source = case.sighting.as_ref().map_or_else(|| case.record.source(), |sighting| sighting.source);
        match self.names.ask(source, case.sighting.is_some()) {
            Answer::Asked => self.names.hold(source, case, words),
            Answer::Known(name) => self.write(case, &words, name.as_ref()),
            Answer::Refused => self.write(case, &words, None),
        }
    }

    /// Writes the messages whose names have arrived.
    pub(super) fn on_names(&mut self) {
        while let Some((name, held)) = self.names.next() {
            held.iter().for_each(|(case, words)| self.write(case, words, name.as_ref()));
        }
    }

    /// Writes the remaining messages without names.
    pub(super) fn stop_names(&mut self) {
        self.names.stop();
        self.on_names();
        for (case, words) in self.names.take_held() {
            self.write(&case, &words, None);
        }
    }

    fn write(&mut self, case: &Case, words: &[Effect], name: Option<&Name>) {
        let address = case.sighting.as_ref().map_or_else(|| case.record.source(), |sighting| sighting.source);
        let source = Named { address, name: name.map(Name::as_str), id: case.id };
        for effect in words {
            match effect {
                Effect::Emit(line) => self.emit(*line, case, &source),
                Effect::History(action) => self.files.recorder().record(*action, case, &source),
                _ => {}
            }
        }
    }

    fn emit(&mut self, line: Line, case: &Case, source: &Named<'_>) {
        let (record, until) = (&case.record, case.record.hold.until);
        match (line, &case.sighting) {
            (Line::Attack, Some(sighting)) => self.journal.attack(sighting, source),
            (Line::Notice, Some(sighting)) => self.journal.notice(sighting, source),
            (Line::LeftAlone, Some(sighting)) => self.journal.left_alone(sighting, source),
            (Line::Scan, Some(sighting)) => {
                if let Some(scan) = &sighting.scan {
                    self.journal.scan(sighting, scan, source);
                }
            }
            (Line::Full, Some(sighting)) => self.journal.full(sighting, source),
            (Line::Fenced, Some(sighting)) => {
                let term = (self.register.fence_seconds(), until);
                self.journal.fenced(sighting, source, term);
            }
            (Line::Blocked, Some(sighting)) => self.journal.blocked(sighting, source, until),
            (Line::Reoffended { times }, _) => self.journal.reoffended(record, times),
            (Line::Found, _) => self.journal.found(case),
            (Line::Ordered, _) => self.journal.ordered(case),
            (Line::OfPeer, _) => self.journal.of_peer(case),
            (Line::Lifted, _) => self.journal.lifted(case),
            // There is no probe.
            (
                Line::Attack
                | Line::Notice
                | Line::Scan
                | Line::LeftAlone
                | Line::Full
                | Line::Fenced
                | Line::Blocked,
                None,
            ) => {}
        }
    }
}
