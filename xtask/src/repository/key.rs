//! The key that signs the repository.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::shell;

/// Name of a key that this command makes.
const NAME: &str = "portsentry-xdp repository";

/// A key in a keyring of gpg's.
pub(super) struct Key {
    fingerprint: String,
    /// Directory of the keyring; `None` for the user's own.
    home: Option<PathBuf>,
}

impl Key {
    /// Returns the key with this fingerprint in the user's keyring.
    pub(super) fn own(fingerprint: &str) -> Self {
        Self { fingerprint: fingerprint.into(), home: None }
    }

    /// Returns the key in the keyring in `home`, after making one if there is none.
    pub(super) fn find_or_make(home: &Path) -> Result<Self> {
        fs::create_dir_all(home).with_context(|| home.display().to_string())?;
        fs::set_permissions(home, fs::Permissions::from_mode(0o700))
            .with_context(|| home.display().to_string())?;
        let mut key = Self { fingerprint: NAME.into(), home: Some(home.into()) };
        if key.gpg(&["--list-secret-keys", NAME]).is_err() {
            shell::step(&format!(
                "making a key in {}: keep it, machines trust its signatures from now on",
                home.display()
            ));
            key.gpg(&["--passphrase", "", "--quick-generate-key", NAME, "ed25519", "sign", "never"])?;
        }
        let listed = key.gpg(&["--with-colons", "--list-secret-keys", NAME])?;
        let mut fields = listed.lines().filter(|line| line.starts_with("fpr:"));
        let fingerprint =
            fields.next().and_then(|line| line.split(':').nth(9)).context("the key's fingerprint")?;
        key.fingerprint = fingerprint.into();
        Ok(key)
    }

    /// Signs the list of lists, inside (`InRelease`) and beside (`Release.gpg`).
    pub(super) fn sign(&self, release: &Path) -> Result<()> {
        let file = release.to_string_lossy().into_owned();
        let within = release.with_file_name("InRelease").to_string_lossy().into_owned();
        let beside = release.with_file_name("Release.gpg").to_string_lossy().into_owned();
        let sign = |how: &[&str], output: &str| {
            self.gpg(
                &[&["--local-user", self.fingerprint.as_str(), "--output", output], how, &[file.as_str()]]
                    .concat(),
            )
        };
        sign(&["--clearsign"], &within)?;
        sign(&["--armor", "--detach-sign"], &beside).map(drop)
    }

    /// Returns the public key as text.
    pub(super) fn public(&self) -> Result<String> {
        self.gpg(&["--armor", "--export", &self.fingerprint])
    }

    /// Runs gpg.
    fn gpg(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("gpg");
        if let Some(home) = &self.home {
            command.arg("--homedir").arg(home).args(["--pinentry-mode", "loopback"]);
        }
        shell::output(command.args(["--batch", "--yes", "--quiet"]).args(words))
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // gpg leaves an agent running.
        if let Some(home) = &self.home {
            let _ = shell::output(Command::new("gpgconf").arg("--homedir").arg(home).args(["--kill", "all"]));
        }
    }
}
