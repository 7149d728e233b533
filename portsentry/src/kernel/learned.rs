//! The maps of ports learned from other hosts' answers.

use portsentry_common::learned::{Failures, PortKey};

use super::Error;

/// The map of served ports.
pub(super) const SERVED: &str = "LEARNED_SERVED";
/// The map of refused ports.
pub(super) const REFUSED: &str = "LEARNED_REFUSED";
/// The map of failed connections.
pub(super) const FAILURES: &str = "FAILURES";

/// Returns a random key for the hashes of questions.
pub(super) fn question_key() -> Result<u64, Error> {
    getrandom::u64()
        .map_err(|error| Error::System { what: "asking for random numbers", source: error.into() })
}

const _: () = assert!(size_of::<PortKey>() == 24 && size_of::<Failures>() == 160);
