//! Replaces a file atomically: a reader sees either the old content or the new.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, unistd::geteuid};
use xattr::FileExt;

/// Maximum size of a file that is read, in bytes: lines of 256 bytes for the maximum of `MAX_BLOCKED` and
/// `MAX_FENCED`, in both address families.
const LARGEST: u64 = (1 << 24) * 4 * 256;
/// Prefixes of extended attributes that only a privileged process may set. The system sets those of a new file.
const PRIVILEGED: [&str; 2] = ["security.", "trusted."];

/// Reasons why a file was not read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The system reported an error.
    #[error("{path} can't be {what}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operation that failed.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// It is not a regular file, or it is a symbolic link that root did not make.
    #[error("{0} is not a regular file, or is a link not made by root: remove it")]
    Untrusted(PathBuf),
    /// It is world-writable.
    #[error("{0} is world-writable, so it is not trusted: chmod o-w {0}")]
    WorldWritable(PathBuf),
    /// It is too large to be one of the daemon's files.
    #[error("{0} is too large (limit: {limit} GiB): remove lines from it", limit = LARGEST >> 30)]
    TooLarge(PathBuf),
    /// Another program keeps changing it.
    #[error("{0} keeps being changed by another program at the same time")]
    Contended(PathBuf),
}

/// Returns the file's content, or `None` if the file does not exist.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, WriteError> {
    Ok(open(path)?.map(|(content, _)| content))
}

/// The mode of a new file.
pub const MODE: u32 = 0o644;

/// Replaces the file by the result of `edit` on its content, unless that is `None`. An old file's owner, mode,
/// access control list and other extended attributes are kept; a new file's mode is `mode`. A concurrent change by
/// another program is taken into account. After a power failure either the old file or the new one is there.
pub fn update(
    path: &Path,
    mode: u32,
    edit: impl Fn(Option<&[u8]>) -> Option<Vec<u8>>,
) -> Result<(), WriteError> {
    let path = &target(path)?;
    for _ in 0..10 {
        let old = open(path)?;
        let Some(new) = edit(old.as_ref().map(|(content, _)| content.as_slice())) else { return Ok(()) };
        let old = old.map(|(_, metadata)| metadata);
        let beside = beside(path);
        let written = write(&beside, &new, mode, old.as_ref().map(|old| (path.as_path(), old)))
            .map(|()| is_same(old.as_ref(), fs::symlink_metadata(path).ok().as_ref()))
            .and_then(|same| if same { fs::rename(&beside, path).map(|()| true) } else { Ok(false) });
        if !matches!(written, Ok(true)) {
            // If this fails, the next attempt removes the temporary file.
            let _ = fs::remove_file(&beside);
        }
        match written {
            Ok(true) => {
                let synced = sync_directory(path);
                return synced.map_err(|source| WriteError::Io {
                    path: path.clone(),
                    what: "synced",
                    source,
                });
            }
            Ok(false) => {}
            Err(source) => return Err(WriteError::Io { path: path.clone(), what: "replaced", source }),
        }
    }
    Err(WriteError::Contended(path.clone()))
}

/// Returns the path of the temporary file that is renamed to the file.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.portsentry-new"))
}

/// Syncs the directory, so that the new name survives a power failure. Not all file systems support this.
fn sync_directory(path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent() else { return Ok(()) };
    match File::open(directory)?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

fn write(beside: &Path, content: &[u8], mode: u32, old: Option<(&Path, &Metadata)>) -> io::Result<()> {
    if let Err(error) = fs::remove_file(beside)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    if let Some((_, old)) = old {
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
    }
    let mode = old.map_or(mode, |(_, old)| old.mode() & 0o7777);
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    // Set after the mode, because an access control list is more specific, and its mask is the mode's group part.
    if let Some((old, _)) = old {
        copy_attributes(old, &file)?;
    }
    file.write_all(content)?;
    file.sync_all()
}

/// Copies the extended attributes of the file at `old` to `new`, access control lists included (acl(5)).
fn copy_attributes(old: &Path, new: &File) -> io::Result<()> {
    let names = match xattr::list(old) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(()),
        Err(error) => return Err(error),
    };
    for name in names {
        let Some(value) = xattr::get(old, &name)? else { continue };
        let is_privileged = |name: &str| PRIVILEGED.iter().any(|prefix| name.starts_with(prefix));
        match new.set_xattr(&name, &value) {
            Err(_) if name.to_str().is_some_and(is_privileged) => {}
            set => set?,
        }
    }
    Ok(())
}

/// Follows a symbolic link that root made: some systems keep `/etc/hosts.deny` elsewhere.
fn target(path: &Path) -> Result<PathBuf, WriteError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => {
            if !is_ours(&metadata) {
                return Err(WriteError::Untrusted(path.into()));
            }
            fs::canonicalize(path).map_err(|source| WriteError::Io {
                path: path.into(),
                what: "found",
                source,
            })
        }
        _ => Ok(path.into()),
    }
}

fn is_ours(metadata: &Metadata) -> bool {
    [0, geteuid().as_raw()].contains(&metadata.uid())
}

fn open(path: &Path) -> Result<Option<(Vec<u8>, Metadata)>, WriteError> {
    let path = &target(path)?;
    let failed = |source| WriteError::Io { path: path.clone(), what: "read", source };
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file: File = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(WriteError::Untrusted(path.clone()));
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(WriteError::WorldWritable(path.clone()));
    }
    let mut content = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > LARGEST {
        return Err(WriteError::TooLarge(path.clone()));
    }
    Ok(Some((content, metadata)))
}

fn is_same(old: Option<&Metadata>, new: Option<&Metadata>) -> bool {
    let identity = |file: &Metadata| (file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec());
    old.map(identity) == new.map(identity)
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;

    fn append(text: &'static str) -> impl Fn(Option<&[u8]>) -> Option<Vec<u8>> {
        move |old| Some([old.unwrap_or_default(), text.as_bytes()].concat())
    }

    #[test]
    fn a_new_file_has_the_mode_asked_for_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(beside(&path), "left by a daemon that was killed").unwrap();
        update(&path, 0o640, append("text")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_old_file_keeps_its_mode_and_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "a").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let is_root = geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(&path, Some(12), Some(34)).unwrap();
        }
        update(&path, 0o640, append("b")).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "ab");
        assert_eq!(metadata.mode() & 0o7777, 0o604);
        assert!(!is_root || (metadata.uid(), metadata.gid()) == (12, 34));
    }

    #[test]
    fn an_old_file_keeps_its_attributes_and_access_control_list() {
        // <linux/posix_acl_xattr.h>: version 2; user::rw-, user:12:r--, group::r--, mask::r--, other::---
        const LIST: [u32; 11] =
            [2, 0x6_0001, u32::MAX, 0x4_0002, 12, 0x4_0004, u32::MAX, 0x4_0010, u32::MAX, 0x20, u32::MAX];
        let list: Vec<u8> = LIST.iter().flat_map(|word| word.to_le_bytes()).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "a").unwrap();
        let wanted = [("user.note", b"mine".to_vec()), ("system.posix_acl_access", list)];
        // Not every file system supports both.
        let had: Vec<_> =
            wanted.iter().filter(|(name, value)| xattr::set(&path, name, value).is_ok()).collect();
        update(&path, 0o640, append("b")).unwrap();
        for (name, value) in had {
            assert_eq!(xattr::get(&path, name).unwrap().as_ref(), Some(value), "{name}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "ab");
    }

    #[test]
    fn a_link_of_roots_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, real) = (dir.path().join("link"), dir.path().join("real"));
        fs::write(&real, "a").unwrap();
        symlink(&real, &path).unwrap();
        update(&path, 0o640, append("b")).unwrap();
        assert!(path.is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "ab");
    }

    #[test]
    fn a_link_of_somebody_else_is_not_followed() {
        // Only root can give a link away.
        if !geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (path, real) = (dir.path().join("link"), dir.path().join("real"));
        fs::write(&real, "a").unwrap();
        symlink(&real, &path).unwrap();
        std::os::unix::fs::lchown(&path, Some(12), None).unwrap();
        assert!(matches!(update(&path, 0o640, append("b")), Err(WriteError::Untrusted(_))));
        assert_eq!(fs::read_to_string(&real).unwrap(), "a");
    }

    #[test]
    fn a_file_that_everybody_may_write_to_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "a").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("world-writable") && message.contains("chmod o-w"), "{message}");
        assert!(matches!(update(&path, 0o640, append("b")), Err(WriteError::WorldWritable(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "a");
    }

    #[test]
    fn somebody_elses_change_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "a").unwrap();
        let first = Cell::new(true);
        let edit = |old: Option<&[u8]>| {
            if first.replace(false) {
                fs::write(&path, "somebody's\n").unwrap();
            }
            append("ours")(old)
        };
        update(&path, 0o640, edit).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's\nours");
    }

    #[test]
    fn what_can_not_be_replaced_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder");
        fs::create_dir(&path).unwrap();
        assert!(matches!(update(&path, 0o640, append("b")), Err(WriteError::Untrusted(_))));
        let missing = dir.path().join("missing/file");
        let message = update(&missing, 0o640, append("b")).unwrap_err().to_string();
        assert!(message.contains("missing/file can't be replaced: No such file"), "{message}");
    }
}
