//! Checks whether another user could replace a configuration file through its directories.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use super::load_error::LoadError;

/// Resolves all symbolic links of `path`. Returns the file if only root and the user of this process can replace
/// it. All directories on the way, including the one in `path` itself, must belong to these users.
pub(super) fn find(path: &Path) -> Result<PathBuf, LoadError> {
    let failed = |source: io::Error| LoadError::Io { path: path.into(), source };
    let file = fs::canonicalize(path).map_err(failed)?;
    let named = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let named = fs::canonicalize(named).map_err(failed)?;
    for directory in file.ancestors().skip(1).chain(named.ancestors()) {
        let metadata = fs::metadata(directory).map_err(failed)?;
        check(path, directory, &metadata)?;
    }
    Ok(file)
}

/// Checks that only `users` can replace `directory`, which is free of symbolic links, and its entries.
pub(super) fn check_ancestors(directory: &Path, users: &[u32]) -> Result<(), LoadError> {
    for ancestor in directory.ancestors() {
        let failed = |source: io::Error| LoadError::Io { path: directory.into(), source };
        let metadata = fs::metadata(ancestor).map_err(failed)?;
        check_for(directory, ancestor, &metadata, users)?;
    }
    Ok(())
}

fn check(path: &Path, directory: &Path, metadata: &Metadata) -> Result<(), LoadError> {
    check_for(path, directory, metadata, &[0, geteuid().as_raw()])
}

fn check_for(path: &Path, directory: &Path, metadata: &Metadata, users: &[u32]) -> Result<(), LoadError> {
    /// In a sticky directory every user may create files, but only remove their own.
    const STICKY: u32 = 0o1000;
    let (path, directory, uid) = (path.to_path_buf(), directory.to_path_buf(), metadata.uid());
    if !users.contains(&uid) {
        return Err(LoadError::DirectoryOwner { path, directory, uid });
    }
    if metadata.mode() & 0o002 != 0 && metadata.mode() & STICKY == 0 {
        return Err(LoadError::WorldWritableDirectory { path, directory });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn message(path: &Path) -> String {
        find(path).unwrap_err().to_string()
    }

    #[test]
    fn a_directory_that_everybody_may_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (open, inner) = (dir.path().join("open"), dir.path().join("open/inner"));
        fs::create_dir_all(&inner).unwrap();
        let path = inner.join("conf");
        fs::write(&path, "text").unwrap();
        assert_eq!(find(&path).unwrap(), fs::canonicalize(&path).unwrap());
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let refused = message(&path);
        assert!(refused.contains("inner/conf is below") && refused.contains("chmod o-w"), "{refused}");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(find(&path).is_ok(), "with the sticky bit, no other user can replace it");
    }

    #[test]
    fn a_link_is_as_good_as_both_of_its_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (open, safe) = (dir.path().join("open"), dir.path().join("safe"));
        for (directory, mode) in [(&open, 0o777), (&safe, 0o755)] {
            fs::create_dir(directory).unwrap();
            fs::write(directory.join("conf"), "text").unwrap();
            fs::set_permissions(directory, fs::Permissions::from_mode(mode)).unwrap();
        }
        for (link, to, is_fine) in [
            (open.join("link"), safe.join("conf"), false),
            (safe.join("link"), open.join("conf"), false),
            (safe.join("good"), safe.join("conf"), true),
        ] {
            symlink(&to, &link).unwrap();
            assert_eq!(find(&link).is_ok(), is_fine, "{} to {}", link.display(), to.display());
        }
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused() {
        // Only root can give a directory away.
        if !geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("conf"), "text").unwrap();
        chown(&home, Some(12345), None).unwrap();
        assert!(message(&home.join("conf")).contains("which belongs to user 12345"));
    }
}
