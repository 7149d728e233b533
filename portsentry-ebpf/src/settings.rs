//! The settings, as the program sees them.

use core::ptr::with_exposed_provenance;

use portsentry_common::settings::Settings;

use crate::{barrier_var::barrier_var, maps};

/// Returns the settings that the daemon wrote before loading the program.
#[inline(always)]
pub fn settings() -> &'static Settings {
    // The optimiser must not assume the initial value: the loader overwrites it.
    let settings = barrier_var((&raw const maps::SETTINGS).expose_provenance());
    // SAFETY: a `Global` is its value, which is plain data that does not change while the program runs.
    unsafe { &*with_exposed_provenance(settings) }
}
