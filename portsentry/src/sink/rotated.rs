//! A file together with its rotated predecessors, under the names that logrotate(8) gives them: `NAME.1`,
//! `NAME.2.gz`, or with `dateext` `NAME-20261123.gz`.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use flate2::bufread::MultiGzDecoder;

use super::append;

/// Attempts to list the files while none is renamed.
const ATTEMPTS: usize = 5;
/// Endings of compressed files that can't be read.
const OTHERS: [&str; 4] = [".xz", ".zst", ".bz2", ".lz4"];

/// One of the files, open.
#[derive(Debug)]
pub struct Part {
    /// Its path.
    pub path: PathBuf,
    /// Time of the last write.
    pub modified: SystemTime,
    file: File,
    length: u64,
    is_compressed: bool,
}

/// The files of one name.
#[derive(Debug, Default)]
pub struct Parts {
    /// The files, newest first.
    pub parts: Vec<Part>,
    /// Reasons why some could not be opened.
    pub problems: Vec<String>,
}

/// Opens `path` and the rotated files beside it. Files that a rotation renames meanwhile are neither left out nor
/// opened twice.
pub fn open(path: &Path) -> io::Result<Parts> {
    let mut names = list(path)?;
    let mut opened = Parts::default();
    for _ in 0..ATTEMPTS {
        opened = open_all(path, &names)?;
        let now = list(path)?;
        if now == names {
            break;
        }
        names = now;
    }
    opened.parts.sort_by_key(|part| Reverse(part.modified));
    Ok(opened)
}

/// Returns the existing names, with their inodes.
fn list(path: &Path) -> io::Result<BTreeMap<PathBuf, u64>> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let base = path.file_name().unwrap_or_default();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut names = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        if is_part(base, &entry.file_name()) {
            // It may have been renamed since.
            if let Ok(found) = entry.metadata() {
                names.insert(entry.path(), found.ino());
            }
        }
    }
    Ok(names)
}

/// Whether `name` is that of the file `base`, or of a rotated one.
fn is_part(base: &OsStr, name: &OsStr) -> bool {
    let Some(rest) = name.as_bytes().strip_prefix(base.as_bytes()) else { return false };
    let Ok(rest) = std::str::from_utf8(rest) else { return false };
    let whole = std::iter::once(".gz").chain(OTHERS).find_map(|end| rest.strip_suffix(end)).unwrap_or(rest);
    match whole.split_at_checked(1) {
        None => rest.is_empty(),
        Some((".", number)) => !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()),
        Some(("-", date)) => {
            date.len() >= 8 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-' || byte == b'.')
        }
        Some(_) => false,
    }
}

fn open_all(path: &Path, names: &BTreeMap<PathBuf, u64>) -> io::Result<Parts> {
    let mut opened = Parts::default();
    for name in names.keys() {
        let text = name.to_string_lossy();
        if OTHERS.iter().any(|end| text.ends_with(end)) {
            opened.problems.push(format!("{text}: only gzip is read; uncompress the file to include it"));
            continue;
        }
        match append::read(name) {
            Ok((file, length)) => opened.parts.push(Part {
                modified: file.metadata()?.modified()?,
                path: name.clone(),
                file,
                length,
                is_compressed: text.ends_with(".gz"),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if name == path => return Err(error),
            Err(error) => opened.problems.push(format!("{text} can't be read: {error}")),
        }
    }
    let whole = opened.parts.iter().filter(|part| !part.is_compressed);
    let whole: BTreeMap<PathBuf, SystemTime> = whole.map(|part| (part.path.clone(), part.modified)).collect();
    opened.parts.retain(|part| {
        // logrotate gives the compressed file the original's time, and then removes the original. An older file of this
        // name was compressed before the setting changed.
        let original = part.is_compressed.then(|| whole.get(&part.path.with_extension(""))).flatten();
        original.is_none_or(|modified| part.modified < *modified)
    });
    Ok(opened)
}

impl Part {
    /// Returns the last `most` bytes, or all if there are no more, beginning with a line; and whether that is not the whole
    /// file. A compressed file is read as a whole, or not at all (`None`) if it has more.
    pub fn read(mut self, most: u64) -> io::Result<Option<(Vec<u8>, bool)>> {
        let mut content = Vec::new();
        if self.is_compressed {
            let mut decoder = MultiGzDecoder::new(BufReader::new(self.file)).take(most.saturating_add(1));
            decoder.read_to_end(&mut content)?;
            return Ok((content.len() as u64 <= most).then_some((content, false)));
        }
        let is_cut = self.length > most;
        if is_cut {
            // The byte before shows whether a line begins there.
            self.file.seek(SeekFrom::Start(self.length - most - 1))?;
        }
        self.file.take(most.saturating_add(u64::from(is_cut))).read_to_end(&mut content)?;
        if is_cut {
            let begin = content.iter().position(|byte| *byte == b'\n').map_or(content.len(), |at| at + 1);
            content.drain(..begin);
        }
        Ok(Some((content, is_cut)))
    }

    /// Returns its length in bytes, compressed if it is.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Returns a reader of the whole file.
    #[must_use]
    pub fn reader(self) -> Box<dyn BufRead> {
        let file = BufReader::new(self.file);
        if self.is_compressed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::symlink, time::Duration};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn compressed(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn write(path: &Path, content: &[u8], day: u64) {
        fs::write(path, content).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * day);
        File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn rotated_files_are_found_by_their_names() {
        for (name, expected) in [
            ("history", true),
            ("history.1", true),
            ("history.12.gz", true),
            ("history.3.xz", true),
            ("history-20261123", true),
            ("history-20261123.gz", true),
            ("history-20261123-1795389179.gz", true),
            ("history.gz", false),
            ("history.", false),
            ("history.old", false),
            ("history.1.portsentry-new", false),
            ("history-1", false),
            ("historyx1", false),
            (".history.1", false),
        ] {
            assert_eq!(is_part(OsStr::new("history"), OsStr::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn the_newest_file_comes_first_and_none_twice() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history");
        let at = |name: &str| directory.path().join(name);
        write(&path, b"e\n", 9);
        write(&at("history.1"), b"c\nd\n", 8);
        write(&at("history.2.gz"), &compressed("a\n"), 6);
        // A rotation is being compressed.
        write(&at("history.1.gz"), b"\x1f\x8b", 8);
        // The compressed file of this name is older: the setting has changed.
        write(&at("history.2"), b"b\n", 7);
        write(&at("history.3.xz"), b"", 6);
        symlink("/etc/passwd", at("history.4")).unwrap();
        let opened = open(&path).unwrap();
        assert_eq!(opened.problems.len(), 2, "{:?}", opened.problems);
        let texts: Vec<String> = opened
            .parts
            .into_iter()
            .map(|part| {
                let mut text = String::new();
                part.reader().read_to_string(&mut text).unwrap();
                text
            })
            .collect();
        assert_eq!(texts, ["e\n", "c\nd\n", "b\n", "a\n"]);
        assert!(open(&at("missing/history")).unwrap().parts.is_empty());
    }

    #[test]
    fn the_end_of_a_file_begins_with_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history");
        let read = |content: &[u8], most| {
            fs::write(&path, content).unwrap();
            let (text, is_cut) = open(&path).unwrap().parts.remove(0).read(most).unwrap().unwrap();
            (String::from_utf8(text).unwrap(), is_cut)
        };
        assert_eq!(read(b"ab\ncd\n", 6), ("ab\ncd\n".into(), false));
        assert_eq!(read(b"ab\ncd\n", 4), ("cd\n".into(), true));
        assert_eq!(read(b"ab\ncd\n", 3), ("cd\n".into(), true));
        assert_eq!(read(b"ab\ncd\n", 2), (String::new(), true));
        let packed = directory.path().join("history.1.gz");
        fs::write(&packed, compressed("ab\ncd\n")).unwrap();
        fs::remove_file(&path).unwrap();
        let part = || open(&path).unwrap().parts.remove(0);
        assert_eq!(part().read(6).unwrap(), Some((b"ab\ncd\n".to_vec(), false)));
        assert_eq!(part().read(5).unwrap(), None);
    }
}
