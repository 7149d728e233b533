//! Judges a frame: pass, drop or answer. The same code runs in the kernel, in tests and in fuzzers.
//!
//! Cheap checks come first, because most sources are not blocked, and most packets can't be probes.

mod action;
mod answer;
mod benign;
mod challenge;
mod contact;
mod enter;
mod fast_path;
mod fenced;
mod open;
mod precheck;
mod read;
mod report;
mod scan;
pub(crate) mod served;
mod slow_path;
mod slow_path_fenced;
mod source_key;
mod source_state;
mod suspect;

pub use self::{
    action::Action,
    contact::contact,
    fast_path::{Clear, FastPath, fast_path},
    fenced::Fenced,
    open::open,
    precheck::precheck,
    scan::{Newcomer, convict, first_contact, is_told, newcomer, note_contact, scan, seconds},
    slow_path::{network, slow_path, slow_path_free},
    slow_path_fenced::{slow_path_fenced, slow_path_proof, slow_path_unsettled},
    source_key::source_key,
    source_state::{SourceState, source_state},
    suspect::{Suspect, suspect},
};
use self::{slow_path::settle_free, slow_path_fenced::settle_fenced};
use crate::{
    address::{Ipv4, Ipv6},
    challenge::Challenged,
    environment::FamilyMaps,
    frame::Rewrite,
    gate::Near,
    parse::Plain,
};

/// Judges `frame`. A frame that can't be parsed is counted by its cause and passes, unless its source is blocked,
/// or its source is fenced and the transport header can't be read.
#[inline(always)]
pub fn judge<F, W>(frame: &F, env: &W) -> Action
where
    F: Rewrite,
    W: FamilyMaps<Ipv4> + FamilyMaps<Ipv6>,
{
    if F::IS_BARE {
        return slow_path(frame, env);
    }
    let is_clear = match fast_path(frame, env, |found| found) {
        FastPath::Decided(action) => return action,
        FastPath::Unsettled => false,
        FastPath::SynIpv4 => return settle_free::<Ipv4, F, W>(frame, env),
        FastPath::SynIpv6 => return settle_free::<Ipv6, F, W>(frame, env),
        FastPath::SuspectIpv4(near) => match suspect_fully::<Ipv4, F, W>(frame, near, env) {
            Some(action) => return action,
            None => true,
        },
        FastPath::SuspectIpv6(near) => match suspect_fully::<Ipv6, F, W>(frame, near, env) {
            Some(action) => return action,
            None => true,
        },
    };
    precheck(frame, is_clear, env).unwrap_or_else(|| slow_path(frame, env))
}

/// Judges a packet whose source may be blocked or fenced. Returns `None` if it is free.
#[inline(always)]
fn suspect_fully<A, F, W>(frame: &F, near: Near, env: &W) -> Option<Action>
where
    A: Plain + Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    match suspect::<A, F, W>(frame, near, env) {
        Suspect::Decided(action) => Some(action),
        Suspect::Free => None,
        Suspect::Syn(fence) => {
            let action = open::<A, F, W>(frame, Some(fence), env);
            Some(action.unwrap_or_else(|| settle_fenced::<A, F, W>(frame, env)))
        }
        Suspect::Fenced => Some(settle_fenced::<A, F, W>(frame, env)),
    }
}
