//! A configuration that `portsentry setup` has armed and that is not confirmed yet: the file that records it, and
//! the process that rolls it back in time.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::unistd::{geteuid, setsid};
use serde::{Deserialize, Serialize};

use super::plan::{Setting, restore};
use crate::{instant::Time, sink};

/// Interval at which the waiting process checks whether the configuration has been confirmed.
const PAUSE: Duration = Duration::from_millis(500);
/// Maximum time for the start of that process.
const PATIENCE: Duration = Duration::from_secs(10);

/// An armed configuration that waits for confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The changed settings of the configuration file.
    pub(super) settings: Vec<Setting>,
    /// Time of arming. The roll-back releases sources blocked or fenced since then.
    pub(super) armed: Time,
    /// Seconds until the roll-back.
    pub(super) seconds: u64,
}

/// Returns the path of the file that records it. The file is in the configuration file's directory, in which only
/// root may write.
pub(super) fn path(config_file: &Path) -> PathBuf {
    let mut name = config_file.as_os_str().to_owned();
    name.push(".unconfirmed");
    name.into()
}

impl Pending {
    /// Reads the file. Returns `None` if no configuration waits for confirmation.
    pub(super) fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Self::read_from(&file, path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("opening {}", path.display())),
        }
    }

    fn read_from(mut file: &File, path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("reading {}", path.display());
        // Its content will be written to root's configuration.
        if file.metadata().with_context(failed)?.uid() != geteuid().as_raw() {
            bail!("{} belongs to another user: remove it", path.display());
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(failed)?;
        serde_json::from_str(&text).with_context(failed).with_context(|| {
            format!("remove {} once BLOCK_TCP and BLOCK_UDP are as you want them", path.display())
        })
    }

    /// Writes the file, readable only by root.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let failed = || format!("writing {}", path.display());
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(failed)?;
        let text = serde_json::to_string_pretty(self).with_context(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(failed)
    }

    /// Restores the old values of the changed settings in the configuration file.
    pub(super) fn restore(&self, config_file: &Path) -> anyhow::Result<()> {
        sink::update(config_file, sink::MODE, |old| {
            let text = std::str::from_utf8(old?).ok()?;
            Some(restore(text, &self.settings).into_bytes())
        })
        .context("setting the configuration back")
    }
}

/// Starts a process that rolls back in time, even after the end of this session: as a unit if systemd runs,
/// otherwise in a new session. Returns once the process waits.
pub(super) fn start(config_file: &Path, path: &Path) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("finding this program")?;
    let mut direct = Command::new(&program);
    let mut unit = Command::new("systemd-run");
    unit.args(["--quiet", "--collect", "--unit=portsentry-roll-back", "--property=KillMode=mixed"])
        .arg(&program);
    for command in [&mut direct, &mut unit] {
        command.args(["setup", "--wait-for-confirmation", "-c"]).arg(config_file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    }
    let has_systemd = Path::new("/run/systemd/system").is_dir();
    if !has_systemd || !unit.status().is_ok_and(|status| status.success()) {
        direct.spawn().with_context(|| format!("starting {}", program.display()))?;
    }
    let until = Instant::now() + PATIENCE;
    while !is_awaited(path)? {
        if Instant::now() > until {
            bail!("the process that would roll back did not start");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether a process is waiting to roll back.
pub(super) fn is_awaited(path: &Path) -> anyhow::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("opening {}", path.display())),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

/// Waits until the configuration is confirmed, or its time is over. In the latter case returns the configuration to
/// roll back. Meanwhile it holds a lock on the file, which shows other processes that it waits.
pub(super) fn wait(path: &Path) -> anyhow::Result<Option<Pending>> {
    // A new session, because signals of the terminal's session must not reach this process.
    let _ = setsid();
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    file.lock().with_context(|| format!("locking {}", path.display()))?;
    let pending = Pending::read_from(&file, path)?;
    let ours = file.metadata().with_context(|| format!("reading {}", path.display()))?.ino();
    let until = Instant::now() + Duration::from_secs(pending.seconds);
    while Instant::now() < until {
        if !fs::symlink_metadata(path).is_ok_and(|there| there.ino() == ours) {
            return Ok(None);
        }
        thread::sleep(PAUSE.min(until.saturating_duration_since(Instant::now())));
    }
    let is_there = fs::symlink_metadata(path).is_ok_and(|there| there.ino() == ours);
    Ok(is_there.then_some(pending))
}

/// Removes the file, so that the configuration stays in effect.
pub(super) fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
