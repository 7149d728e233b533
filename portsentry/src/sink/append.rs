//! Appends whole lines to a file that other programs may rotate, truncate or write to at any time. Each batch opens
//! the file again.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use nix::fcntl::OFlag;

/// Appends `lines`. Returns how many were written in full, and the error that stopped the rest. A missing file is
/// created with mode 0640.
///
/// # Errors The system's errors. Symbolic links, irregular files, and files with a second name (a hard link) are refused.
pub fn append(path: &Path, lines: &[String]) -> (usize, io::Result<()>) {
    match create(path) {
        Ok((file, length)) => write(file, length, lines),
        Err(error) => (0, Err(error)),
    }
}

/// Opens the file for appending, and creates it if it is missing. Also returns its length in bytes.
///
/// # Errors
/// As for [`append`].
pub fn create(path: &Path) -> io::Result<(File, u64)> {
    open(OpenOptions::new().read(true).append(true).create(true).mode(0o640), path)
}

/// Opens the file for reading. Also returns its length in bytes.
///
/// # Errors
/// As for [`append`].
pub fn read(path: &Path) -> io::Result<(File, u64)> {
    open(OpenOptions::new().read(true), path)
}

fn open(options: &mut OpenOptions, path: &Path) -> io::Result<(File, u64)> {
    // Opening a pipe or a terminal could block, and a link could lead to another user's file.
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = options.custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    // A user who may create names here could have linked any file.
    if metadata.nlink() > 1 {
        return Err(io::Error::other("it has another hard link: remove one of them"));
    }
    Ok((file, metadata.len()))
}

fn write(mut file: File, length: u64, lines: &[String]) -> (usize, io::Result<()>) {
    let mut text = Vec::new();
    match is_torn(&file, length) {
        Ok(is_torn) => text.extend(is_torn.then_some(b'\n')),
        Err(error) => return (0, Err(error)),
    }
    let begin = text.len();
    for line in lines {
        text.extend(line.as_bytes());
        text.push(b'\n');
    }
    let (written, result) = write_most(&mut file, &text);
    let is_whole = |byte: &&u8| **byte == b'\n';
    let there = text.get(begin..written).unwrap_or_default().iter().filter(is_whole).count();
    if result.is_err() {
        let last = text.get(..written).unwrap_or_default().iter().rposition(|byte| *byte == b'\n');
        let whole = length + last.map_or(0, |at| at as u64 + 1);
        // Removes a partial line, unless another process has written after it. If that fails (an append-only file),
        // the next batch starts on a new line.
        if file.metadata().is_ok_and(|metadata| metadata.len() == length + written as u64) {
            let _ = file.set_len(whole);
        }
    }
    (there, result)
}

/// Returns the number of bytes written, and the error that stopped the rest.
fn write_most(file: &mut File, text: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = text.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

fn is_torn(file: &File, length: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    if length > 0 {
        file.read_at(&mut last, length - 1)?;
    }
    Ok(last != [b'\n'])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn lines_are_appended_whole_and_a_rotated_file_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert!(matches!(append(&path, &lines(&["a", "b"])), (2, Ok(()))));
        fs::write(&path, "a\nb\ntor").unwrap();
        assert!(matches!(append(&path, &lines(&["c"])), (1, Ok(()))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\nb\ntor\nc\n");
        fs::rename(&path, dir.path().join("log.1")).unwrap();
        assert!(matches!(append(&path, &lines(&["d"])), (1, Ok(()))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "d\n");
    }

    #[test]
    fn a_full_disk_leaves_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "old\n").unwrap();
        let (mut file, length) = create(&path).unwrap();
        // A disk with room for a line and a half leaves the file like this.
        file.write_all(b"a\nhal").unwrap();
        drop(file);
        let (file, _) = create(&path).unwrap();
        assert!(is_torn(&file, length + 5).unwrap());
        // A full device accepts no byte, and nothing counts as written.
        let full = OpenOptions::new().read(true).append(true).open("/dev/full").unwrap();
        let (there, result) = write(full, 0, &lines(&["x"]));
        assert_eq!((there, result.unwrap_err().raw_os_error()), (0, Some(nix::libc::ENOSPC)));
    }

    #[test]
    fn neither_links_nor_pipes_are_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let [precious, second] = ["precious", "second"].map(|name| dir.path().join(name));
        fs::write(&precious, "root:x:0:0\n").unwrap();
        fs::hard_link(&precious, &second).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &link).unwrap();
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [&link, &pipe, &second, &dir.path().to_path_buf()] {
            assert!(matches!(append(path, &lines(&["x"])), (0, Err(_))), "{path:?}");
        }
        assert!(!dir.path().join("elsewhere").exists());
        assert_eq!(fs::read_to_string(&precious).unwrap(), "root:x:0:0\n");
    }
}
