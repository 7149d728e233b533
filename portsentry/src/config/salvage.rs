//! Reads the valid part of damaged files, for commands that must work with any configuration: they let an
//! administrator back in. A file that another user could have written is still not trusted.

use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::{
    BlockList, Config, LoadError, Loaded, Report, Settings, Severity, block_list, ignore, load,
    read::{LARGEST, read, read_any},
    report::Diagnostic,
};

impl Config {
    /// Returns the valid settings of the file at `path` and its drop-ins, defaults for the others, the files that the values come
    /// from, and the errors, one line each.
    #[must_use]
    pub fn salvage(path: &Path) -> (Self, Settings, Vec<String>) {
        let mut problems = Vec::new();
        let drop_ins = load::listed(path, &mut problems);
        let mut read = |path: &Path| {
            let content = read(path).unwrap_or_else(|problem| {
                let content = readable(path, &problem, LARGEST);
                problems.push(problem);
                content
            });
            load::text(path, content)
        };
        let files: Vec<_> =
            [path].into_iter().chain(drop_ins.iter().map(PathBuf::as_path)).map(&mut read).collect();
        let Loaded { config, report, settings, .. } = Loaded::new(&files);
        (config, settings, problems.iter().map(ToString::to_string).chain(errors(&report)).collect())
    }
}

impl BlockList {
    /// Returns the valid entries of the list at `path`, and the errors, one line each.
    #[must_use]
    pub fn salvage(path: &Path) -> (Self, Vec<String>) {
        match block_list::load(path) {
            Ok(list) => (list, Vec::new()),
            Err(LoadError::Invalid(_)) => {
                let text = read_any(path, block_list::LARGEST).unwrap_or_default();
                let (list, report) = block_list::parse_valid(&text, &path.to_string_lossy());
                (list, errors(&report).collect())
            }
            Err(problem) => {
                let text = readable(path, &problem, block_list::LARGEST);
                let (list, report) = block_list::parse_valid(&text, &path.to_string_lossy());
                (list, std::iter::once(problem.to_string()).chain(errors(&report)).collect())
            }
        }
    }
}

/// Returns the valid networks of the ignore file at `path`, and the errors, one line each. The default file may be
/// missing.
#[must_use]
pub fn ignored(path: &Path) -> (Vec<IpNet>, Vec<String>) {
    let (mut networks, mut problems) = ignored_by(path);
    let more = ignored_by(&ignore::static_file(path));
    networks.extend(more.0);
    problems.extend(more.1);
    (networks, problems)
}

fn ignored_by(path: &Path) -> (Vec<IpNet>, Vec<String>) {
    let (text, problem) = match read(path) {
        Ok(text) => (text, None),
        Err(problem) if ignore::may_miss(&problem) => (String::new(), None),
        Err(problem) => (readable(path, &problem, LARGEST), Some(problem)),
    };
    let (networks, report) = ignore::parse_valid(&text, &path.to_string_lossy());
    (networks, problem.iter().map(ToString::to_string).chain(errors(&report)).collect())
}

/// Returns the text of a file whose only error is that it isn't UTF-8, or an empty text.
fn readable(path: &Path, problem: &LoadError, largest: u64) -> String {
    match problem {
        LoadError::NotUtf8 { .. } => read_any(path, largest).unwrap_or_default(),
        _ => String::new(),
    }
}

fn errors(report: &Report) -> impl Iterator<Item = String> {
    let errors = report.iter().filter(|diagnostic| diagnostic.severity() == Severity::Error);
    errors.map(Diagnostic::in_one_line)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn of(text: &[u8]) -> (Config, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("conf");
        fs::write(&path, text).unwrap();
        let (config, _, problems) = Config::salvage(&path);
        let shown = path.display().to_string();
        (config, problems.into_iter().map(|problem| problem.replace(&shown, "conf")).collect())
    }

    #[test]
    fn valid_settings_stay_and_wrong_ones_have_defaults() {
        for (text, pin_path, problem) in [
            (&b"BLOCK_UDP=\"yes\"\nPIN_PATH=\"/sys/fs/bpf/x\"\n"[..], "/sys/fs/bpf/x", "conf:1:12: error: "),
            (b"PIN_PATH=\"/sys/fs/bpf/x\"\nTCP_PORTS=\"1,70000\"\n", "/sys/fs/bpf/x", "conf:2:14: error: "),
            (b"PIN_PATH=\"/sys/fs/bpf/x\nBLOCK_TCP=\"1\"\n", "/sys/fs/bpf/x", "conf:1:10: error: "),
            (b"PIN_PATH=\"sys/fs/bpf/x\"\n", "/sys/fs/bpf/portsentry", "conf:1:11: error: "),
            (b"# caf\xe9\nPIN_PATH=\"/sys/fs/bpf/x\"\n", "/sys/fs/bpf/x", "conf:1: not UTF-8"),
        ] {
            let (config, problems) = of(text);
            let shown = String::from_utf8_lossy(text);
            assert_eq!(config.pin_path, Path::new(pin_path), "{shown}");
            assert!(problems.len() == 1 && problems[0].starts_with(problem), "{shown}: {problems:?}");
        }
        let (config, problems) = of(b"CONTROL_SOCKET=\"run/x\"\nUNKNOWN=\"1\"\n");
        assert_eq!((config.control_socket, problems.len()), (Config::default().control_socket, 1));
        assert!(of(b"BLOCK_TCP=\"1\"\n").1.is_empty());
    }

    #[test]
    fn a_file_that_is_missing_or_not_trusted_gives_defaults() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("conf");
        let (config, _, problems) = Config::salvage(&path);
        assert_eq!(config, Config::default());
        assert!(problems[0].contains("No such file"), "{problems:?}");
        fs::write(&path, "PIN_PATH=\"/sys/fs/bpf/x\"\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let (config, _, problems) = Config::salvage(&path);
        assert_eq!(config, Config::default());
        assert!(problems[0].contains("world-writable"), "{problems:?}");
    }

    #[test]
    fn lists_keep_their_valid_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        fs::write(&path, b"192.0.2.9\n1.2.3\n198.51.100.0/24\n").unwrap();
        let (networks, problems) = ignored(&path);
        assert_eq!((networks.len(), problems.len()), (2, 1));
        let (list, problems) = BlockList::salvage(&path);
        assert_eq!((list.hosts.len(), list.networks.len(), problems.len()), (1, 1, 1));
        fs::write(&path, b"192.0.2.9\n# \xe9\n").unwrap();
        assert_eq!((ignored(&path).0.len(), BlockList::salvage(&path).0.hosts.len()), (1, 1));
        fs::remove_file(&path).unwrap();
        assert_eq!((ignored(&path).1.len(), BlockList::salvage(&path).1.len()), (1, 1));
    }
}
