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
const SERVERS: [&str; 4] = ["sshd", "sshd-session", AUTHENTICATOR, "dropbear"];
/// The process of OpenSSH 9.9 and later that serves a client until it is authenticated.
const AUTHENTICATOR: &str = "sshd-auth";
/// Words in the titles of processes of OpenSSH that serve such a client (`sshd: root [net]`).
const UNAUTHENTICATED: [&str; 3] = ["[accepted]", "[net]", "[preauth]"];
/// Maximum number of ancestors that are asked for a session's environment.
const ANCESTORS: usize = 64;

/// Returns the peers, each with the reason why it is one.
pub(super) fn peers() -> BTreeMap<IpAddr, &'static str> {
    let of_servers = served(Path::new("/proc")).peers.into_iter();
    let of_servers = of_servers.map(|peer| (peer, "the peer of an SSH session on this host"));
    // The second reason takes precedence.
    of_servers.chain(own().into_iter().map(|peer| (peer, "the peer of your own SSH session"))).collect()
}

/// Returns the clients of SSH servers that are not authenticated yet, and have no other session. They may be guessing
/// passwords.
pub(super) fn strangers() -> BTreeSet<IpAddr> {
    served(Path::new("/proc")).strangers
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

/// The clients of the SSH servers' established connections.
#[derive(Debug, Default)]
struct Served {
    peers: BTreeSet<IpAddr>,
    strangers: BTreeSet<IpAddr>,
}

/// Returns the clients of the SSH servers' established connections.
fn served(processes: &Path) -> Served {
    let (mut held, mut unauthenticated) = (BTreeSet::new(), BTreeSet::new());
    for process in servers(processes) {
        let sockets = sockets(&process);
        if is_unauthenticated(&process) {
            unauthenticated.extend(sockets.iter().copied());
        }
        held.extend(sockets);
    }
    let mut served = Served::default();
    if held.is_empty() {
        return served;
    }
    for found in all_established().into_iter().filter(|found| held.contains(&found.inode)) {
        let is_stranger = unauthenticated.contains(&found.inode);
        if is_stranger { &mut served.strangers } else { &mut served.peers }.insert(found.peer.ip());
    }
    served.strangers.retain(|client| !served.peers.contains(client));
    served
}

/// Whether the process of an SSH server serves a client that is not authenticated yet. OpenSSH says so in the name or
/// the title; another server's clients count as authenticated.
fn is_unauthenticated(process: &Path) -> bool {
    let title = fs::read(process.join("cmdline")).unwrap_or_default();
    let title = String::from_utf8_lossy(&title);
    name(process).is_some_and(|name| name == AUTHENTICATOR)
        || UNAUTHENTICATED.iter().any(|word| title.trim_end_matches('\0').ends_with(word))
}

fn name(process: &Path) -> Option<String> {
    Some(fs::read_to_string(process.join("comm")).ok()?.trim_end().to_owned())
}

/// Returns the directories of the SSH servers' processes.
fn servers(processes: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    let entries = fs::read_dir(processes).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|process| name(process).is_some_and(|name| SERVERS.contains(&name.as_str())))
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
        for (title, expected) in [
            ("sshd: root [priv]", false),
            ("sshd: root@pts/0", false),
            ("sshd-session: root@notty", false),
            ("sshd: [accepted]", true),
            ("sshd: unknown [net]", true),
            ("sshd: [listener] 0 of 10-100 startups", false),
        ] {
            fs::write(processes.path().join("7/cmdline"), format!("{title}\0\0")).unwrap();
            assert_eq!(is_unauthenticated(&processes.path().join("7")), expected, "{title}");
        }
        assert!(!is_unauthenticated(&processes.path().join("9")));
        let found: BTreeSet<_> = servers(processes.path()).collect();
        assert_eq!(found, ["7", "9"].map(|id| processes.path().join(id)).into());
        assert_eq!(sockets(&processes.path().join("7")), [4711]);
    }
}
