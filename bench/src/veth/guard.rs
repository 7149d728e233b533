//! The packet filter in front of the host's services.

use std::{fmt::Write as _, io::Write as _, process::Stdio};

use anyhow::{Context, Result, ensure};
use portsentry::policy::placement::Placement;
use portsentry_tests::lab::INTERFACE;

use super::pair::Pair;
use crate::{
    bed::{Bed, Making},
    sources::Family,
    xdp_filter::XdpFilter,
};

/// The packet filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    None,
    Portsentry,
    XdpFilter,
    /// A chain of the ingress hook, the earliest of nftables.
    NftablesIngress,
    /// A chain of the input hook, the usual one.
    NftablesInput,
}

/// State that keeps the filter in place.
pub(super) enum Installed {
    Nothing,
    Portsentry(#[expect(dead_code, reason = "it is kept")] Box<Bed>),
    XdpFilter(#[expect(dead_code, reason = "it is kept")] XdpFilter),
}

impl Guard {
    pub(super) const ALL: [Self; 5] =
        [Self::None, Self::Portsentry, Self::XdpFilter, Self::NftablesIngress, Self::NftablesInput];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "nobody",
            Self::Portsentry => "portsentry",
            Self::XdpFilter => "xdp-filter",
            Self::NftablesIngress => "nftables, ingress",
            Self::NftablesInput => "nftables, input",
        }
    }

    /// Makes the filter drop `blocked` sources on the pair's host.
    pub(super) fn set_up(self, pair: &Pair, blocked: u32) -> Result<Installed> {
        match self {
            Self::None => Ok(Installed::Nothing),
            Self::Portsentry => {
                let bed = pair.host.enter(|| -> Result<Bed> {
                    let mut bed = Making::new(blocked).load()?;
                    bed.kernel.attach(INTERFACE, Placement::Auto)?;
                    Ok(bed)
                });
                Ok(Installed::Portsentry(Box::new(bed?)))
            }
            Self::XdpFilter => {
                let mut filter =
                    XdpFilter::load(blocked)?.context("Debian's package xdp-tools is missing")?;
                pair.host.enter(|| filter.attach(INTERFACE))?;
                Ok(Installed::XdpFilter(filter))
            }
            Self::NftablesIngress => {
                let chain = format!("ingress device {INTERFACE} priority 0");
                nft(pair, "netdev", &chain, blocked).map(|()| Installed::Nothing)
            }
            Self::NftablesInput => {
                nft(pair, "inet", "input priority 0", blocked).map(|()| Installed::Nothing)
            }
        }
    }
}

/// Creates a chain that drops the sources in a set.
fn nft(pair: &Pair, family: &str, hook: &str, blocked: u32) -> Result<()> {
    let mut script = format!(
        "table {family} bench {{\n set blocked {{ type ipv4_addr; size {}; elements = {{ ",
        blocked.max(1)
    );
    for number in 0..blocked.max(1) {
        write!(script, "{}, ", Family::V4.source(number))?;
    }
    write!(
        script,
        "}} }}\n chain drops {{ type filter hook {hook}; policy accept; ip saddr @blocked drop; }}\n}}\n"
    )?;
    let mut command = pair.host.command("nft");
    let mut child = command
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("`nft` of Debian's package nftables")?;
    child.stdin.take().context("a pipe")?.write_all(script.as_bytes())?;
    let ended = child.wait_with_output()?;
    let problem = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "nft: {}", problem.lines().next().unwrap_or_default());
    Ok(())
}
