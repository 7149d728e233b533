//! Unblocks a source for `top` by `portsentry unblock`, in a process of its own, so that its messages can be shown
//! and a slow daemon doesn't stop the display.

use std::{
    io::{self, Read},
    path::Path,
    process::{Child, Command, Stdio},
};

use ipnet::IpNet;

use crate::{cli::Cli, config::Config, policy::name_of};

/// A running `portsentry unblock`.
#[derive(Debug)]
pub(super) struct Unblocking {
    address: IpNet,
    child: Child,
}

impl Unblocking {
    /// Starts to unblock `address`. Returns the problem if it can't.
    pub(super) fn start(cli: &Cli, config: &Config, address: IpNet) -> Result<Self, String> {
        // The running program, even if its file has been replaced.
        let mut command = Command::new("/proc/self/exe");
        let socket = config.control_socket.as_deref().unwrap_or(Path::new("off"));
        command.arg("-c").arg(&cli.config_file).arg("--pin-path").arg(&config.pin_path);
        command.arg("--control-socket").arg(socket).arg("unblock").arg(name_of(address));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("starting `portsentry unblock`: {error}"))?;
        Ok(Self { address, child })
    }

    /// Returns its messages once it has ended.
    pub(super) fn result(&mut self) -> Option<String> {
        let address = name_of(self.address);
        match self.child.try_wait() {
            Ok(None) => return None,
            Ok(Some(_)) => {}
            Err(error) => return Some(format!("unblocking {address}: {error}")),
        }
        let text = read(self.child.stdout.take()).and_then(|out| Ok(read(self.child.stderr.take())? + &out));
        Some(match text {
            Ok(text) if text.trim().is_empty() => format!("{address}: `portsentry unblock` printed nothing"),
            Ok(text) => text,
            Err(error) => format!("unblocking {address}: {error}"),
        })
    }
}

/// Reads a pipe whose writer has ended.
fn read(pipe: Option<impl Read>) -> io::Result<String> {
    /// More than any terminal shows.
    const MOST: u64 = 16 << 10;
    let mut bytes = Vec::new();
    pipe.map(|pipe| pipe.take(MOST).read_to_end(&mut bytes)).transpose()?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Drop for Unblocking {
    fn drop(&mut self) {
        // A child that runs continues without `top`; one that has ended is collected.
        let _ = self.child.try_wait();
    }
}
