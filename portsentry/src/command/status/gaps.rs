//! Interfaces that are not watched, as reported by the daemon or determined here, and missing parts of the scope.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    control::{Mode, Request, Unwatched, client},
    host,
    kernel::Observer,
    modes::Modes,
    policy::{
        Enforcement,
        interfaces::{LeftOut, choose, missing},
    },
};

/// Maximum time for the daemon's answer. A hanging daemon must not prevent the report.
const PATIENCE: Duration = Duration::from_secs(2);

/// Interfaces and networks that are not in effect, and the mode of enforcement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gaps {
    /// The mode of enforcement, or `None` if no maps are pinned.
    pub mode: Option<Mode>,
    /// Interfaces that should be watched and are not.
    #[serde(default)]
    pub not_watched: Vec<Unwatched>,
    /// Interfaces that need not be watched.
    #[serde(default)]
    pub left_out: Vec<Unwatched>,
    /// Reason why not all own, ignored and watched networks are in effect.
    #[serde(default)]
    pub scope: Option<String>,
}

impl Gaps {
    /// Asks the running daemon. Without an answer, judges by the list of interfaces.
    pub(super) fn read(config: &Config, modes: Modes, observer: &Observer) -> Self {
        let asked = config.control_socket.as_deref().filter(|_| observer.daemon().is_some());
        let answer = asked.and_then(|socket| client::ask_within(socket, &Request::Status {}, PATIENCE)?.ok());
        let told = answer.and_then(|answer| serde_json::from_value(answer).ok());
        let mut gaps: Self = told.unwrap_or_else(|| Self::seen(config, &observer.links()));
        // The daemon of an earlier version doesn't report it.
        gaps.mode.get_or_insert_with(|| Enforcement::new(config, modes).into());
        gaps
    }

    /// Judges by the list of interfaces, given the indices of those that run the program.
    fn seen(config: &Config, pinned: &[u32]) -> Self {
        let links = host::Observer::connect().and_then(|mut observer| observer.interfaces());
        let links = links.unwrap_or_default();
        let chosen = choose(&config.interfaces, &links);
        let mut gaps = Self::default();
        for (index, link) in &links {
            let unwatched = |reason: String| Unwatched { interface: link.name.to_string(), reason };
            match (chosen.get(index), link.xdp) {
                _ if pinned.contains(index) => {}
                (Some(Ok(())), Some(_)) => {
                    gaps.not_watched.push(unwatched("it runs another XDP program".into()));
                }
                (Some(Ok(())), None) => gaps.not_watched.push(unwatched("no XDP program is attached".into())),
                (Some(Err(LeftOut::Unwanted)) | None, _) => {}
                (Some(Err(reason)), _) => gaps.left_out.push(unwatched(reason.to_string())),
            }
        }
        gaps.not_watched.extend(
            missing(&config.interfaces, &links)
                .map(|name| Unwatched { interface: name.to_owned(), reason: "it is not there".into() }),
        );
        gaps
    }
}
