//! Follows the host on a separate thread, so that no number of changes delays the ring's reader or the signals.

use std::{
    io,
    os::{fd::AsFd, unix::net},
    sync::mpsc::{SyncSender, TrySendError},
    thread,
};

use tokio::{
    io::Interest,
    net::UnixDatagram,
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::message::Message;
use crate::host::{Changes, Followed};

/// Handle of the thread, which ends when this is dropped.
#[derive(Debug)]
pub struct HostWatch(mpsc::UnboundedSender<()>);

impl HostWatch {
    /// Reports every change to `keeper` from now on.
    pub fn start(followed: Followed, changes: Changes, keeper: SyncSender<Message>) -> io::Result<Self> {
        let (sender, receiver) = mpsc::unbounded_channel();
        thread::Builder::new().name("host".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                // It ends with the keeper, which reports its own errors.
                let _ = runtime.block_on(follow(followed, changes, &keeper, receiver));
            }
        })?;
        Ok(Self(sender))
    }

    /// Requests that the name servers be read again.
    pub fn refresh(&self) {
        // The receiver is gone only if the keeper has ended.
        let _ = self.0.send(());
    }
}

async fn follow(
    mut followed: Followed,
    mut changes: Changes,
    keeper: &SyncSender<Message>,
    mut asked: mpsc::UnboundedReceiver<()>,
) -> io::Result<()> {
    // The runtime doesn't support netlink; it only waits for readiness.
    let waiting = net::UnixDatagram::from(changes.as_fd().try_clone_to_owned()?);
    waiting.set_nonblocking(true)?;
    let waiting = UnixDatagram::from_std(waiting)?;
    loop {
        let next = Instant::from_std(followed.next());
        tokio::select! {
            ready = waiting.readable() => {
                ready?;
                // Reporting "would block" makes the runtime wait for the next message.
                let _ = waiting.try_io(Interest::READABLE, || {
                    if followed.receive(&mut changes) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
                });
            }
            asked = asked.recv() => match asked {
                Some(()) => followed.read_resolvers(),
                None => return Ok(()),
            },
            () = sleep_until(next) => {}
        }
        if followed.update() {
            match keeper.try_send(Message::Host(followed.host().clone())) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => followed.tell_again(),
                Err(TrySendError::Disconnected(_)) => return Ok(()),
            }
        }
    }
}
