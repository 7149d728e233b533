//! Names of sources, and messages that wait for them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::mpsc::{Receiver, channel},
};

use crate::{
    config::Config,
    policy::register::{Case, Effect},
    sink::resolver::{self, Answer, Name, Resolver, Settings},
};

/// Maximum number of cases that wait for a name. Further ones are logged without a name.
const HELD: usize = 4096;

/// Messages that wait for a source's name.
pub(super) type Waiting = (Case, Vec<Effect>);

/// Names of sources, and messages that wait for them.
#[derive(Debug)]
pub(super) struct Names {
    resolver: Option<Resolver>,
    answers: Receiver<(IpAddr, Option<Name>)>,
    held: HashMap<IpAddr, Vec<Waiting>>,
    count: usize,
}

impl Names {
    /// Starts a resolver if `config` requests one. Also returns an error, if any.
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

    /// Returns the name of `source`. Looks it up only if it `is_probe`. A later message about a source must not be
    /// logged before an earlier one.
    pub(super) fn ask(&self, source: IpAddr, is_probe: bool) -> Answer {
        let is_asked = self.held.contains_key(&source);
        match &self.resolver {
            _ if is_asked => Answer::Asked,
            Some(_) if is_probe && self.count >= HELD => Answer::Refused,
            Some(resolver) if is_probe => resolver.resolve(source),
            _ => Answer::Known(None),
        }
    }

    /// Queues messages until the name of `source` is known.
    pub(super) fn hold(&mut self, source: IpAddr, case: &Case, words: Vec<Effect>) {
        self.count += 1;
        self.held.entry(source).or_default().push((case.clone(), words));
    }

    /// Returns the next name that was found or is missing, with the messages that waited for it.
    pub(super) fn next(&mut self) -> Option<(Option<Name>, Vec<Waiting>)> {
        let (source, name) = self.answers.try_recv().ok()?;
        let held = self.held.remove(&source).unwrap_or_default();
        self.count -= held.len();
        Some((name, held))
    }

    /// Stops the resolver.
    pub(super) fn stop(&mut self) {
        if let Some(resolver) = self.resolver.take() {
            resolver.stop();
        }
    }

    /// Returns all messages that still wait.
    pub(super) fn take_held(&mut self) -> Vec<Waiting> {
        self.count = 0;
        std::mem::take(&mut self.held).into_values().flatten().collect()
    }
}
