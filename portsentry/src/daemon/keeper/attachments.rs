//! The interfaces that the kernel program is attached to, and those that it isn't, with the reason.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    config::{Config, Interfaces, XdpMode},
    control::Unwatched,
    host::{Link, Name},
    kernel::{self, Attachment, Kernel, Mode},
    policy::interfaces::{LeftOut, choose, missing},
    sink::Log,
};

/// How often an interface that refused is tried again without a sign that it may work.
const AGAIN: Duration = Duration::from_secs(10);

/// What the log says where nothing can be watched yet.
const NONE: &str = "there is no interface to watch: the first that comes is watched. `portsentry doctor` tells which there are";

/// Which interfaces are watched.
#[derive(Debug)]
pub(super) struct Attachments {
    wanted: Interfaces,
    mode: Option<Mode>,
    challenges: bool,
    attached: BTreeMap<u32, Name>,
    /// Interfaces that are to be watched and can't be.
    refused: BTreeMap<u32, (Name, String)>,
    /// Interfaces that needn't be watched.
    left_out: BTreeMap<u32, (Name, LeftOut)>,
    missing: Vec<String>,
    next_try: Instant,
}

impl Attachments {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            wanted: config.interfaces.clone(),
            mode: match config.xdp_mode {
                XdpMode::Auto => None,
                XdpMode::Native => Some(Mode::Native),
                XdpMode::Generic => Some(Mode::Generic),
            },
            challenges: config.challenge,
            attached: BTreeMap::new(),
            refused: BTreeMap::new(),
            left_out: BTreeMap::new(),
            missing: Vec::new(),
            next_try: Instant::now() + AGAIN,
        }
    }

    /// The names of the interfaces that are watched.
    pub(super) fn watched(&self) -> Vec<String> {
        self.attached.values().map(ToString::to_string).collect()
    }

    /// The interfaces that are to be watched and aren't: those that refuse, and those that aren't there.
    pub(super) fn lacking(&self) -> Vec<Unwatched> {
        let refused = self.refused.values().map(|(name, reason)| (name.to_string(), reason.clone()));
        let missing = self.missing.iter().map(|name| (name.clone(), "it is not there".to_owned()));
        refused.chain(missing).map(|(interface, reason)| Unwatched { interface, reason }).collect()
    }

    /// The interfaces that needn't be watched, and why not.
    pub(super) fn left_out(&self) -> Vec<Unwatched> {
        let left_out = self.left_out.values();
        left_out
            .map(|(name, reason)| Unwatched { interface: name.to_string(), reason: reason.to_string() })
            .collect()
    }

    /// Attaches to every interface that is to be watched, and detaches from all others that an earlier run left. One
    /// that refuses is told of; it is an error only if no other is watched and `needs_one`. A program of ours that is
    /// replaced is worth a line only if `tells_all`.
    pub(super) fn begin(
        &mut self,
        kernel: &mut Kernel,
        journal: &mut Log,
        links: &BTreeMap<u32, Link>,
        (tells_all, needs_one): (bool, bool),
    ) -> Result<(), kernel::Error> {
        let mut problem = None;
        for link in self.choose(journal, links, tells_all) {
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

    /// Follows interfaces that come, go and change, and tries those again that refused.
    pub(super) fn follow(&mut self, kernel: &mut Kernel, journal: &mut Log, links: &BTreeMap<u32, Link>) {
        self.next_try = Instant::now() + AGAIN;
        let wanted = self.choose(journal, links, true);
        for link in wanted.iter().filter(|link| self.attached.contains_key(&link.index)) {
            if let Err(error) = kernel.set_constants(link.index, link.mtu) {
                journal.error(&error);
            }
        }
        // First, lest a program on a member keep its bond from one.
        if let Err(error) = kernel.detach_all_but(&self.kept()) {
            journal.error(&error);
        }
        for link in
            wanted.into_iter().filter(|link| !self.attached.contains_key(&link.index)).collect::<Vec<_>>()
        {
            match self.attach(kernel, journal, link) {
                Ok(attachment) => journal.note(&attachment),
                Err(error) => self.refuse(journal, link, &error),
            }
        }
    }

    /// Whether interfaces that refused are to be tried again now.
    pub(super) fn is_due(&self) -> bool {
        !self.refused.is_empty() && Instant::now() >= self.next_try
    }

    /// The interfaces that are to be watched; forgets those that no longer are, and tells of them.
    fn choose<'a>(
        &mut self,
        journal: &mut Log,
        links: &'a BTreeMap<u32, Link>,
        tells_all: bool,
    ) -> Vec<&'a Link> {
        let chosen = choose(&self.wanted, links);
        let is_chosen = |index: &u32| matches!(chosen.get(index), Some(Ok(())));
        let mut left_out = BTreeMap::new();
        for (index, link) in links {
            if let Some(Err(reason)) = chosen.get(index)
                && *reason != LeftOut::Unwanted
            {
                let (name, news) = (link.name.clone(), (link.name.clone(), reason.clone()));
                if tells_all && self.left_out.get(index) != Some(&news) {
                    journal.note(&format!("{name}: not watched: {reason}"));
                }
                left_out.insert(*index, news);
            }
        }
        self.left_out = left_out;
        self.attached.retain(|index, name| {
            if let Some(link) = links.get(index).filter(|_| is_chosen(index)) {
                name.clone_from(&link.name);
                return true;
            }
            if !self.left_out.contains_key(index) {
                journal.note(&format!("{name}: no longer there"));
            }
            false
        });
        self.refused.retain(|index, _| is_chosen(index));
        self.missing = missing(&self.wanted, links).map(str::to_owned).collect();
        links.values().filter(|link| is_chosen(&link.index)).collect()
    }

    fn refuse(&mut self, journal: &mut Log, link: &Link, error: &kernel::Error) {
        let refusal = (link.name.clone(), error.to_string());
        // It is tried again and again, and told of once.
        if self.refused.get(&link.index) != Some(&refusal) {
            journal.error(&format!("{error}; {} is not watched until it can be", link.name));
        }
        self.refused.insert(link.index, refusal);
    }

    fn attach(
        &mut self,
        kernel: &mut Kernel,
        journal: &mut Log,
        link: &Link,
    ) -> Result<Attachment, kernel::Error> {
        let name = link.name.to_string();
        let (mode, reason) = self.mode_of(link);
        let traffic = kernel.attach_traffic(link.index, link.mtu);
        let mut attachment = kernel.attach_to((&name, link.index), mode)?;
        if let Err(error) = traffic {
            journal.error(&format!(
                "{name}: a fence cuts UDP sessions and translated connections there, as what leaves can't be seen: {error}"
            ));
        }
        if let Some(reason) = reason.filter(|_| attachment.mode.is_some()) {
            attachment.reason = Some(reason.into());
        }
        self.refused.remove(&link.index);
        self.attached.insert(link.index, link.name.clone());
        Ok(attachment)
    }

    /// How to attach, and why so where that isn't the configuration's word alone.
    fn mode_of(&self, link: &Link) -> (Option<Mode>, Option<&'static str>) {
        match self.mode {
            // A bond with a native program refuses members that run one, or can't.
            None if link.is("bond") => {
                (Some(Mode::Generic), Some("so that every card can join the bond at any time"))
            }
            // What a challenge answers from a veth in native mode is lost unless its peer, too, has an XDP program (the
            // kernel's `drivers/net/veth.c`).
            None if self.challenges && link.is("veth") => (
                Some(Mode::Generic),
                Some("because CHALLENGE is on, and answers sent from a native veth can be lost"),
            ),
            Some(Mode::Native) if self.challenges && link.is("veth") => (
                self.mode,
                Some(
                    "and CHALLENGE is on: its answers are lost unless the veth's other end runs an XDP program, \
                     too; XDP_MODE=\"auto\" loses none",
                ),
            ),
            mode => (mode, None),
        }
    }

    fn kept(&self) -> Vec<u32> {
        self.attached.keys().copied().collect()
    }
}
