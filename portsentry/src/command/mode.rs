//! The mode of enforcement for `top`: that of the running daemon, or that of the configuration.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    config::Config,
    control::{Mode, Request, client},
    modes::Modes,
    policy::Enforcement,
};

/// Maximum time for the daemon's answer. A hanging daemon must not stop the display.
const PATIENCE: Duration = Duration::from_millis(500);

/// Asks the running daemon. Without an answer, returns the mode that the configuration sets.
pub(super) fn current(config: &Config, modes: Modes, daemon: Option<i32>) -> Mode {
    #[derive(Deserialize)]
    struct Health {
        mode: Mode,
    }
    let socket = config.control_socket.as_deref().filter(|_| daemon.is_some());
    let answer = socket
        .and_then(|socket| client::ask_within(socket, &Request::Status { report: false }, PATIENCE)?.ok());
    let health = answer.and_then(|answer| serde_json::from_value::<Health>(answer).ok());
    health.map_or_else(|| Enforcement::new(config, modes).into(), |health| health.mode)
}
