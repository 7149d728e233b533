//! The running daemon: joins `kernel`, `policy` and `sink`.

mod begin;
mod claims;
mod control;
mod error;
mod host_watch;
mod keeper;
mod message;
mod notify;
mod options;
mod ports;
mod reader;
mod session;
mod signals;
mod standby;
mod trap;
mod watched_ports;

use std::sync::Arc;

pub use error::Error;
pub use options::{Options, Reread};
pub use watched_ports::watches_nothing;

use self::{
    begin::Begin,
    claims::Claims,
    control::Control,
    reader::End,
    session::{Lasting, Session},
    signals::Signals,
    standby::Wait,
};
use crate::{
    kernel,
    metrics::{Server, Stats},
    sandbox::Sandbox,
};

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
