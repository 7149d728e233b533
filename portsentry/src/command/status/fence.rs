//! How SYNs of fenced sources are answered, for `status` and `doctor`.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::{
    config::{Config, Fence},
    kernel::Observer,
};

/// What becomes of a fenced source's SYN to this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::command) enum FencedSyns {
    /// It is dropped.
    Drop,
    /// It is forwarded to a served port; the program answers for the others.
    Forward,
    /// The program answers for every port, and the kernel accepts the connection.
    Accept,
}

impl FencedSyns {
    /// Tells it by the configuration, and by the pinned programs of the running daemon.
    pub(in crate::command) fn of(config: &Config, observer: &Observer) -> Self {
        match config.fence {
            Fence::Drop => Self::Drop,
            // Nothing is answered.
            Fence::Open if !config.challenge => Self::Drop,
            Fence::Open if observer.accepts() => Self::Accept,
            Fence::Open => Self::Forward,
        }
    }
}

impl Display for FencedSyns {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Drop => "closed: SYNs of fenced sources are dropped",
            Self::Forward => "open: services answer for their ports, and PortSentry for the others",
            Self::Accept => "open: PortSentry answers for every port",
        })
    }
}
