//! The directory of block lists (`BLOCK_LISTS`): each file in it is a list, named after the file.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs, io,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ipnet::IpNet;
use nix::unistd::geteuid;

use super::{BlockList, LoadError, foreign, read, trust};

/// Maximum size of a list in bytes.
pub const LARGEST: u64 = 64 << 20;
/// Maximum number of lists.
const MOST: usize = 64;
/// Names of the administrator's list, and of the directory in problems.
const RESERVED: [&str; 2] = ["BLOCK_LIST", "BLOCK_LISTS"];
/// Maximum length of a name.
const LONGEST: usize = 64;

/// A list in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedList {
    /// Its name: that of the file, without the extension.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Time of the file's last change.
    pub modified: SystemTime,
    /// Its entries.
    pub list: BlockList,
}

/// The lists of a directory.
#[derive(Debug, Default)]
pub struct Found {
    /// The valid lists, by name.
    pub lists: Vec<NamedList>,
    /// Files with an error: the name, and the error in one line.
    pub problems: Vec<(String, String)>,
}

/// Whether a list contains exactly this host or network.
#[must_use]
pub fn names(list: &BlockList, network: IpNet) -> bool {
    let is_host = network.prefix_len() == network.max_prefix_len();
    if is_host { list.names(network.addr()) } else { list.networks.contains(&network) }
}

/// Returns the number of a list's entries among those that lists hold, and the number of packets that these lost. An entry
/// of several lists counts for each.
#[must_use]
pub fn hits(list: &BlockList, held: &[(IpNet, u64)]) -> (u64, u64) {
    let of = held.iter().filter(|(network, _)| names(list, *network));
    of.fold((0, 0), |(count, sum), (_, dropped)| (count + 1, sum + dropped))
}

/// Returns the entries of all lists together.
#[must_use]
pub fn merged<'a>(lists: impl IntoIterator<Item = &'a BlockList>) -> BlockList {
    let (mut hosts, mut networks): (Vec<IpAddr>, BTreeSet<IpNet>) = (Vec::new(), BTreeSet::new());
    for list in lists {
        hosts.extend(&list.hosts);
        networks.extend(&list.networks);
    }
    hosts.sort_unstable();
    hosts.dedup();
    BlockList { hosts, networks }
}

/// Reads all lists in `directory`. A missing directory is empty. Other files than lists, such as hidden ones, are left
/// alone. A list with an invalid line, or without an entry, is an error as a whole.
#[must_use]
pub fn read(directory: &Path) -> Found {
    let mut found = Found::default();
    let failed = |error: &dyn std::fmt::Display| vec![("BLOCK_LISTS".to_owned(), error.to_string())];
    let names = match list(directory) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return found,
        Err(source) => {
            found.problems = failed(&LoadError::Io { path: directory.into(), source });
            return found;
        }
    };
    let owner = match owner(directory) {
        Ok(owner) => owner,
        Err(error) => {
            found.problems = failed(&error);
            return found;
        }
    };
    for (name, path) in names {
        if found.lists.len() == MOST {
            found.problems.push((name, format!("there are more than {MOST} lists")));
        } else if found.lists.iter().any(|list| list.name == name) {
            found.problems.push((name, format!("{}: another list has the same name", path.display())));
        } else if RESERVED.contains(&name.as_str()) {
            found.problems.push((name, format!("{}: a setting has this name", path.display())));
        } else {
            match load(&path, owner) {
                Ok((list, modified)) => found.lists.push(NamedList { name, path, modified, list }),
                Err(problem) => found.problems.push((name, problem)),
            }
        }
    }
    found
}

/// Returns the names and paths of the files that are lists, by name.
fn list(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if let Some(name) = path.file_name().and_then(OsStr::to_str).and_then(name) {
            names.push((name.to_owned(), path.clone()));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Returns the list's name in a file's name.
fn name(file: &str) -> Option<&str> {
    let name = file.rsplit_once('.').map_or(file, |(name, _)| name);
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (!name.is_empty() && name.len() <= LONGEST && !file.starts_with('.') && file.bytes().all(is_good))
        .then_some(name)
}

/// Returns the owner of the directory: the notifier's user, for example, who may write lists and nothing else. No
/// other user can replace the directory.
fn owner(directory: &Path) -> Result<u32, LoadError> {
    let failed = |source: io::Error| LoadError::Io { path: directory.into(), source };
    let real = fs::canonicalize(directory).map_err(failed)?;
    let owner = fs::metadata(&real).map_err(failed)?.uid();
    trust::check_ancestors(&real, &[0, geteuid().as_raw(), owner])?;
    Ok(owner)
}

/// Reads a list.
fn load(path: &Path, owner: u32) -> Result<(BlockList, SystemTime), String> {
    let owners = [0, geteuid().as_raw(), owner];
    let (bytes, metadata) = read::owned(path, path, LARGEST, &owners).map_err(|error| error.to_string())?;
    let (list, report) = foreign::parse(&String::from_utf8_lossy(&bytes), &path.to_string_lossy());
    if let Some(first) = report.iter().next() {
        return Err(first.in_one_line());
    }
    if list.is_empty() {
        return Err(format!("{}: the list is empty", path.display()));
    }
    Ok((list, metadata.modified().map_err(|error| format!("{}: {error}", path.display()))?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn each_file_is_a_list_with_a_name() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("firehol_level1.netset", "192.0.2.0/24\n");
        write("drop_v4.json", "{\"cidr\":\"198.51.100.0/24\"}\n{\"cidr\":\"192.0.2.0/24\"}\n");
        write(".drop_v4.json.portsentry-new", "10.0.0.0/8\n");
        write("old.txt~", "10.0.0.0/8\n");
        write("empty.txt", "# nothing\n");
        write("page.txt", "<html>\n");
        write("BLOCK_LIST.txt", "192.0.2.6\n");
        write("twice.a", "192.0.2.7\n");
        write("twice.b", "192.0.2.8\n");
        write("open.txt", "192.0.2.9\n");
        fs::set_permissions(directory.path().join("open.txt"), fs::Permissions::from_mode(0o666)).unwrap();
        symlink("/etc/passwd", directory.path().join("link.txt")).unwrap();
        let found = read(directory.path());
        let lists: Vec<_> =
            found.lists.iter().map(|list| (list.name.as_str(), list.list.networks.len())).collect();
        assert_eq!(lists, [("drop_v4", 2), ("firehol_level1", 1), ("twice", 0)]);
        let problems: Vec<_> = found.problems.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            problems,
            ["BLOCK_LIST", "empty", "link", "open", "page", "twice"],
            "{:?}",
            found.problems
        );
        let all = merged(found.lists.iter().map(|list| &list.list));
        assert_eq!((all.hosts.len(), all.networks.len()), (1, 2));
        assert!(names(&found.lists[0].list, "192.0.2.0/24".parse().unwrap()));
        assert!(!names(&found.lists[0].list, "192.0.2.0/25".parse().unwrap()));
        assert!(read(&directory.path().join("missing")).problems.is_empty());
    }

    #[test]
    fn a_directory_that_everybody_may_write_to_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let lists = directory.path().join("lists");
        fs::create_dir(&lists).unwrap();
        fs::write(lists.join("a.txt"), "192.0.2.9\n").unwrap();
        fs::set_permissions(&lists, fs::Permissions::from_mode(0o777)).unwrap();
        let found = read(&lists);
        assert!(
            found.lists.is_empty() && found.problems[0].1.contains("world-writable"),
            "{:?}",
            found.problems
        );
    }
}
