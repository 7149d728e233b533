//! Follows changes from outside: the host's addresses and interfaces, and files that an administrator edits.

use std::path::Path;

use ipnet::IpNet;

use super::Keeper;
use crate::{
    config::{
        Report,
        ignore::{self, Ignored},
    },
    host::Host,
    kernel,
    policy::{
        Edit, name_of,
        register::{Admission, NEVER_BLOCKED, Release, Why},
        trouble::News,
    },
};

impl Keeper {
    pub(super) fn on_host(&mut self, host: Host) {
        let before = self.scope.follow_host(host);
        if self.scope.host().links != before.links {
            self.follow_interfaces();
        }
        let Host { links, .. } = self.scope.host();
        if (Host { links: links.clone(), ..before }) != *self.scope.host() {
            self.on_scope();
        }
        // A missing receiver is no error.
        let _ = self.outside.devices.as_ref().map(|devices| devices.send(()));
    }

    /// Applies the networks that are never blocked, and those that are watched.
    fn on_scope(&mut self) {
        self.apply_scope();
        let exempt = self.scope.exempt();
        let freed = self.register.ledger().records().map(|record| record.network);
        let freed: Vec<IpNet> = freed.filter(|network| exempt.cover(*network)).collect();
        for network in freed {
            self.release(Release::Exempt, network, NEVER_BLOCKED);
        }
        self.lift_neighbours();
        self.settle_all();
        if !self.listed.is_empty()
            && let Err(error) = self.set_listed()
        {
            self.journal.error(&error);
        }
    }

    /// Updates the kernel's network maps from the host and the ignore file. An error is logged once.
    fn apply_scope(&mut self) {
        self.totals.scans.groups.follow_scope();
        // From now on the scope keeps the error.
        let (_, news) = self.scope.apply(&mut self.kernel);
        match news {
            Some(News::Begun(trouble)) => self.journal.error(&trouble),
            Some(News::Over) => self
                .journal
                .note(&"All own addresses, gateways, and ignored and watched networks are in effect again"),
            None => {}
        }
    }

    /// Applies the scope at the start of a session. A failure is an error with `needs_all`, otherwise it is logged.
    pub(super) fn begin_scope(&mut self, needs_all: bool) -> Result<(), kernel::Error> {
        let (applied, news) = self.scope.apply(&mut self.kernel);
        if needs_all {
            return applied;
        }
        if let Some(News::Begun(trouble)) = news {
            self.journal.error(&trouble);
        }
        Ok(())
    }

    /// Reads files again that were read before they were watched.
    pub(super) fn catch_up(&mut self) {
        let ignored_too = ignore::static_file(&self.scope.ignore_file);
        if ignored_too.exists() {
            self.journal.note(&format!("{} is read, too", ignored_too.display()));
        }
        self.on_ignore_file();
        self.on_block_list();
    }

    /// Reads a file again that may have changed.
    pub(super) fn on_change(&mut self, path: &Path) {
        if path == self.scope.ignore_file || path == ignore::static_file(&self.scope.ignore_file) {
            self.on_ignore_file();
        } else if self.listed.is_at(path) {
            self.on_block_list();
        } else if let Some(reread) = self.journal.origins().reread(path) {
            match reread {
                Ok(()) => self.journal.note(&format!("{} reloaded", path.display())),
                Err(error) => self.journal.error(&format!("{error}; its last valid content stays in use")),
            }
        } else if let Err(error) = self.names.reload() {
            self.journal.error(&error);
        }
        // Read for any path, because an unchanged file costs little.
        self.on_blocked_file();
    }

    fn on_ignore_file(&mut self) {
        match ignore::load(&self.scope.ignore_file) {
            Ok(ignored) if ignored.networks == self.scope.ignored() => {}
            // The start has warned of a default file that was missing all along.
            Ok(Ignored { is_missing: true, networks, .. })
                if self.scope.ignored().iter().any(|before| !networks.contains(before)) =>
            {
                let path = self.scope.ignore_file.display();
                self.journal.error(&format!("{path} is missing; the ignored networks are unchanged"));
            }
            Ok(ignored) => {
                let before = self.scope.ignored();
                let mut new = ignored.networks.iter().filter(|network| !before.contains(network));
                if let Err(error) = new.try_for_each(|network| self.acquit(*network)) {
                    self.journal.error(&error);
                }
                self.scope.follow_ignored(ignored.networks);
                self.journal.note(&format!("{} reloaded", self.scope.ignore_file.display()));
                let warnings = ignored.reports.iter().flat_map(Report::iter);
                warnings.for_each(|warning| self.journal.warning(&warning.in_one_line()));
                self.on_scope();
            }
            Err(error) => self.journal.error(&format!("{error}; the ignored networks are unchanged")),
        }
    }

    /// Follows an administrator's edit of the blocked file.
    pub(super) fn on_blocked_file(&mut self) {
        let Some((lines, problems)) = self.files.edited() else { return };
        for problem in problems {
            self.journal.error(&problem);
        }
        let exempt = self.scope.exempt();
        let Edit { block, lift, exempt } = self.register.ledger().edit(
            &lines,
            |record| exempt.cover(record.network),
            |network| self.files.is_unshown(network),
        );
        for network in exempt {
            let name = name_of(network);
            self.journal.error(&format!("the blocked file names {name}, which is never blocked"));
        }
        for network in lift {
            self.release(Release::Administrator, network, "its line was removed from the blocked file");
        }
        for record in block {
            let reason = self.files.reason(record.network).map(str::to_owned);
            let why = Why::given_or(reason.as_deref(), "its line in the blocked file");
            if let Err(error) = self.admit(Admission::Administrator, record, None, why) {
                self.journal.error(&error);
            }
        }
        // Rewrites the file in PortSentry's format, without lines that can't be applied.
        self.files.rewrite();
    }

    /// Attaches to every wanted interface that exists (see [`begin`](super::attachments::Attachments::begin)).
    pub fn attach_all(&mut self, tells_all: bool, needs_one: bool) -> Result<(), kernel::Error> {
        let Self { attachments, kernel, journal, scope, .. } = self;
        attachments.begin(kernel, journal, &scope.host().links, (tells_all, needs_one))?;
        self.kernel.settle_gates()?;
        self.schedule.gate_bits = self.kernel.gate_bits();
        Ok(())
    }

    /// Follows new and removed interfaces.
    pub(super) fn follow_interfaces(&mut self) {
        let Self { attachments, kernel, journal, scope, .. } = self;
        attachments.follow(kernel, journal, &scope.host().links);
    }
}
