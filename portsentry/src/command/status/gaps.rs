//! What isn't watched: interfaces, as the daemon says or as they look from here, and ports.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    control::{Request, Unwatched, client},
    host,
    kernel::Observer,
    policy::interfaces::{LeftOut, choose, missing},
};

/// How long a daemon may take to answer. One that hangs must not keep its state from being shown.
const PATIENCE: Duration = Duration::from_secs(2);

/// What isn't watched or isn't in effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gaps {
    /// Interfaces that are to be watched and aren't.
    #[serde(default)]
    pub not_watched: Vec<Unwatched>,
    /// Interfaces that needn't be watched.
    #[serde(default)]
    pub left_out: Vec<Unwatched>,
    /// Why not all own, ignored and watched networks are in effect.
    #[serde(default)]
    pub scope: Option<String>,
}

impl Gaps {
    /// As the running daemon says; without its answer as the interfaces look from here.
    pub(super) fn read(config: &Config, observer: &Observer) -> Self {
        let asked = config.control_socket.as_deref().filter(|_| observer.daemon().is_some());
        let answer = asked.and_then(|socket| client::ask_within(socket, &Request::Status {}, PATIENCE)?.ok());
        let told = answer.and_then(|answer| serde_json::from_value(answer).ok());
        told.unwrap_or_else(|| Self::seen(config, &observer.links()))
    }

    /// By the list of interfaces, and which of them run our program.
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
                    gaps.not_watched.push(unwatched("it runs somebody else's XDP program".into()));
                }
                (Some(Ok(())), None) => gaps.not_watched.push(unwatched("no program is attached".into())),
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
