//! The targets, one file each.

mod answer;
mod blocked_file;
mod configuration;
mod control;
mod event;
mod frame;
mod history;
mod hosts_deny;
mod ignore_file;
mod name;

/// Code that reads untrusted bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name for `cargo xtask fuzz`.
    pub name: &'static str,
    /// Panics if a property does not hold for `data`.
    pub check: fn(data: &[u8]),
    /// Returns seeds of every kind of input.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets, sorted by name.
pub const TARGETS: &[Target] = &[
    Target { name: "answer", check: answer::check, seeds: answer::seeds },
    Target { name: "blocked_file", check: blocked_file::check, seeds: blocked_file::seeds },
    Target { name: "configuration", check: configuration::check, seeds: configuration::seeds },
    Target { name: "control", check: control::check, seeds: control::seeds },
    Target { name: "event", check: event::check, seeds: event::seeds },
    Target { name: "frame", check: frame::check, seeds: frame::seeds },
    Target { name: "history", check: history::check, seeds: history::seeds },
    Target { name: "hosts_deny", check: hosts_deny::check, seeds: hosts_deny::seeds },
    Target { name: "ignore_file", check: ignore_file::check, seeds: ignore_file::seeds },
    Target { name: "name", check: name::check, seeds: name::seeds },
];
