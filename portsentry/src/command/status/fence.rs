//! The treatment of fenced sources' SYNs, for `status` and `doctor`.

use portsentry_common::settings::FencedSyns;
use serde::Serializer;

use crate::{
    config::{Config, Fence},
    kernel::Observer,
};

/// Returns the treatment, according to the configuration and the running daemon's pinned programs.
pub(in crate::command) fn fenced_syns(config: &Config, observer: &Observer) -> FencedSyns {
    match config.fence_in_effect() {
        Fence::Drop => FencedSyns::Drop,
        Fence::Open if observer.accepts() => FencedSyns::Accept,
        Fence::Open => FencedSyns::Forward,
    }
}

/// Serializes the name of `way`, in the output's format.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn name<S: Serializer>(way: &FencedSyns, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match way {
        FencedSyns::Drop => "drop",
        FencedSyns::Forward => "forward",
        FencedSyns::Accept => "accept",
    })
}
