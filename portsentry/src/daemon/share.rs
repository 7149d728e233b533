//! The socket of the companion, which carries words between the gateways of a fleet. Its threads read and write, and
//! the keeper decides. A companion that speaks garbage, speaks without end or doesn't listen harms nothing: one line is
//! worked on at a time, and what it doesn't read ends its connection.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::Shutdown,
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::User,
};

use super::{
    control::{ControlSocket, SocketError},
    message::{Companion, Message},
};
use crate::{
    inspect::fleet::{Report, Ways},
    policy::peers::Word,
};

/// The companion's user.
const USER: &str = "portsentry-share";
/// Maximum length of a line in bytes, including its end.
const LONGEST: u64 = 256 << 10;
/// Maximum number of lines that wait for the companion to read them.
const QUEUE: usize = 16_384;
/// Maximum time for the companion to read a line.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause after a connection, because each begins with the whole state.
const PAUSE: Duration = Duration::from_millis(100);
/// The threads' nice value: the ring comes first.
const NICE: i32 = 10;

/// The thread that accepts the companion. It ends when this is dropped.
#[derive(Debug)]
pub struct Share {
    _place: ControlSocket,
    /// The thread holds the other end, and ends when this one is closed.
    alive: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Share {
    /// Listens at `path`.
    pub fn open(path: &Path, keeper: SyncSender<Message>) -> Result<Self, SocketError> {
        let user = User::from_name(USER).ok().flatten();
        let group = user.as_ref().map_or(0, |user| user.gid.as_raw()).to_string();
        let (place, listener) = ControlSocket::take_for("SHARE_SOCKET", path, Some(&group))?;
        let failed = |error: io::Error| SocketError::new("SHARE_SOCKET", path, error.to_string());
        let listener = listener.into_std().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let (alive, other) = UnixStream::pair().map_err(failed)?;
        let user = user.map(|user| user.uid.as_raw());
        let thread = thread::Builder::new().name("share".into());
        let thread = thread.spawn(move || accept(&listener, &other, user, &keeper)).map_err(failed)?;
        Ok(Self { _place: place, alive: Some(alive), thread: Some(thread) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.alive = None;
        // A panic of the thread has been printed.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Accepts connections of root and of `user`. The latest one ends the one before.
fn accept(listener: &UnixListener, alive: &UnixStream, user: Option<u32>, keeper: &SyncSender<Message>) {
    let mut current: Option<UnixStream> = None;
    let mut numbers = 0..;
    let end = |stream: Option<UnixStream>| stream.map(|stream| stream.shutdown(Shutdown::Both));
    loop {
        let mut ready = [listener.as_fd(), alive.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let is_ready = poll(&mut ready, PollTimeout::NONE).is_ok();
        let is_over = ready[1].revents().is_some_and(|events| !events.is_empty());
        if is_over {
            end(current.take());
            return;
        }
        let accepted = if is_ready { listener.accept().ok() } else { None };
        let Some((stream, _)) = accepted else {
            thread::sleep(PAUSE);
            continue;
        };
        let uid = getsockopt(&stream, PeerCredentials).map(|credentials| credentials.uid());
        if uid.is_ok_and(|uid| uid == 0 || Some(uid) == user) {
            end(current.take());
            current = stream.try_clone().ok();
            // Without threads the connection just ends.
            let _ = numbers.next().map(|number| serve(stream, number, keeper.clone()));
        }
        thread::sleep(PAUSE);
    }
}

/// Starts the threads of the connection with this number. They end with it.
fn serve(stream: UnixStream, number: u64, keeper: SyncSender<Message>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let reading = stream.try_clone()?;
    let (sender, lines) = sync_channel(QUEUE);
    thread::Builder::new().name("share-out".into()).spawn(move || write(stream, &lines))?;
    thread::Builder::new().name("share-in".into()).spawn(move || {
        // Affects only this thread on Linux (setpriority(2)). An error doesn't matter.
        let _ = rustix::process::nice(NICE);
        let said = keeper.send(Message::Companion(Companion::Joined(number, sender)));
        if said.is_ok() {
            let problem = hear(&reading, &keeper).err().map(|error| error.to_string());
            // The session may be over.
            let _ = keeper.send(Message::Companion(Companion::Left(number, problem)));
        }
        let _ = reading.shutdown(Shutdown::Both);
    })?;
    Ok(())
}

fn write(mut stream: UnixStream, lines: &Receiver<String>) {
    while let Ok(line) = lines.recv() {
        if stream.write_all(line.as_bytes()).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// Passes words on until the connection ends, each after the one before has been heard. Reads the next one meanwhile.
fn hear(stream: &UnixStream, keeper: &SyncSender<Message>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    let mut before: Option<Receiver<()>> = None;
    loop {
        line.clear();
        if reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') {
            return Err(io::Error::other(format!("a line ends early, or has more than {LONGEST} bytes")));
        }
        let (done, heard) = sync_channel(0);
        let said = read(&line, done).map_err(io::Error::other)?;
        // The keeper only drops its end.
        if let Some(before) = before.replace(heard) {
            let _ = before.recv();
        }
        if keeper.send(Message::Companion(said)).is_err() {
            return Ok(());
        }
    }
}

/// Reads a line: a gateway's word, or one of the companion's own reports. `done` is dropped once it has been heard.
fn read(line: &[u8], done: SyncSender<()>) -> Result<Companion, String> {
    let mut value = Word::value(line)?;
    if value["word"] == "report" {
        value.as_object_mut().and_then(|members| members.remove("word"));
        let report: Report = serde_json::from_value(value).map_err(|error| error.to_string())?;
        return Ok(Companion::Reported(report));
    }
    if value["word"] == "ways" {
        value.as_object_mut().and_then(|members| members.remove("word"));
        let Ways { ways } = serde_json::from_value(value).map_err(|error| error.to_string())?;
        return Ok(Companion::Ways(ways));
    }
    let word = serde_json::from_value(value).map_err(|error| error.to_string())?;
    Ok(Companion::Said(word, done))
}
