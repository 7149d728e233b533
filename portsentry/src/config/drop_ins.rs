//! The drop-ins of a configuration file: `portsentry.conf.d/*.conf`. Tools that manage hosts write these files, so that they
//! needn't edit the administrator's own.

use std::{
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::load_error::LoadError;

/// The files in a configuration file's directory of drop-ins.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DropIns {
    /// Those that are read, in the order of their names.
    pub read: Vec<PathBuf>,
    /// Those that look as if they were meant to be read.
    pub passed_over: Vec<PathBuf>,
}

/// Returns the directory of the drop-ins of the configuration file at `path`.
#[must_use]
pub fn directory(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".d");
    name.into()
}

/// Lists the drop-ins of the configuration file at `path`; none if the directory is missing.
pub fn list(path: &Path) -> Result<DropIns, LoadError> {
    let directory = directory(path);
    let failed = |source| LoadError::Io { path: directory.clone(), source };
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DropIns::default()),
        entries => entries.map_err(failed)?,
    };
    let mut files = DropIns::default();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        match kind(&path) {
            Kind::DropIn => files.read.push(path),
            Kind::Misnamed => files.passed_over.push(path),
            Kind::Other => {}
        }
    }
    files.read.sort();
    files.passed_over.sort();
    Ok(files)
}

/// What a file in the directory is, by its name.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    DropIn,
    Misnamed,
    /// A hidden file, a backup, or one that an editor or dpkg left.
    Other,
}

fn kind(path: &Path) -> Kind {
    /// Ends of names that editors and dpkg give.
    const LEFT: [&str; 7] = ["~", ".bak", ".orig", ".swp", ".dpkg-old", ".dpkg-dist", ".dpkg-new"];
    let name = path.file_name().unwrap_or_default().as_bytes();
    if name.starts_with(b".") || name == b"README" || LEFT.iter().any(|end| name.ends_with(end.as_bytes())) {
        Kind::Other
    } else if name.ends_with(b".conf") {
        Kind::DropIn
    } else {
        Kind::Misnamed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_in_the_order_of_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.conf");
        assert_eq!(list(&path).unwrap(), DropIns::default());
        let drop_ins = directory.path().join("a.conf.d");
        fs::create_dir(&drop_ins).unwrap();
        for name in
            ["9.conf", "10.conf", "é.conf", "x.cfg", "README", ".h.conf", "9.conf~", "8.conf.dpkg-old"]
        {
            fs::write(drop_ins.join(name), "").unwrap();
        }
        let found = list(&path).unwrap();
        let names = |paths: Vec<PathBuf>| {
            paths.iter().map(|path| path.file_name().unwrap().display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(found.read), ["10.conf", "9.conf", "é.conf"]);
        assert_eq!(names(found.passed_over), ["x.cfg"]);
        fs::remove_dir_all(&drop_ins).unwrap();
        fs::write(&drop_ins, "").unwrap();
        assert!(list(&path).unwrap_err().to_string().contains("a.conf.d can't be read: Not a directory"));
    }
}
