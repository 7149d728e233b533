//! Runs one command as a process group: starts it, reads its output, limits its time, and terminates it.

use std::{env, io, process::Stdio, time::Duration};

use nix::{
    libc,
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use super::{
    Outcome,
    dispatch::Stop,
    output::{Capture, Output},
};

/// Search path if the daemon was started without `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Interval of checks whether a process that was asked to end has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Sets close-on-exec on all files above standard error. The daemon's own files have it already, but files that it
/// inherited may not.
///
/// Does nothing before Linux 5.11, which lacks the call.
pub(super) fn close_files_on_exec() {
    // SAFETY: the call sets a flag on descriptors, which invalidates none. The arguments are integers.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

enum End {
    Itself(io::Result<std::process::ExitStatus>),
    Late,
    Stopped,
}

/// Runs `argv` for at most `time_limit`, or until `stop`. Then its group has `grace` to end before it is killed.
///
/// Background processes of a command that ended by itself are left alone, as with `system(3)`.
pub(super) async fn run(argv: Vec<String>, time_limit: Duration, grace: Duration, mut stop: Stop) -> Outcome {
    let (mut child, mut capture) = match start(&argv) {
        Ok(started) => started,
        Err(error) => return Outcome::NotStarted(error),
    };
    let end = tokio::select! {
        status = child.wait() => End::Itself(status),
        () = sleep(time_limit) => End::Late,
        // The sender outlives every command.
        _ = stop.wait_for(|stop| *stop) => End::Stopped,
        never = capture.read() => match never {},
    };
    let ended: fn(Output) -> Outcome = match end {
        End::Itself(Ok(status)) if status.success() => return Outcome::Done(capture.finish()),
        End::Itself(Ok(status)) => return Outcome::Failed { status, output: capture.finish() },
        End::Itself(Err(error)) => return Outcome::Unknown(error),
        End::Late => Outcome::TimedOut,
        End::Stopped => Outcome::Stopped,
    };
    tokio::select! {
        () = terminate(&mut child, grace) => {}
        never = capture.read() => match never {},
    }
    ended(capture.finish())
}

fn start(argv: &[String]) -> io::Result<(Child, Capture)> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no program to run"));
    };
    let (reader, writer) = io::pipe()?;
    let capture = Capture::new(reader)?;
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_else(|| PATH.into()))
        .env("LANG", env::var_os("LANG").unwrap_or_else(|| "C".into()))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    Ok((child, capture))
}

/// Terminates the command's group, and reaps its leader.
///
/// The leader stays a zombie until the whole group has been killed, so that the group's number can't be reused.
async fn terminate(child: &mut Child, grace: Duration) {
    let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw) else { return };
    // The only possible error is that the group is empty.
    let _ = killpg(group, Signal::SIGTERM);
    let deadline = Instant::now() + grace;
    while Instant::now() < deadline && !has_ended(group) {
        sleep(LOOK).await;
    }
    let _ = killpg(group, Signal::SIGKILL);
    // The runtime reaps a process that hangs in the kernel once it ends.
    let _ = timeout(grace.max(LOOK), child.wait()).await;
}

fn has_ended(leader: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::Pid(leader), flags), Ok(WaitStatus::StillAlive))
}
