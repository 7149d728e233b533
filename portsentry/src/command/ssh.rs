//! The peers of SSH sessions on this host: blocking one of them would lock its administrator out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    path::Path,
};

use crate::kernel::connections::all_established;

/// Variables of a session's environment that begin with its peer's address (ssh(1)).
const VARIABLES: [&str; 2] = ["SSH_CONNECTION", "SSH_CLIENT"];
/// Names of SSH servers' processes, as in `/proc/PID/comm`.
const SERVERS: [&str; 4] = ["sshd", "sshd-session", "sshd-auth", "dropbear"];
/// Maximum number of ancestors that are asked for a session's environment.
const ANCESTORS: usize = 64;

/// Returns the peers, each with the reason why it is one.
pub(super) fn peers() -> BTreeMap<IpAddr, &'static str> {
    let of_servers =
        served(Path::new("/proc")).into_iter().map(|peer| (peer, "the peer of an SSH session on this host"));
    // The second reason takes precedence.
    of_servers.chain(own().into_iter().map(|peer| (peer, "the peer of your own SSH session"))).collect()
}

/// Returns the peers of the session that this process belongs to. `sudo` clears its own environment, not its parents'.
fn own() -> BTreeSet<IpAddr> {
    let mut peers: BTreeSet<IpAddr> =
        VARIABLES.iter().filter_map(|name| peer(&std::env::var(name).ok()?)).collect();
    let mut process = Some(std::process::id());
    for _ in 0..ANCESTORS {
        let Some(id) = process.filter(|id| *id > 1) else { break };
        let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        peers.extend(named(&environment));
        process = fs::read_to_string(format!("/proc/{id}/stat")).ok().and_then(|stat| parent(&stat));
    }
    peers
}

/// Returns the address at the beginning of a variable's value, without an interface after `%`.
fn peer(value: &str) -> Option<IpAddr> {
    let address = value.split_ascii_whitespace().next()?.split('%').next()?;
    address.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Returns the peers in an environment, as in `/proc/PID/environ`.
fn named(environment: &[u8]) -> impl Iterator<Item = IpAddr> {
    environment.split(|byte| *byte == 0).filter_map(|entry| {
        let (name, value) = str::from_utf8(entry).ok()?.split_once('=')?;
        VARIABLES.contains(&name).then(|| peer(value))?
    })
}

/// Returns the parent in the text of `/proc/PID/stat` (proc(5)); the process's name may hold spaces and brackets.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Returns the peers of the SSH servers' established connections.
fn served(processes: &Path) -> BTreeSet<IpAddr> {
    let sockets: BTreeSet<u32> = servers(processes).flat_map(|process| sockets(&process)).collect();
    if sockets.is_empty() {
        return BTreeSet::new();
    }
    let connections = all_established().into_iter();
    connections.filter(|found| sockets.contains(&found.inode)).map(|found| found.peer.ip()).collect()
}

/// Returns the directories of the SSH servers' processes.
fn servers(processes: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    let entries = fs::read_dir(processes).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|process| {
        fs::read_to_string(process.join("comm")).is_ok_and(|name| SERVERS.contains(&name.trim_end()))
    })
}

/// Returns the inodes of a process's sockets.
fn sockets(process: &Path) -> Vec<u32> {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    let inode = |target: std::path::PathBuf| {
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    targets.filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_by_its_environment() {
        let environment =
            b"HOME=/root\0SSH_CLIENT=192.0.2.7 50000 22\0SSH_CONNECTION=fe80::7%eth0 50000 fe80::1%eth0 22\0\
            SSH_TTY=/dev/pts/0\0X=\xff\0SSH_CLIENT2=192.0.2.8\0";
        let peers: Vec<IpAddr> = named(environment).collect();
        assert_eq!(peers, [IpAddr::from([192, 0, 2, 7]), "fe80::7".parse().unwrap()]);
        assert_eq!(peer("::ffff:192.0.2.7 1 2"), Some([192, 0, 2, 7].into()));
        assert_eq!(peer("UNKNOWN 65535 65535"), None);
    }

    #[test]
    fn parents_are_found_behind_any_name() {
        assert_eq!(parent("7 (a) b (c)) S 5 7 7 0"), Some(5));
        assert_eq!(parent("nonsense"), None);
    }

    #[test]
    fn servers_are_found_by_their_name() {
        let processes = tempfile::tempdir().unwrap();
        for (id, name) in [("7", "sshd-session"), ("8", "bash"), ("9", "dropbear")] {
            let process = processes.path().join(id);
            fs::create_dir_all(process.join("fd")).unwrap();
            fs::write(process.join("comm"), format!("{name}\n")).unwrap();
            std::os::unix::fs::symlink("socket:[4711]", process.join("fd/3")).unwrap();
            std::os::unix::fs::symlink("/dev/null", process.join("fd/0")).unwrap();
        }
        let found: BTreeSet<_> = servers(processes.path()).collect();
        assert_eq!(found, ["7", "9"].map(|id| processes.path().join(id)).into());
        assert_eq!(sockets(&processes.path().join("7")), [4711]);
    }
}
