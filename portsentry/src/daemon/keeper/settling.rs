//! The mode of the program on each watched interface, and the replacement of programs that are generic only until the interface is
//! configured.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use crate::{
    config::{Config, XdpMode},
    host::Link,
    kernel::{self, Attachment, Ethtool, Kernel, forgets_programs, since_boot},
    policy::placement::{BOOTING, Facts, Placement, Readiness, place},
};

/// What decides about the mode on each interface.
#[derive(Debug)]
pub(super) struct Settling {
    wanted: XdpMode,
    challenges: bool,
    /// Since when the interfaces to be watched have been ready for a native program.
    readiness: BTreeMap<u32, Readiness>,
    /// Watched interfaces whose program is generic until they are ready.
    provisional: BTreeSet<u32>,
}

impl Settling {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            wanted: config.xdp_mode,
            challenges: config.challenge,
            readiness: BTreeMap::new(),
            provisional: BTreeSet::new(),
        }
    }

    /// Looks at the interfaces to be watched at the start of a session.
    pub(super) fn begin(&mut self, kernel: &Kernel, wanted: &[&Link], links: &BTreeMap<u32, Link>) {
        let now = Instant::now();
        self.readiness.extend(wanted.iter().map(|link| {
            // It may have been configured only after an earlier session attached the program, or in part before the first one of a boot.
            let is_first = !kernel.is_pinned(link.index) && since_boot() < BOOTING;
            let readiness = if is_first || kernel.is_provisional(link.index) {
                Readiness::default().after(link, links, now)
            } else {
                Readiness::of_old(link, links, now)
            };
            (link.index, readiness)
        }));
    }

    /// Looks at the interfaces to be watched after a change.
    pub(super) fn follow(&mut self, wanted: &[&Link], links: &BTreeMap<u32, Link>) {
        let now = Instant::now();
        let after = |link: &&&Link| {
            let before = self.readiness.get(&link.index).copied().unwrap_or_default();
            (link.index, before.after(link, links, now))
        };
        self.readiness = wanted.iter().map(|link| after(&link)).collect();
    }

    /// Decides how the program is attached to the interface, with a reason for the log.
    pub(super) fn place(&self, link: &Link) -> (Placement, Option<&'static str>) {
        let facts = Facts {
            wanted: self.wanted,
            challenges: self.challenges,
            link,
            forgets: forgets_programs(&driver(link)),
            readiness: self.readiness.get(&link.index).copied().unwrap_or_default(),
        };
        place(&facts, Instant::now())
    }

    /// Notes that the program is attached to the interface with this index.
    pub(super) fn note(&mut self, kernel: &Kernel, index: u32) {
        if kernel.is_provisional(index) {
            self.provisional.insert(index);
        }
    }

    /// Forgets the programs of all interfaces but those in `attached`.
    pub(super) fn retain(&mut self, attached: impl Fn(u32) -> bool) {
        self.provisional.retain(|index| attached(*index));
    }

    /// Replaces the interface's program if it is due. Returns the result if it was.
    pub(super) fn settle(
        &mut self,
        kernel: &mut Kernel,
        link: &Link,
    ) -> Option<Result<Attachment, kernel::Error>> {
        if !self.provisional.contains(&link.index) {
            return None;
        }
        let (placement, reason) = self.place(link);
        if placement == Placement::Provisional {
            return None;
        }
        self.provisional.remove(&link.index);
        // Removing a pin switches enforcement off on this interface. If the pins are hidden, a new session begins once they are back.
        if !kernel.is_pinned(link.index) {
            return None;
        }
        let readiness = self.readiness.get(&link.index).copied().unwrap_or_default();
        let interface = (&*link.name.to_string(), link.index);
        let settled = if placement == Placement::Generic {
            kernel.keep_generic(interface, reason.unwrap_or("as XDP_MODE says"))
        } else {
            kernel.settle(interface, placement)
        };
        Some(settled.map(|attachment| Attachment {
            reason: attachment.reason.or_else(|| Some(readiness.reason().into())),
            ..attachment
        }))
    }

    /// Whether a program is due for a replacement.
    pub(super) fn is_due(&self) -> bool {
        let now = Instant::now();
        self.provisional.iter().filter_map(|index| self.readiness.get(index)?.at()).any(|at| at <= now)
    }
}

/// Returns the name of an interface's driver, or an empty one if it has none.
fn driver(link: &Link) -> String {
    let name = Ethtool::open().ok().and_then(|ethtool| ethtool.driver(link.name.bytes()));
    name.unwrap_or_default()
}
