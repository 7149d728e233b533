//! Every setting: its name, form, default and meaning. Settings are defined only here, in one table per subject.

mod answers;
mod blocks;
mod fence;
mod files;
mod fleet;
mod key;
mod limits;
mod log;
mod process;
mod responses;
mod scans;
mod watched;

pub use key::{Key, Origin};

/// Returns all settings, in the order of the shipped file.
pub fn all() -> impl Iterator<Item = &'static Key> {
    let tables = [
        watched::KEYS,
        files::KEYS,
        responses::KEYS,
        blocks::KEYS,
        fence::KEYS,
        answers::KEYS,
        scans::KEYS,
        log::KEYS,
        limits::KEYS,
        fleet::KEYS,
        process::KEYS,
    ];
    tables.into_iter().flatten()
}

/// Returns the setting called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}
