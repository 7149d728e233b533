//! The ids of the blocked and fenced networks, kept beside the blocked file (`BLOCKED_FILE.ids`), because the
//! format of its lines, which is PortSentry's, has no field for them.

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
    time::Instant,
};

use ipnet::IpNet;

use super::{
    atomic_write::{self, MODE, WriteError},
    beside::beside,
    retry::Retry,
};
use crate::policy::{BlockId, Ids, name_of, network_of};

/// The file.
#[derive(Debug)]
pub struct IdFile {
    path: PathBuf,
    /// The revision in the file.
    written: Option<u64>,
    trouble: Retry,
}

impl IdFile {
    /// Returns the file beside the blocked file.
    #[must_use]
    pub fn new(blocked: &Path) -> Self {
        Self { path: path(blocked), written: None, trouble: Retry::default() }
    }

    /// Writes the ids, if they have changed. Returns a message to log, if any.
    pub fn flush(&mut self, ids: &Ids) -> Option<String> {
        let now = Instant::now();
        if self.written == Some(ids.revision()) || !self.trouble.is_over(now) {
            return None;
        }
        let text = render(ids).into_bytes();
        let written = atomic_write::update(&self.path, MODE, |old| {
            (old != Some(text.as_slice())).then(|| text.clone())
        });
        if written.is_ok() {
            self.written = Some(ids.revision());
        }
        let problem = written.err().map(|error| error.to_string());
        self.trouble.note(problem, &self.path.display(), now)
    }
}

fn path(blocked: &Path) -> PathBuf {
    beside(blocked, ".ids")
}

/// Returns the ids in the file beside `blocked`, or none if it is missing.
///
/// # Errors
/// If it can't be read.
pub fn read(blocked: &Path) -> Result<Ids, WriteError> {
    let content = atomic_write::read(&path(blocked))?.unwrap_or_default();
    let (mut of, mut last) = (BTreeMap::new(), BlockId::default());
    for (id, network) in String::from_utf8_lossy(&content).lines().filter_map(read_line) {
        last = last.max(id);
        of.extend(network.map(|network| (network, id)));
    }
    Ok(Ids::new(of, last))
}

/// Reads `ID NETWORK`, or `ID last`.
fn read_line(line: &str) -> Option<(BlockId, Option<IpNet>)> {
    let (id, network) = line.split_once(' ')?;
    let id = id.parse().ok()?;
    if network == "last" {
        return Some((id, None));
    }
    Some((id, Some(network.parse().ok().or_else(|| Some(network_of(network.parse().ok()?, 0)))?)))
}

fn render(ids: &Ids) -> String {
    let mut text =
        format!("# Ids of the networks that are held, and the last one assigned\n{} last\n", ids.last());
    for (network, id) in ids.iter() {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{id} {}", name_of(network));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn ids_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("blocked");
        let mut ids = read(&blocked).unwrap();
        assert_eq!(ids, Ids::default(), "a missing file has none");
        for network in ["192.0.2.9/32", "2001:db8::/64", "203.0.113.0/24"] {
            ids.assign(network.parse().unwrap(), SystemTime::now());
        }
        let last = ids.remove("203.0.113.0/24".parse().unwrap()).unwrap();
        let mut file = IdFile::new(&blocked);
        assert_eq!(file.flush(&ids), None);
        let again = read(&blocked).unwrap();
        assert!(again.iter().eq(ids.iter()));
        assert_eq!((again.iter().count(), again.last()), (2, last));
    }

    #[test]
    fn torn_lines_are_left_out() {
        for line in ["", "1k1cdaz8rr0", "1k1cdaz8rr0 ", "1k1cdaz8rr 192.0.2.9", "1k1cdaz8rr0 192.0.2"] {
            assert_eq!(read_line(line), None, "{line:?}");
        }
    }
}
