//! Whom the kernel never blocks and whose ports it watches, kept in step with the host and the ignore file.

use ipnet::IpNet;

use crate::{
    config::Config,
    host::Host,
    kernel::{self, Kernel},
    policy::scope::{Exemptions, Rules, local},
};

/// The host, the ignored networks, and what follows from them.
#[derive(Debug)]
pub(super) struct Scope {
    pub host: Host,
    pub ignored: Vec<IpNet>,
    rules: Rules,
    exempt: Exemptions,
    trouble: Option<String>,
}

impl Scope {
    pub(super) fn new(host: Host, ignored: Vec<IpNet>, config: &Config) -> Self {
        let exempt = Exemptions::new(&host, &ignored);
        Self { host, ignored, rules: Rules::new(config), exempt, trouble: None }
    }

    /// Who is never blocked.
    pub(super) fn exempt(&self) -> &Exemptions {
        &self.exempt
    }

    /// Why not all of it is in effect, if it isn't.
    pub(super) fn trouble(&self) -> Option<&String> {
        self.trouble.as_ref()
    }

    /// Puts it into effect. Where `MAX_ADDRESSES` has no room for it, what was in effect stays, and gateways, name servers and
    /// own addresses are added: none of them must be blocked for want of room.
    pub(super) fn apply(&mut self, kernel: &mut Kernel) -> Result<(), kernel::Error> {
        self.exempt = Exemptions::new(&self.host, &self.ignored);
        let applied = self.set(kernel);
        self.trouble = applied.as_ref().err().map(|error| {
            format!(
                "{error}; until then ignored and watched networks are unchanged, and new gateways, \
                name servers and own addresses are added"
            )
        });
        if let Err(error) = &applied {
            let kept = kernel.ignored.add_essential(&self.exempt.essential());
            if let (Err(worse), Some(trouble)) = (kept, &mut self.trouble) {
                *trouble = format!("{error}; {worse}");
            }
        }
        applied
    }

    fn set(&self, kernel: &mut Kernel) -> Result<(), kernel::Error> {
        let watched = local(&self.host, &self.rules);
        // All or nothing: exemptions of a host whose addresses aren't watched would be half of it.
        kernel.local.check(&watched)?;
        kernel.ignored.replace(&self.exempt.entries())?;
        kernel.local.replace(&watched)
    }
}
