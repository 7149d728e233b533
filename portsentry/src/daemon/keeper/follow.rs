//! The keeper follows what changes around it: the host's addresses and interfaces, and files that an administrator
//! edits.

use std::{net::IpAddr, path::Path};

use super::Keeper;
use crate::{
    config::ignore,
    host::Host,
    kernel,
    policy::{Edit, Hold, Record},
};

impl Keeper {
    pub(super) fn on_host(&mut self, host: Host) {
        let before = std::mem::replace(&mut self.scope.host, host);
        if self.scope.host.links != before.links {
            self.follow_interfaces();
        }
        let Host { links, .. } = &self.scope.host;
        if (Host { links: links.clone(), ..before }) != self.scope.host {
            self.on_scope();
        }
        // One that is gone tells nothing that is missed.
        let _ = self.devices.as_ref().map(|devices| devices.send(()));
    }

    /// Puts into effect who is never blocked and whose ports are watched.
    fn on_scope(&mut self) {
        self.apply_scope();
        let exempt = self.scope.exempt();
        let freed: Vec<IpAddr> = self
            .ledger
            .records()
            .filter(|record| exempt.cover(record.network()))
            .map(|record| record.source)
            .collect();
        for source in freed {
            self.lift(source, "its address is never blocked");
        }
        self.lift_neighbours();
        if !self.listed.is_empty()
            && let Err(error) = self.set_listed()
        {
            self.journal.error(&error);
        }
    }

    /// The kernel's network maps follow the host and the ignore file. What keeps them from it is told once.
    fn apply_scope(&mut self) {
        let before = self.scope.trouble().cloned();
        // It is the scope's trouble from here on.
        let _ = self.scope.apply(&mut self.kernel);
        match self.scope.trouble() {
            Some(trouble) if before.as_ref() != Some(trouble) => self.journal.error(trouble),
            None if before.is_some() => {
                self.journal.note(
                    &"All own addresses, gateways, and ignored and watched networks are in effect again",
                );
            }
            _ => {}
        }
    }

    /// As at the beginning of a session: an error if `needs_all`, else told.
    pub(super) fn begin_scope(&mut self, needs_all: bool) -> Result<(), kernel::Error> {
        let applied = self.scope.apply(&mut self.kernel);
        if needs_all {
            return applied;
        }
        if let Some(trouble) = self.scope.trouble() {
            self.journal.error(trouble);
        }
        Ok(())
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
            Ok((ignored, _)) if ignored == self.scope.ignored => {}
            Ok((ignored, report)) => {
                self.scope.ignored = ignored;
                self.journal.note(&format!("{} reloaded", self.ignore_file.display()));
                report.iter().for_each(|warning| self.journal.note(&warning.in_one_line()));
                self.on_scope();
            }
            Err(error) => self.journal.error(&format!("{error}; the ignored networks are unchanged")),
        }
    }

    /// Follows an administrator who edits the blocked file.
    pub(super) fn on_blocked_file(&mut self) {
        let Some((lines, problems)) = self.files.edited() else { return };
        for problem in problems {
            self.journal.error(&problem);
        }
        let exempt = self.scope.exempt();
        let Edit { block, lift, exempt } = self.ledger.edit(
            &lines,
            |record| exempt.cover(record.network()),
            |source| self.files.is_unshown(source),
        );
        for source in exempt {
            self.journal.error(&format!("the blocked file names {source}, which is never blocked"));
        }
        for source in lift {
            self.lift(source, "its line was removed from the blocked file");
        }
        for mut record in block {
            record.hold.until = self.until(record.source, &record.hold);
            match self.hold(&record) {
                Ok(()) => self.journal.restored(&record, "its line in the blocked file"),
                Err(error) => self.journal.error(&error),
            }
        }
        // The file is written as we write it, and without what can't be acted on.
        self.files.rewrite();
    }

    /// Blocks a source on an administrator's word. Of one that already blocked, only the terms change.
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

    /// Attaches to every interface that is wanted and there (see [`Attachments::begin`]).
    pub fn attach_all(&mut self, tells_all: bool, needs_one: bool) -> Result<(), kernel::Error> {
        let Self { attachments, kernel, journal, scope, .. } = self;
        attachments.begin(kernel, journal, &scope.host.links, (tells_all, needs_one))?;
        self.kernel.settle_gates()?;
        self.gate_bits = self.kernel.gate_bits();
        Ok(())
    }

    /// Follows interfaces that come and go.
    pub(super) fn follow_interfaces(&mut self) {
        let Self { attachments, kernel, journal, scope, .. } = self;
        attachments.follow(kernel, journal, &scope.host.links);
    }
}
