//! The running daemon: joins `kernel`, `policy` and `sink`.

mod begin;
mod claims;
mod control;
mod departure;
mod error;
mod host_watch;
mod keeper;
mod message;
mod notify;
mod options;
mod ports;
mod reader;
mod session;
mod share;
mod signals;
mod standby;
mod trap;
mod watched_ports;

use std::sync::Arc;

use serde_json::json;

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
    control::{Code, Refusal},
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
        mode: None,
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
        // If the modes of other processes can't be read, they count as unchanged, that is, as none.
        let Lasting { claims, control, .. } = &mut lasting;
        let others = || claims.others(&options.config.pin_path).unwrap_or_default();
        let end = Box::pin(session.serve((&mut signals, control), &reread, &others)).await?;
        if matches!(end, End::Leave | End::Stop) {
            control.finish().await;
        }
        let (new, begin, asked) = match end {
            End::Leave => return Ok(()),
            End::Stop => return departure::leave(&options, &mut lasting.claims, lasting.pins.take()),
            End::Regroup => (None, Begin::Regroup, None),
            End::System(system) => (None, Begin::System(system), None),
            End::Booted => (None, Begin::Booted, None),
            End::PinnedAnew => (None, Begin::PinnedAnew, None),
            End::Resumed => (None, Begin::Resumed, None),
            End::Reload(new, asked) => (Some(*new), Begin::Reload, asked),
        };
        let next = new.as_ref().unwrap_or(&options);
        let answer;
        (session, answer) = match Session::start(next, &begin, &mut lasting) {
            Ok(session) => {
                options = new.unwrap_or(options);
                (session, Ok(json!({})))
            }
            Err(error) => {
                let reason = error.to_string();
                let answer = Err(Refusal {
                    details: vec![reason.clone()],
                    ..Refusal::new(
                        Code::Refused,
                        "the new configuration can't be applied; the old one stays in effect",
                    )
                });
                (Session::start(&options, &Begin::Fallback(reason), &mut lasting)?, answer)
            }
        };
        // The client may be gone.
        let _ = asked.map(|asked| asked.send(answer));
        notify::ready();
    }
}
