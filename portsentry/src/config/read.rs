//! Reads a configuration file, but only if no unprivileged user could have written it.

use std::{
    fs::{Metadata, OpenOptions},
    io::Read,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use nix::{fcntl::OFlag, unistd::geteuid};

use super::{load_error::LoadError, trust};

/// Maximum size of a file in bytes: many times the longest configuration.
pub(super) const LARGEST: u64 = 1 << 20;

pub(super) fn read(path: &Path) -> Result<String, LoadError> {
    read_up_to(path, LARGEST)
}

/// Like [`read`], for a file of at most `largest` bytes.
pub fn read_up_to(path: &Path, largest: u64) -> Result<String, LoadError> {
    String::from_utf8(bytes(path, largest)?).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        LoadError::NotUtf8 { path: path.into(), line: valid.split(|&b| b == b'\n').count() }
    })
}

/// Like [`read_up_to`], but replaces bytes that are not UTF-8.
pub(super) fn read_any(path: &Path, largest: u64) -> Result<String, LoadError> {
    Ok(String::from_utf8_lossy(&bytes(path, largest)?).into_owned())
}

/// Returns the bytes of a file, of at most `largest`.
pub fn bytes(path: &Path, largest: u64) -> Result<Vec<u8>, LoadError> {
    owned(&trust::find(path)?, path, largest, &[0, geteuid().as_raw()]).map(|(bytes, _)| bytes)
}

/// Returns the bytes and metadata of a file, of at most `largest` bytes, whose owner is one of `owners`. Follows no link at its end.
/// Errors have the name `shown`.
pub(super) fn owned(
    path: &Path,
    shown: &Path,
    largest: u64,
    owners: &[u32],
) -> Result<(Vec<u8>, Metadata), LoadError> {
    let failed = |source| LoadError::Io { path: shown.into(), source };
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(LoadError::NotAFile(shown.into()));
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(LoadError::WorldWritable(shown.into()));
    }
    if !owners.contains(&metadata.uid()) {
        return Err(LoadError::Owner { path: shown.into(), uid: metadata.uid() });
    }
    let mut bytes = Vec::new();
    file.take(largest + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > largest {
        return Err(LoadError::TooLarge { path: shown.into(), mebibytes: largest >> 20 });
    }
    Ok((bytes, metadata))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use nix::{sys::stat::Mode, unistd};

    use super::*;

    fn message(path: &Path) -> String {
        read(path).unwrap_err().to_string()
    }

    #[test]
    fn a_private_file_of_our_own_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        fs::write(&path, "text").unwrap();
        assert_eq!(read(&path).unwrap(), "text");
        fs::write(&path, vec![b'#'; 1 << 20]).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1 << 20);
    }

    #[test]
    fn what_can_not_be_trusted_is_refused_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        assert!(message(&path).contains("can't be read: No such file"));
        assert!(message(dir.path()).ends_with("is not a regular file"));

        unistd::mkfifo(&dir.path().join("pipe"), Mode::S_IRWXU).unwrap();
        assert!(message(&dir.path().join("pipe")).ends_with("is not a regular file"));

        fs::write(&path, b"a\nb\xe9\n").unwrap();
        assert!(message(&path).contains("conf:2: not UTF-8"));

        fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
        assert!(message(&path).contains("too large (limit: 1 MiB)"));

        fs::write(&path, "text").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).unwrap();
        assert!(message(&path).contains("world-writable"));
    }

    #[test]
    fn a_file_of_somebody_else_is_refused() {
        // Only root can give a file away.
        if !geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        fs::write(&path, "text").unwrap();
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        assert!(message(&path).contains("belongs to user 12345"));
    }
}
