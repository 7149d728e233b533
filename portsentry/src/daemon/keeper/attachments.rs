//! The interfaces to which the kernel program is attached, and the reasons why others are not watched.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::settling::Settling;
use crate::{
    config::{Config, Interfaces},
    control::Unwatched,
    host::{Link, Name},
    kernel::{self, Attachment, Kept, Kernel},
    policy::{
        interfaces::{LeftOut, choose, described, missing},
        trouble::{News, Troubles},
    },
    sink::Log,
};

/// Interval of retries on an interface that refused the program, if it shows no change.
const AGAIN: Duration = Duration::from_secs(10);

/// Logged if no interface can be watched yet.
const NONE: &str = "there is no interface to watch: the first that comes is watched. `portsentry doctor` tells which there are";

/// The problem of an interface whose pin for the outgoing program is missing.
const REMOVED: &str = "its pin was removed; `portsentry reload` attaches it again";

/// The watched interfaces.
#[derive(Debug)]
pub(super) struct Attachments {
    wanted: Interfaces,
    attached: BTreeMap<u32, Name>,
    settling: Settling,
    /// Interfaces that should be watched but can't be.
    refused: Troubles<(u32, Name)>,
    /// Interfaces that need not be watched.
    left_out: Troubles<(u32, Name)>,
    /// Watched interfaces whose outgoing packets aren't seen.
    unseen: Troubles<(u32, Name)>,
    missing: Vec<String>,
    next_try: Instant,
    next_look: Instant,
}

impl Attachments {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            wanted: config.interfaces.clone(),
            attached: BTreeMap::new(),
            settling: Settling::new(config),
            refused: Troubles::default(),
            left_out: Troubles::default(),
            unseen: Troubles::default(),
            missing: Vec::new(),
            next_try: Instant::now() + AGAIN,
            next_look: Instant::now() + AGAIN,
        }
    }

    /// Returns the names of the watched interfaces.
    pub(super) fn watched(&self) -> Vec<String> {
        self.attached.values().map(ToString::to_string).collect()
    }

    /// Returns the interfaces that should be watched but aren't: those that refuse the program, and those that
    /// don't exist.
    pub(super) fn lacking(&self) -> Vec<Unwatched> {
        let refused = self.refused.iter().map(|((_, name), reason)| (name.to_string(), reason.clone()));
        let missing = self.missing.iter().map(|name| (name.clone(), "it is not there".to_owned()));
        refused.chain(missing).map(|(interface, reason)| Unwatched { interface, reason }).collect()
    }

    /// Returns the interfaces that need not be watched, with the reasons.
    pub(super) fn left_out(&self) -> Vec<Unwatched> {
        unwatched(&self.left_out)
    }

    /// Returns the watched interfaces whose outgoing packets aren't seen, with the reasons.
    pub(super) fn unseen(&self) -> Vec<Unwatched> {
        unwatched(&self.unseen)
    }

    /// Whether the programs for outgoing packets are due for a check.
    pub(super) fn is_look_due(&self) -> bool {
        Instant::now() >= self.next_look
    }

    /// Attaches the programs for outgoing packets again that others have detached, or that couldn't be attached. Logs
    /// changes.
    pub(super) fn look_after_outgoing(&mut self, kernel: &mut Kernel, journal: &mut Log) {
        self.next_look = Instant::now() + AGAIN;
        let attached: Vec<_> = self.attached.iter().map(|(index, name)| (*index, name.clone())).collect();
        for (index, name) in attached {
            let key = (index, name);
            // An administrator's removal of the pin is no failure.
            let has_failed = self.unseen.iter().any(|(other, problem)| *other == key && problem != REMOVED);
            let problem = match kernel.keep_outgoing(index, has_failed) {
                Ok(Kept::Attached) => None,
                Ok(Kept::Again) => {
                    journal
                        .warning(&format!("{}: the program for outgoing packets is attached again", key.1));
                    None
                }
                Ok(Kept::Removed) => Some(REMOVED.to_owned()),
                // It goes, and the message about that follows.
                Err(kernel::Error::NoInterface(_)) => continue,
                Err(error) => Some(error.to_string()),
            };
            self.note_unseen(journal, key, problem);
        }
    }

    fn note_unseen(&mut self, journal: &mut Log, key: (u32, Name), problem: Option<String>) {
        let name = key.1.clone();
        if let Some(News::Begun(problem)) = self.unseen.note(key, problem) {
            journal.error(&format!(
                "{name}: outgoing packets can't be seen there, so answers to translated datagrams may count as \
                 probes, a fence cuts UDP sessions and translated connections, and ANSWERS doesn't learn from \
                 answers that leave there: {problem}"
            ));
        }
    }

    /// Attaches to every interface to be watched, and detaches from all others that an earlier run left attached.
    /// Logs a refusal; it is an error only with `needs_one`, and if no other interface is watched. The replacement
    /// of PortSentry's own program is logged only with `tells_all`.
    pub(super) fn begin(
        &mut self,
        kernel: &mut Kernel,
        journal: &mut Log,
        links: &BTreeMap<u32, Link>,
        (tells_all, needs_one): (bool, bool),
    ) -> Result<(), kernel::Error> {
        let mut problem = None;
        if tells_all {
            let (watched, left_out) = described(&self.wanted, links);
            let names = |names: &[String]| if names.is_empty() { "none".into() } else { names.join(", ") };
            let left_out: Vec<String> = left_out.into_values().flatten().collect();
            journal.note(&format!(
                "Interfaces by INTERFACES=\"{}\": {}; not watched: {}",
                self.wanted,
                names(&watched),
                names(&left_out)
            ));
        }
        let wanted = self.choose(journal, links, tells_all);
        self.settling.begin(kernel, &wanted, links);
        for link in &wanted {
            match self.attach(kernel, journal, link) {
                Ok(attachment) => {
                    if tells_all || attachment.mode.is_some() {
                        journal.note(&attachment);
                    }
                }
                Err(error) => {
                    self.refuse(journal, link, &error);
                    problem.get_or_insert(error);
                }
            }
        }
        self.settle(kernel, journal, &wanted);
        for name in &self.missing {
            journal.note(&format!("{name}: not there; it is watched as soon as it comes"));
        }
        if self.attached.is_empty() {
            match problem.filter(|_| needs_one) {
                Some(problem) => return Err(problem),
                None if self.refused.is_empty() => journal.error(&NONE),
                None => {}
            }
        }
        kernel.detach_all_but(&self.kept())
    }

    /// Follows new, removed and changed interfaces, and retries those that refused.
    pub(super) fn follow(&mut self, kernel: &mut Kernel, journal: &mut Log, links: &BTreeMap<u32, Link>) {
        self.next_try = Instant::now() + AGAIN;
        let wanted = self.choose(journal, links, true);
        self.settling.follow(&wanted, links);
        for link in wanted.iter().filter(|link| self.attached.contains_key(&link.index)) {
            if let Err(error) = kernel.set_constants(link.index, link.mtu) {
                journal.error(&error);
            }
        }
        // Detaches first, so that a program on a member doesn't keep its bond from having one.
        if let Err(error) = kernel.detach_all_but(&self.kept()) {
            journal.error(&error);
        }
        for link in &wanted {
            if self.attached.contains_key(&link.index) {
                continue;
            }
            match self.attach(kernel, journal, link) {
                Ok(attachment) => journal.note(&attachment),
                Err(error) => self.refuse(journal, link, &error),
            }
        }
        self.settle(kernel, journal, &wanted);
    }

    /// Whether interfaces that refused are due for a retry, or others for a native program.
    pub(super) fn is_due(&self) -> bool {
        let is_retry_due = !self.refused.is_empty() && Instant::now() >= self.next_try;
        is_retry_due || self.settling.is_due()
    }

    /// Returns the interfaces to be watched. Forgets and logs those that no longer are.
    fn choose<'a>(
        &mut self,
        journal: &mut Log,
        links: &'a BTreeMap<u32, Link>,
        tells_all: bool,
    ) -> Vec<&'a Link> {
        let chosen = choose(&self.wanted, links);
        let is_chosen = |index: &u32| matches!(chosen.get(index), Some(Ok(())));
        let reason_of = |link: &Link| match chosen.get(&link.index) {
            Some(Err(reason)) if *reason != LeftOut::Unwanted => Some(reason.to_string()),
            _ => None,
        };
        let is_left_out = |index: &u32| links.get(index).is_some_and(|link| reason_of(link).is_some());
        self.left_out.retain(|(index, name)| {
            is_left_out(index) && links.get(index).is_some_and(|link| link.name == *name)
        });
        for link in links.values() {
            let Some(reason) = reason_of(link) else { continue };
            if let Some(News::Begun(reason)) = self.left_out.note(key(link), Some(reason))
                && tells_all
            {
                journal.note(&format!("{}: not watched: {reason}", link.name));
            }
        }
        self.attached.retain(|index, name| {
            if let Some(link) = links.get(index).filter(|_| is_chosen(index)) {
                name.clone_from(&link.name);
                return true;
            }
            if !is_left_out(index) {
                journal.note(&format!("{name}: no longer there"));
            }
            false
        });
        let is_there = |(index, name): &(u32, Name)| {
            is_chosen(index) && links.get(index).is_some_and(|link| link.name == *name)
        };
        self.refused.retain(is_there);
        self.unseen.retain(is_there);
        self.missing = missing(&self.wanted, links).map(str::to_owned).collect();
        links.values().filter(|link| is_chosen(&link.index)).collect()
    }

    fn refuse(&mut self, journal: &mut Log, link: &Link, error: &kernel::Error) {
        if let Some(News::Begun(problem)) = self.refused.note(key(link), Some(error.to_string())) {
            journal.error(&format!("{problem}; {} is not watched until it can be", link.name));
        }
    }

    fn attach(
        &mut self,
        kernel: &mut Kernel,
        journal: &mut Log,
        link: &Link,
    ) -> Result<Attachment, kernel::Error> {
        let name = link.name.to_string();
        let (placement, reason) = self.settling.place(link);
        let traffic = kernel.attach_traffic(link.index, link.mtu);
        let mut attachment = kernel.attach_to((&name, link.index), placement)?;
        self.settling.note(kernel, link.index);
        self.note_unseen(journal, key(link), traffic.err().map(|error| error.to_string()));
        if let Some(reason) = reason.filter(|_| attachment.mode.is_some()) {
            attachment.reason = Some(reason.into());
        }
        // That it is attached says enough.
        let _ = self.refused.note(key(link), None);
        self.attached.insert(link.index, link.name.clone());
        Ok(attachment)
    }

    /// Replaces the program of an interface that has been configured since: one at a time, because some drivers interrupt the network, and
    /// the daemon has other work in between.
    fn settle(&mut self, kernel: &mut Kernel, journal: &mut Log, wanted: &[&Link]) {
        self.settling.retain(|index| self.attached.contains_key(&index));
        let settled = wanted.iter().find_map(|link| Some((link, self.settling.settle(kernel, link)?)));
        match settled {
            None => {}
            Some((_, Ok(attachment))) => journal.note(&attachment),
            // The generic program is still there.
            Some((link, Err(error))) if kernel.is_pinned(link.index) => journal.error(&error),
            Some((link, Err(error))) => {
                self.attached.remove(&link.index);
                self.refuse(journal, link, &error);
            }
        }
    }

    fn kept(&self) -> Vec<u32> {
        self.attached.keys().copied().collect()
    }
}

fn key(link: &Link) -> (u32, Name) {
    (link.index, link.name.clone())
}

fn unwatched(troubles: &Troubles<(u32, Name)>) -> Vec<Unwatched> {
    let unwatched = |((_, name), reason): (&(u32, Name), &String)| Unwatched {
        interface: name.to_string(),
        reason: reason.clone(),
    };
    troubles.iter().map(unwatched).collect()
}
