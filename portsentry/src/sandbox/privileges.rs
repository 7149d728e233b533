//! Capabilities, and the user as which the daemon runs.

use std::{collections::BTreeSet, io};

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};
use nix::{
    sys::prctl::set_keepcaps,
    unistd::{Gid, Uid, User, getegid, geteuid, setgroups, setresgid, setresuid},
};

use super::Error;

/// Default user, if it exists and `RUN_AS` is not set.
const USER: &str = "portsentry";

/// Needed to read and write maps, replace the program and attach to new interfaces.
const ALWAYS: [Capability; 3] = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];
/// Needed by users other than root to reach bpffs, and to read a configuration that only root can read.
const READING: [Capability; 1] = [Capability::CAP_DAC_READ_SEARCH];
/// Needed to replace files of other owners, and to preserve their owner and mode.
const FOREIGN: [Capability; 3] =
    [Capability::CAP_DAC_OVERRIDE, Capability::CAP_CHOWN, Capability::CAP_FOWNER];
/// Needed to answer a datagram with the banner from the port to which it was sent.
pub(super) const ANSWERING: Capability = Capability::CAP_NET_BIND_SERVICE;
/// Needed to give the control socket to a group.
pub(super) const GRANTING: Capability = Capability::CAP_CHOWN;

/// A user and its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub user: u32,
    pub group: u32,
}

/// Capabilities.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Privileges(CapsHashSet);

impl Account {
    /// Finds the user `name`. Without a name, returns [`USER`] if it exists, otherwise the user of this process.
    /// Only root can become another user.
    pub(super) fn find(name: Option<&str>) -> Result<Self, Error> {
        let failed = |errno: nix::Error| Error::System { what: "looking for a user", source: errno.into() };
        let current = Self::current();
        let user = match User::from_name(name.unwrap_or(USER)) {
            // getpwnam(3): no such user, or no user database.
            Err(nix::Error::ENOENT | nix::Error::ESRCH) => None,
            found => found.map_err(failed)?,
        };
        match (user, name) {
            (Some(user), _) if current.user == 0 => {
                Ok(Self { user: user.uid.as_raw(), group: user.gid.as_raw() })
            }
            (None, Some(name)) => Err(Error::NoUser(name.into())),
            _ => Ok(current),
        }
    }

    /// Returns the user of this process.
    pub(super) fn current() -> Self {
        Self { user: geteuid().as_raw(), group: getegid().as_raw() }
    }

    fn is_current(self) -> bool {
        geteuid().as_raw() == self.user
    }

    /// Becomes this user, keeping the permitted capabilities.
    fn assume(self) -> nix::Result<()> {
        let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
        set_keepcaps(true)?;
        setgroups(&[])?;
        setresgid(group, group, group)?;
        setresuid(user, user, user)
    }
}

impl Privileges {
    /// Returns the capabilities that `account` needs to write files of `owners`, and for the rest of its
    /// configuration.
    pub(super) fn needed(
        account: Account,
        owners: &BTreeSet<u32>,
        others: impl IntoIterator<Item = Capability>,
    ) -> Self {
        let mut needed = CapsHashSet::from(ALWAYS);
        if account.user != 0 {
            needed.extend(READING);
        }
        if owners.iter().any(|owner| *owner != account.user) {
            needed.extend(FOREIGN);
        }
        needed.extend(others);
        Self(needed)
    }

    /// Returns the capabilities for files of other owners.
    pub(super) fn of_files() -> Self {
        Self(READING.into_iter().chain(FOREIGN).collect())
    }

    /// Whether `other` includes all of these.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Becomes `account`, and permanently drops all other capabilities, for executed programs, too.
    pub(super) fn keep(&self, account: Account) -> Result<(), Error> {
        let failed = |what| move |error: CapsError| Error::System { what, source: io::Error::other(error) };
        let had = caps::read(None, CapSet::Effective).map_err(failed("reading capabilities"))?;
        if had.contains(&Capability::CAP_SETPCAP) {
            for unneeded in caps::runtime::thread_all_supported().difference(&self.0) {
                caps::drop(None, CapSet::Bounding, *unneeded).map_err(failed("bounding capabilities"))?;
            }
        }
        if !account.is_current() {
            account
                .assume()
                .map_err(|errno| Error::System { what: "becoming another user", source: errno.into() })?;
        }
        let permitted = caps::read(None, CapSet::Permitted).map_err(failed("reading capabilities"))?;
        let kept: CapsHashSet = permitted.intersection(&self.0).copied().collect();
        caps::clear(None, CapSet::Inheritable).map_err(failed("giving up capabilities"))?;
        for set in [CapSet::Effective, CapSet::Permitted] {
            caps::set(None, set, &kept).map_err(failed("giving up capabilities"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_as_few_as_the_files_allow() {
        for (user, owners, expected) in
            [(0, vec![], 3), (0, vec![0], 3), (0, vec![0, 7], 6), (7, vec![7], 4), (7, vec![0, 7], 7)]
        {
            let owners = owners.iter().copied().collect();
            let needed = |others| Privileges::needed(Account { user, group: 0 }, &owners, others);
            assert_eq!(needed(Some(ANSWERING)).0.len(), expected + 1, "{user} {owners:?}");
            let needed = needed(None);
            assert_eq!(needed.0.len(), expected, "{user} {owners:?}");
            assert!(needed.0.is_superset(&CapsHashSet::from(ALWAYS)));
        }
    }
}
