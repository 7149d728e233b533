//! The macros of the `KILL_*` settings, and their values.

use std::time::SystemTime;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::policy::{
    hold::{Record, name_of},
    id::BlockId,
};

/// The values of the macros for one action.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// `$TARGET$`: the source, a host or an IPv6 network.
    pub target: IpNet,
    /// `$PORT$`: the destination port of the source's probe.
    pub port: u16,
    /// `$MODE$`: `tcp` to `audp` in 1.2, `stealth` or `connect` in 2.x.
    pub mode: &'a str,
    /// `$PROOF$`: the proof that the source sent the probe.
    pub proof: &'a str,
    /// `$REASON$`: the reason in words for the block, fence or release.
    pub reason: &'a str,
    /// `$UNTIL$`: the end of the block or fence.
    pub until: Option<SystemTime>,
    /// `$ID$`: the id of the block or fence, if there is one.
    pub id: Option<BlockId>,
}

impl<'a> Values<'a> {
    /// Returns the values for the block, fence or release of `record`, with this `id` and `reason`.
    #[must_use]
    pub fn new(record: &Record, id: Option<BlockId>, mode: &'a str, reason: &'a str) -> Self {
        let Record { network: target, hold } = *record;
        Self { target, port: hold.port, mode, proof: hold.proof.name(), reason, until: hold.until, id }
    }
}

/// A macro, written as `$NAME$`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Macro {
    Target,
    Port,
    Mode,
    Proof,
    Reason,
    Until,
    Id,
}

impl Macro {
    /// In the order of the shell's positional parameters.
    pub(super) const ALL: [(&'static str, Self); 7] = [
        ("$TARGET$", Self::Target),
        ("$PORT$", Self::Port),
        ("$MODE$", Self::Mode),
        ("$PROOF$", Self::Proof),
        ("$REASON$", Self::Reason),
        ("$UNTIL$", Self::Until),
        ("$ID$", Self::Id),
    ];

    /// Returns the macro at the start of `text`, and the length of its name.
    pub(super) fn at_start(text: &str) -> Option<(Self, usize)> {
        Self::ALL.iter().find(|(name, _)| text.starts_with(name)).map(|&(name, it)| (it, name.len()))
    }

    pub(super) fn value(self, values: &Values<'_>) -> String {
        match self {
            Self::Target => name_of(values.target),
            Self::Port => values.port.to_string(),
            Self::Mode => values.mode.to_owned(),
            Self::Proof => values.proof.to_owned(),
            Self::Reason => values.reason.to_owned(),
            Self::Until => values.until.map_or_else(|| "never".into(), whole_seconds),
            Self::Id => values.id.map_or_else(|| "none".into(), |id| id.to_string()),
        }
    }
}

/// RFC 3339, in UTC.
fn whole_seconds(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
