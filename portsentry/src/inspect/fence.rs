//! The treatment of fenced sources' SYNs, for `status` and `doctor`.

use portsentry_common::settings::FencedSyns;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

use crate::{
    config::{Config, Fence},
    kernel::Observer,
};

/// Returns the treatment, according to the configuration and the running daemon's pinned programs.
#[must_use]
pub fn fenced_syns(config: &Config, observer: &Observer) -> FencedSyns {
    match config.fence_in_effect() {
        Fence::Drop => FencedSyns::Drop,
        Fence::Open if observer.accepts() => FencedSyns::Accept,
        Fence::Open => FencedSyns::Forward,
    }
}

/// The names, in the output's format.
const NAMES: [(FencedSyns, &str); 3] =
    [(FencedSyns::Drop, "drop"), (FencedSyns::Forward, "forward"), (FencedSyns::Accept, "accept")];

/// Serializes the name of `way`.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn serialize<S: Serializer>(way: &FencedSyns, serializer: S) -> Result<S::Ok, S::Error> {
    let name = NAMES.iter().find(|(named, _)| named == way).map_or("", |(_, name)| name);
    serializer.serialize_str(name)
}

/// Deserializes a way by its name.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FencedSyns, D::Error> {
    let name = String::deserialize(deserializer)?;
    let way = NAMES.iter().find(|(_, named)| *named == name).map(|(way, _)| *way);
    way.ok_or_else(|| D::Error::custom(format!("unknown: {name}")))
}
