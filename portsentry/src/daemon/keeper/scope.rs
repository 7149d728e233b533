//! The networks that are never blocked, and those whose ports are watched. They follow the host's state and the
//! ignore file.

use std::{collections::BTreeMap, mem, net::IpAddr, path::PathBuf};

use ipnet::IpNet;

use crate::{
    config::Config,
    host::Host,
    kernel::{self, Kernel},
    policy::{
        network_of,
        scope::{Exemptions, Rules, local},
        trouble::{News, Trouble},
    },
};

/// The host and the ignored networks, with the networks derived from them.
#[derive(Debug)]
pub(super) struct Scope {
    host: Host,
    ignored: Vec<IpNet>,
    rules: Rules,
    exempt: Exemptions,
    trouble: Trouble,
    pub ignore_file: PathBuf,
    /// `IPV6_PREFIX`
    prefix: u8,
    skips_own: bool,
}

impl Scope {
    pub(super) fn new(host: Host, ignored: Vec<IpNet>, config: &Config) -> Self {
        let exempt = Exemptions::new(&host, &ignored);
        let ignore_file = config.ignore_file.clone();
        let (rules, trouble, prefix) = (Rules::new(config), Trouble::default(), config.ipv6_prefix);
        Self { host, ignored, rules, exempt, trouble, ignore_file, prefix, skips_own: config.skips_own }
    }

    /// Returns the host's state.
    pub(super) const fn host(&self) -> &Host {
        &self.host
    }

    /// Returns `IPV6_PREFIX`.
    pub(super) const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Returns the networks in the ignore file.
    pub(super) fn ignored(&self) -> &[IpNet] {
        &self.ignored
    }

    /// Records the host's new state, and returns the old one. [`Scope::apply`] passes it to the kernel.
    pub(super) fn follow_host(&mut self, host: Host) -> Host {
        self.exempt.follow_host(&host);
        mem::replace(&mut self.host, host)
    }

    /// Records the networks of a changed ignore file. [`Scope::apply`] passes them to the kernel.
    pub(super) fn follow_ignored(&mut self, ignored: Vec<IpNet>) {
        self.exempt.follow_ignored(&ignored);
        self.ignored = ignored;
    }

    /// Returns the network by which `source` is counted and blocked: itself, or its IPv6 network.
    pub(super) fn network_of(&self, source: IpAddr) -> IpNet {
        network_of(source, self.prefix_of(source))
    }

    /// Returns the length of the IPv6 network by which `source` is counted and blocked, or 0 for the source alone.
    pub(super) fn prefix_of(&self, source: IpAddr) -> u8 {
        self.exempt.prefix_of(source, self.prefix)
    }

    /// Whether the length of this network is `IPV6_PREFIX`.
    pub(super) fn is_prefix(&self, network: IpNet) -> bool {
        matches!(network, IpNet::V6(_)) && network.prefix_len() == self.prefix && self.prefix < 128
    }

    /// Returns the networks that are never blocked.
    pub(super) fn exempt(&self) -> &Exemptions {
        &self.exempt
    }

    /// Whether packets whose source is their destination are passed over.
    pub(super) const fn skips_own(&self) -> bool {
        self.skips_own
    }

    /// Returns the reason why part of the scope isn't in effect, if so.
    pub(super) const fn trouble(&self) -> Option<&String> {
        self.trouble.problem()
    }

    /// Applies the scope. If it exceeds `MAX_ADDRESSES`, the old scope stays. Gateways, name servers and own
    /// addresses are then added, because these must never be blocked. Also returns a message about that.
    pub(super) fn apply(&mut self, kernel: &mut Kernel) -> (Result<(), kernel::Error>, Option<News>) {
        let applied = self.set(kernel);
        let mut trouble = applied.as_ref().err().map(|error| {
            format!("{error}; until then ignored and watched networks are unchanged, and new gateways, name servers and own addresses are added")
        });
        if let Err(error) = &applied {
            let kept = kernel.ignored.add_essential(&self.exempt.essential());
            if let (Err(worse), Some(trouble)) = (kept, &mut trouble) {
                *trouble = format!("{error}; {worse}");
            }
        }
        let news = self.trouble.note(trouble);
        (applied, news)
    }

    /// Returns the watched networks.
    pub(super) fn watched(&self) -> BTreeMap<IpNet, u32> {
        local(&self.host, &self.rules)
    }

    fn set(&self, kernel: &mut Kernel) -> Result<(), kernel::Error> {
        let watched = self.watched();
        // All or nothing, because exemptions are useless without the watched addresses.
        kernel.local.check(&watched)?;
        kernel.ignored.replace(&self.exempt.entries())?;
        kernel.local.replace(&watched)
    }
}
