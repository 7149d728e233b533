//! The settings for peers.

use std::time::Duration;

use crate::config::{Config, Peers as Trusted};

/// Maximum number of words in a gateway's part of the fleet's state.
const STATE: usize = 1 << 20;

/// The settings for peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `PEERS`
    pub trusted: Trusted,
    /// `PEER_RATE`: words per second of each peer.
    pub rate: u32,
    /// `MAX_PER_PEER`
    pub each: usize,
    /// `MAX_PEER_BLOCKED`, at most half of `MAX_BLOCKED`
    pub all: usize,
    /// Words of each peer's part of the state that are heard per minute: all of them, because the latest come last.
    pub state: usize,
    /// `PEER_BLOCK_TIME`
    pub longest: Duration,
}

impl Rules {
    /// Returns the settings in `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let all = config.max_peer_blocked.min(config.max_blocked / 2);
        Self {
            trusted: config.peers.clone(),
            rate: config.peer_rate,
            each: config.max_per_peer as usize,
            all: all as usize,
            state: STATE,
            longest: config.peer_block_time,
        }
    }
}
