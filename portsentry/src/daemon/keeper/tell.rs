//! What the log and the history say of a sighting, held back for a moment where a name is asked for.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::mpsc::{Receiver, channel},
};

use super::Keeper;
use crate::{
    config::Config,
    policy::{Action, Sighting},
    sink::{
        Named,
        resolver::{self, Answer, Name, Resolver, Settings},
    },
};

/// Sightings that wait for a name at the most; further ones are told without.
const HELD: usize = 4096;

/// Names of sources, and what waits for them.
#[derive(Debug)]
pub(super) struct Names {
    resolver: Option<Resolver>,
    answers: Receiver<(IpAddr, Option<Name>)>,
    held: HashMap<IpAddr, Vec<(Sighting, &'static [Action])>>,
    count: usize,
}

impl Names {
    /// A resolver if `config` asks for one; or why there is none.
    pub(super) fn new(config: &Config) -> (Self, Option<resolver::Error>) {
        let (sender, answers) = channel();
        let start = || {
            let answer = move |source, name| drop(sender.send((source, name)));
            Resolver::start(Settings::default(), answer)
        };
        let (resolver, problem) = match config.resolve_host.then(start) {
            None => (None, None),
            Some(Ok(resolver)) => (Some(resolver), None),
            Some(Err(problem)) => (None, Some(problem)),
        };
        (Self { resolver, answers, held: HashMap::new(), count: 0 }, problem)
    }

    /// Reads `resolv.conf` again.
    pub(super) fn reload(&self) -> Result<(), resolver::Error> {
        self.resolver.as_ref().map_or(Ok(()), Resolver::reload)
    }
}

impl Keeper {
    /// Writes what is to be said of a sighting, once its source's name is known or known to be missing.
    pub(super) fn tell(&mut self, sighting: &Sighting, actions: &'static [Action]) {
        let names = &mut self.names;
        // What came later from a source must not be told before what came first.
        let is_asked = names.held.contains_key(&sighting.source);
        let answer = match &names.resolver {
            _ if is_asked => Answer::Asked,
            None => Answer::Known(None),
            Some(_) if names.count >= HELD => Answer::Refused,
            Some(resolver) => resolver.resolve(sighting.source),
        };
        match answer {
            Answer::Asked => {
                names.count += 1;
                names.held.entry(sighting.source).or_default().push((sighting.clone(), actions));
            }
            Answer::Known(name) => self.write(sighting, actions, name.as_ref()),
            Answer::Refused => self.write(sighting, actions, None),
        }
    }

    /// Writes what waited for names that have come.
    pub(super) fn on_names(&mut self) {
        while let Ok((source, name)) = self.names.answers.try_recv() {
            for (sighting, actions) in self.names.held.remove(&source).unwrap_or_default() {
                self.names.count -= 1;
                self.write(&sighting, actions, name.as_ref());
            }
        }
    }

    /// Writes what still waits, without names.
    pub(super) fn stop_names(&mut self) {
        if let Some(resolver) = self.names.resolver.take() {
            resolver.stop();
        }
        self.on_names();
        for (sighting, actions) in std::mem::take(&mut self.names.held).into_values().flatten() {
            self.write(&sighting, actions, None);
        }
    }

    fn write(&mut self, sighting: &Sighting, actions: &[Action], name: Option<&Name>) {
        let source = Named { address: sighting.source, name: name.map(Name::as_str) };
        let record = sighting.record();
        for action in actions {
            match action {
                Action::Attack => self.journal.attack(sighting, &source),
                Action::Fence => {
                    let term = (self.terms.fence.as_secs(), self.until(record.source, &record.hold));
                    self.journal.fenced(sighting, &source, term);
                }
                Action::Block => {
                    self.journal.blocked(sighting, &source, self.until(record.source, &record.hold));
                }
                Action::Notice => self.journal.notice(sighting, &source),
                Action::LeaveAlone => self.journal.left_alone(sighting, &source),
                Action::Full => self.journal.full(sighting, &source),
                Action::Report => self.files.report(&record, sighting, &source),
                Action::Record => self.files.record(&record, Some(sighting), &source),
                Action::Kill | Action::Run => {}
            }
        }
    }
}
