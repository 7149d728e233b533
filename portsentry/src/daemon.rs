//! The running daemon: joins `kernel`, `policy` and `sink`.

mod control;
mod host_watch;
mod keeper;
mod message;
mod notify;
mod ports;
mod reader;
mod session;
mod signals;
mod standby;
mod trap;

use std::{io, sync::Arc};

use ipnet::IpNet;

pub use session::watches_nothing;

use self::{
    control::Control,
    reader::End,
    session::{Begin, Lasting, Session},
    signals::Signals,
    standby::{Claims, Wait},
};
use crate::{
    config::{BlockList, Config},
    kernel,
    metrics::{Server, Stats},
    modes::Modes,
    sandbox::{self, Sandbox},
};

/// The options of a daemon.
#[derive(Debug)]
pub struct Options {
    /// The configuration, overridden by the command line.
    pub config: Config,
    /// The watched ports.
    pub modes: Modes,
    /// The ignore file's networks.
    pub ignored: Vec<IpNet>,
    /// The block list.
    pub listed: BlockList,
    /// Whether to log the kernel program's debug messages.
    pub debug: bool,
    /// Warnings about the files, one line each; logged if standard error is not visible.
    pub warnings: Vec<String>,
}

/// Reads the options again; on failure returns the problems, one line each for the log.
pub type Reread<'a> = dyn Fn() -> Result<Options, Vec<String>> + 'a;

/// Reasons why a daemon did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error at the kernel boundary.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The host's interfaces and addresses could not be read.
    #[error("this host's interfaces and addresses can't be read: {0}")]
    Host(io::Error),
    /// Privileges could not be given up.
    #[error("the sandbox can't be entered (SANDBOX=\"0\" runs without it): {0}")]
    Sandbox(#[from] sandbox::Error),
    /// Another error of the system.
    #[error("{what}: {source}")]
    System {
        /// The operation that failed.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

/// Runs until a signal to stop. Calls `active` once everything is watched.
pub async fn run(mut options: Options, reread: &Reread<'_>, active: impl FnOnce()) -> Result<(), Error> {
    let listening = Signals::new();
    let mut signals = listening.map_err(|source| Error::System { what: "listening to signals", source })?;
    let sandbox = Sandbox::default();
    let reread = || {
        notify::reloading();
        // A new configuration takes effect with the next session.
        let admitted = |options: Options| sandbox.admits(&options.config).map(|()| options);
        reread().and_then(admitted).inspect_err(|_| notify::ready())
    };
    let active = || {
        notify::ready();
        active();
    };
    let mut lasting = Lasting {
        pins: None,
        claims: Claims::default(),
        sandbox: &sandbox,
        stats: Arc::new(Stats::default()),
        control: Control::default(),
        memory: None,
    };
    let mut server = Server::default();
    let mut session = match Session::start(&options, &Begin::Start, &mut lasting) {
        Err(Error::Kernel(kernel::Error::Running(_))) => {
            let waiting = standby::run(&mut options, &mut lasting, (&reread, &mut signals), active);
            let waited = tokio::select! {
                waited = waiting => waited?,
                never = notify::watch(&[]) => match never {},
            };
            match waited {
                Wait::Stopped => return Ok(()),
                Wait::Begun(session) => *session,
            }
        }
        begun => {
            let session = begun?;
            active();
            session
        }
    };
    loop {
        server.follow(options.config.metrics_listen, &lasting.stats);
        // If the other processes can't be asked, they count as unchanged: none.
        let Lasting { claims, control, .. } = &mut lasting;
        let others = || claims.others(&options.config.pin_path).unwrap_or_default();
        let (new, begin) = match Box::pin(session.serve((&mut signals, control), &reread, &others)).await? {
            End::Leave => return Ok(()),
            End::Stop => return standby::leave(&options, &lasting.claims),
            End::Regroup => (None, Begin::Regroup),
            End::EphemeralPorts => (None, Begin::EphemeralPorts),
            End::PinnedAnew => (None, Begin::PinnedAnew),
            End::Reload(new) => (Some(*new), Begin::Reload),
        };
        let next = new.as_ref().unwrap_or(&options);
        session = match Session::start(next, &begin, &mut lasting) {
            Ok(session) => {
                options = new.unwrap_or(options);
                session
            }
            Err(error) => Session::start(&options, &Begin::Fallback(error.to_string()), &mut lasting)?,
        };
        notify::ready();
    }
}
