//! A configuration that `portsentry setup` has armed and nobody has confirmed yet: the file that remembers it, and the
//! process that rolls it back in time.

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

/// How often the process that rolls back looks whether the configuration has been confirmed.
const PAUSE: Duration = Duration::from_millis(500);
/// Maximum time until that process has started.
const PATIENCE: Duration = Duration::from_secs(10);

/// An armed configuration that waits for confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// What was changed in the configuration file.
    pub(super) settings: Vec<Setting>,
    /// When it was armed: sources held since then are released by the roll-back.
    pub(super) armed: Time,
    /// Seconds until the roll-back.
    pub(super) seconds: u64,
}

/// Returns the path of the file that remembers it: beside the configuration file, where only root may write.
pub(super) fn path(config_file: &Path) -> PathBuf {
    let mut name = config_file.as_os_str().to_owned();
    name.push(".unconfirmed");
    name.into()
}

impl Pending {
    /// Reads it; `None` if nothing waits for confirmation.
    pub(super) fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Self::read_from(&file, path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("opening {}", path.display())),
        }
    }

    fn read_from(mut file: &File, path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("reading {}", path.display());
        // Its content ends up in root's configuration.
        if file.metadata().with_context(failed)?.uid() != geteuid().as_raw() {
            bail!("{} belongs to another user: remove it", path.display());
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(failed)?;
        serde_json::from_str(&text).with_context(failed).with_context(|| {
            format!("remove {} once BLOCK_TCP and BLOCK_UDP are as you want them", path.display())
        })
    }

    /// Writes it, readable by root alone.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let failed = || format!("writing {}", path.display());
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(failed)?;
        let text = serde_json::to_string_pretty(self).with_context(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(failed)
    }

    /// Sets the changed settings back in the configuration file.
    pub(super) fn restore(&self, config_file: &Path) -> anyhow::Result<()> {
        sink::update(config_file, sink::MODE, |old| {
            let text = std::str::from_utf8(old?).ok()?;
            Some(restore(text, &self.settings).into_bytes())
        })
        .context("setting the configuration back")
    }
}

/// Starts a process that rolls back in time, whatever becomes of this session: as a unit of systemd's if it runs, which
/// outlives the end of a session; otherwise in a session of its own. Returns once it waits.
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

/// Whether a process waits to roll back.
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

/// Waits until the configuration is confirmed, or its time is over; returns what to roll back then. Holds a lock on the
/// file meanwhile, by which others see that somebody waits.
pub(super) fn wait(path: &Path) -> anyhow::Result<Option<Pending>> {
    // Signals of the terminal's session, which may end, don't concern it.
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

/// Removes the file: the configuration stays as it is now.
pub(super) fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
