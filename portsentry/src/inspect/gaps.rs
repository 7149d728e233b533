//! Interfaces that are not watched, as reported by the daemon or determined here, and missing parts of the scope.

use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    control::{Mode, Unwatched},
    host,
    policy::interfaces::{LeftOut, choose, missing},
};

/// Interfaces and networks that are not in effect, and the mode of enforcement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    /// The mode of enforcement, or `None` if no maps are pinned.
    pub mode: Option<Mode>,
    /// Interfaces that should be watched and are not.
    #[serde(default)]
    pub not_watched: Vec<Unwatched>,
    /// Interfaces that need not be watched.
    #[serde(default)]
    pub left_out: Vec<Unwatched>,
    /// Watched interfaces whose outgoing packets aren't seen.
    #[serde(default)]
    pub unseen: Vec<Unwatched>,
    /// Reason why not all own, ignored and watched networks are in effect.
    #[serde(default)]
    pub scope: Option<String>,
}

impl Gaps {
    /// Judges by the list of interfaces, given the indices of those that run the program.
    #[must_use]
    pub fn seen(config: &Config, pinned: &[u32]) -> Self {
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
