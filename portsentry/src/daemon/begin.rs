//! The reason for a session's start, and its announcement in the log.

use super::Options;
use crate::{
    config::Config,
    kernel::System,
    modes::{Mode, Modes},
    sink::Log,
};

/// The reason for a session's start, for the log.
#[derive(Debug)]
pub enum Begin {
    /// The daemon starts.
    Start,
    /// The owner of the maps has ended, and this process takes its place.
    Succeed,
    /// Configuration reloaded.
    Reload,
    /// Another process that shares the maps has started or ended.
    Regroup,
    /// The system's settings have changed; the ones before.
    System(System),
    /// The ports are watched, some time after the machine's boot.
    Booted,
    /// Hidden pins have been restored.
    PinnedAnew,
    /// The machine has slept.
    Resumed,
    /// A new configuration could not be applied, for this reason; the old one continues.
    Fallback(String),
}

impl Begin {
    /// Whether the log has no announcement yet.
    pub const fn is_first(&self) -> bool {
        matches!(self, Self::Start | Self::Succeed)
    }

    /// Logs the beginning of the session, before any step that may fail.
    pub fn open(&self, journal: &mut Log, config: &Config, modes: Modes) {
        match self {
            Self::Start | Self::Succeed => journal.starting(config, modes),
            Self::Fallback(problem) => {
                journal.error(&format!("{problem}; the old configuration stays in effect"));
            }
            Self::Reload
            | Self::Regroup
            | Self::System(_)
            | Self::Booted
            | Self::PinnedAnew
            | Self::Resumed => {}
        }
    }

    /// Logs the configuration in effect. This is the last step of a start, because readers of the log act on it at
    /// once.
    pub fn announce(&self, journal: &mut Log, options: &Options, modes: Modes, system: System) {
        match self {
            Self::Start | Self::Succeed => journal.active(),
            Self::Reload => {
                journal.reloaded("Configuration reloaded");
                options.warnings.iter().for_each(|warning| journal.warning(warning));
            }
            Self::Regroup => {
                let names: Vec<_> = modes.iter().map(Mode::name).collect();
                journal.reloaded(&format!("Watching for all processes together: {}", names.join(", ")));
            }
            Self::System(before) => {
                let System { ephemeral: (first, last), forwards } = system;
                if before.ephemeral != system.ephemeral {
                    journal.reloaded(&format!(
                        "Ephemeral ports changed to {first}-{last}: datagrams to these are no probes"
                    ));
                }
                if before.forwards != forwards {
                    journal.reloaded(if forwards {
                        "Forwarding was switched on: ANSWERS and SCAN_DETECTION now apply as on a gateway"
                    } else {
                        "Forwarding was switched off: ANSWERS and SCAN_DETECTION no longer apply as on a gateway"
                    });
                }
            }
            Self::Booted => journal.reloaded("Ports are watched now"),
            Self::PinnedAnew => {
                journal.reloaded(&format!(
                    "All maps and links are pinned in {} again",
                    options.config.pin_path.display()
                ));
            }
            Self::Resumed => journal.reloaded(
                "The machine has slept: the kernel program is replaced, because drivers may have forgotten it",
            ),
            Self::Fallback(_) => {}
        }
    }

    /// Whether the start fails if no interface can be watched, or if there is no room for all addresses. A session
    /// that no other could replace starts anyway.
    pub const fn is_choosy(&self) -> bool {
        matches!(self, Self::Start | Self::Reload)
    }
}
