//! The keeper follows what changes around it: the host's addresses and interfaces, and files that an administrator
//! edits. It must not look for changes in the kernel's map: that is the keeper's own tick.

use std::{collections::BTreeSet, net::IpAddr, path::Path};

use super::{
    super::{
        host::{Host, Interface},
        interfaces, territory,
    },
    Keeper,
};
use crate::{
    config::ignore,
    kernel::{self, Attachment, Mode},
    policy::{Edit, Hold, Record},
};

impl Keeper {
    pub(super) fn on_host(&mut self, host: Host) {
        if host == self.host {
            return;
        }
        self.host = host;
        self.follow_interfaces();
        self.on_territory();
    }

    /// Puts into effect who is never blocked and whose ports are watched.
    fn on_territory(&mut self) {
        if let Err(error) = self.set_territory() {
            self.journal.error(&error);
        }
        let exempt = territory::exempt(&self.host, &self.ignored);
        let freed: Vec<IpAddr> =
            self.ledger.sources().filter(|source| territory::is_exempt(&exempt, *source)).collect();
        for source in freed {
            self.lift(source, "its address is never blocked");
        }
        if !self.listed.is_empty()
            && let Err(error) = self.set_listed()
        {
            self.journal.error(&error);
        }
    }

    /// The kernel's network maps follow the host.
    pub(super) fn set_territory(&mut self) -> Result<(), kernel::Error> {
        self.kernel.ignored.replace(&territory::exempt(&self.host, &self.ignored))?;
        self.kernel.local.replace(&territory::local(&self.host, &self.rules))
    }

    /// Reads again what was read before it was watched.
    pub(super) fn catch_up(&mut self) {
        self.on_ignore_file();
        self.on_block_list();
    }

    /// Reads a file again that may have changed.
    pub(super) fn on_change(&mut self, path: &Path) {
        if path == self.ignore_file {
            self.on_ignore_file();
        } else if path == self.block_list {
            self.on_block_list();
        } else if let Err(error) = self.names.reload() {
            self.journal.error(&error);
        }
        // Whatever the path: what is as known costs a look.
        self.on_blocked_file();
    }

    fn on_ignore_file(&mut self) {
        match ignore::load(&self.ignore_file) {
            Ok((ignored, _)) if ignored == self.ignored => {}
            Ok((ignored, report)) => {
                self.ignored = ignored;
                self.journal.note(&format!("{} was read again", self.ignore_file.display()));
                report.iter().for_each(|warning| self.journal.note(&warning.in_one_line()));
                self.on_territory();
            }
            Err(error) => self.journal.error(&format!("{error}; the ignored networks stay as they were")),
        }
    }

    /// Follows an administrator who edits the blocked file.
    pub(super) fn on_blocked_file(&mut self) {
        let Some((lines, problems)) = self.files.edited() else { return };
        for problem in problems {
            self.journal.error(&problem);
        }
        let exempt = territory::exempt(&self.host, &self.ignored);
        let Edit { block, lift, exempt } = self.ledger.edit(
            &lines,
            |source| territory::is_exempt(&exempt, source),
            |source| self.files.is_unshown(source),
        );
        for source in exempt {
            self.journal.error(&format!("the blocked file names {source}, which is never blocked"));
        }
        for source in lift {
            self.lift(source, "its line was taken out of the blocked file");
        }
        for mut record in block {
            record.hold.until = self.until(record.source, &record.hold);
            match self.hold(&record) {
                Ok(()) => self.journal.restored(&record, "the blocked file names it"),
                Err(error) => self.journal.error(&error),
            }
        }
        // The file is written as we write it, and without what can't be acted on.
        self.files.rewrite();
    }

    /// Blocks a source on an administrator's word. Of one that is blocked already, only the terms change.
    pub(super) fn hold(&mut self, record: &Record) -> Result<(), kernel::Error> {
        let Record { source, hold } = *record;
        let before = self.ledger.get(source).copied();
        let hold = match before {
            Some(old) if !old.is_fence => Hold { until: hold.until, proof: hold.proof, ..old },
            _ => hold,
        };
        let record = Record { source, hold };
        self.restore(&record)?;
        let is_denied = before.is_some_and(|old| (old.port, old.proof) == (hold.port, hold.proof));
        if let Some(old) = self.ledger.lift(source)
            && !is_denied
        {
            self.files.lift(&old);
        }
        self.ledger.enter(source, hold);
        self.files.show(&record);
        if is_denied {
            self.files.deny_still(&record);
        } else {
            self.files.deny(&record);
        }
        Ok(())
    }

    /// Attaches to one interface. What a challenge answers from a veth in native mode is lost unless its peer, too, has
    /// an XDP program (the kernel's `drivers/net/veth.c`), so there it is generic.
    fn attach(&mut self, interface: &Interface) -> Result<Attachment, kernel::Error> {
        if !(self.challenges && interface.is_veth) {
            return self.kernel.attach(&interface.name, self.mode);
        }
        let mut attachment = self.kernel.attach(&interface.name, self.mode.or(Some(Mode::Generic)))?;
        let reason = match self.mode {
            None => "because CHALLENGE is on, and answers sent from a native veth can be lost",
            Some(Mode::Native) => {
                "and CHALLENGE is on: its answers are lost unless the veth's other end runs an XDP program, too; \
                 XDP_MODE=\"auto\" loses none"
            }
            Some(Mode::Generic) => return Ok(attachment),
        };
        attachment.reason = attachment.mode.map(|_| reason.into());
        Ok(attachment)
    }

    /// Attaches to every interface that is wanted and there. One that fails takes back those that are new if
    /// `needs_all`; else the log says so. A program of ours that is replaced is worth a line only if `tells_all`.
    pub fn attach_all(&mut self, tells_all: bool, needs_all: bool) -> Result<(), kernel::Error> {
        let before: Vec<u32> = self.kernel.attached().collect();
        for interface in interfaces::present(&self.interfaces, &self.host) {
            match self.attach(&interface) {
                Ok(attachment) => {
                    if tells_all || attachment.mode.is_some() {
                        self.journal.note(&attachment);
                    }
                    self.attached.insert(interface);
                }
                Err(error) if needs_all => {
                    self.kernel.detach_all_but(&before)?;
                    return Err(error);
                }
                Err(error) => {
                    self.refused.insert(interface.index);
                    self.journal.error(&error);
                }
            }
        }
        let kept: Vec<u32> = self.attached.iter().map(|interface| interface.index).collect();
        self.kernel.detach_all_but(&kept)?;
        self.kernel.settle_gates()?;
        self.gate_bits = self.kernel.gate_bits();
        Ok(())
    }

    /// Follows interfaces that come and go.
    fn follow_interfaces(&mut self) {
        let present: BTreeSet<Interface> =
            interfaces::present(&self.interfaces, &self.host).into_iter().collect();
        for gone in self.attached.difference(&present).cloned().collect::<Vec<_>>() {
            self.attached.remove(&gone);
            self.journal.note(&format!("{}: no longer there", gone.name));
        }
        for new in present.difference(&self.attached).cloned().collect::<Vec<_>>() {
            match self.attach(&new) {
                Ok(attachment) => {
                    self.journal.note(&attachment);
                    self.refused.remove(&new.index);
                    self.attached.insert(new);
                }
                Err(error) if self.refused.insert(new.index) => self.journal.error(&error),
                // It is tried again whenever the host changes, and was told of once.
                Err(_) => {}
            }
        }
        let kept: Vec<u32> = self.attached.iter().map(|interface| interface.index).collect();
        if let Err(error) = self.kernel.detach_all_but(&kept) {
            self.journal.error(&error);
        }
    }
}
