//! A machine's only file system, in the kernel's format for initramfs (cpio, "newc").

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use cpio::newc::{Builder, ModeFileType, trailer};

/// Files by their paths.
#[derive(Clone, Default)]
pub(super) struct Initramfs(BTreeMap<PathBuf, Content>);

#[derive(Clone)]
enum Content {
    Folder,
    Bytes(Vec<u8>),
    Copy(PathBuf),
}

impl Initramfs {
    /// Adds an empty folder.
    pub(super) fn folder(&mut self, path: &str) {
        self.put(Path::new(path), Content::Folder);
    }

    /// Adds a file with these bytes.
    pub(super) fn write(&mut self, path: &str, bytes: &[u8]) {
        self.put(Path::new(path), Content::Bytes(bytes.into()));
    }

    /// Adds a file of the host system at another path.
    pub(super) fn copy(&mut self, from: &Path, path: &Path) {
        self.put(path, Content::Copy(from.into()));
    }

    /// Adds a program of the host system at another path, with the libraries that it loads.
    pub(super) fn program(&mut self, from: &Path, path: &Path) -> Result<()> {
        self.copy(from, path);
        // For a statically linked program `ldd` fails, and there are no libraries.
        let loaded = Command::new("ldd").arg(from).output().context("`ldd` of libc-bin")?;
        for library in
            String::from_utf8_lossy(&loaded.stdout).split_whitespace().filter(|word| word.starts_with('/'))
        {
            self.copy(Path::new(library), Path::new(library));
        }
        Ok(())
    }

    fn put(&mut self, path: &Path, content: Content) {
        for folder in path.ancestors().skip(1).filter(|folder| folder.parent().is_some()) {
            self.0.insert(folder.into(), Content::Folder);
        }
        self.0.insert(path.into(), content);
    }

    /// Writes the archive.
    pub(super) fn pack(&self, archive: &Path) -> Result<()> {
        let mut archive = BufWriter::new(File::create(archive)?);
        // In order of paths, a folder comes before its contents.
        for (number, (path, content)) in (1..).zip(&self.0) {
            let (kind, bytes) = match content {
                Content::Folder => (ModeFileType::Directory, Vec::new()),
                Content::Bytes(bytes) => (ModeFileType::Regular, bytes.clone()),
                Content::Copy(from) => {
                    let bytes = fs::read(from).with_context(|| from.display().to_string())?;
                    (ModeFileType::Regular, bytes)
                }
            };
            let name = path.strip_prefix("/").unwrap_or(path).to_string_lossy();
            let length = u32::try_from(bytes.len()).context("a file of 4 GiB")?;
            let builder = Builder::new(&name).ino(number).mode(0o755).set_mode_file_type(kind);
            let mut entry = builder.write(&mut archive, length);
            entry.write_all(&bytes)?;
            entry.finish()?;
        }
        trailer(&mut archive)?.flush()?;
        Ok(())
    }
}
