//! OpenSSH's server from Debian's package, on the lab's host, and sessions with it.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Write},
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use super::{Family, Lab, binary, by_way_of, log::PATIENCE};

/// Gives the server its user and its directory.
const PLACE: &str = r#"
mount -t tmpfs none /run
mkdir /run/sshd
cp /etc/passwd /run/passwd
grep -q '^sshd:' /run/passwd || echo 'sshd:x:100:65534::/run/sshd:/usr/sbin/nologin' >> /run/passwd
mount --bind /run/passwd /etc/passwd
exec "$@"
"#;
/// Time limit for a session that should be cut.
const IMPATIENCE: Duration = Duration::from_millis(1500);

/// The server, on port 22. It ends when dropped.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    key: PathBuf,
}

/// A running session whose remote command echoes lines. It ends when dropped.
#[derive(Debug)]
pub struct Session {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Sshd {
    /// Starts the server in the host's namespace.
    pub fn start(lab: &Lab) -> Self {
        let files = lab.files().join("ssh");
        fs::create_dir(&files).expect("a directory");
        let [host_key, key] = ["host", "client"].map(|name| {
            let path = files.join(name);
            let mut made = Command::new("ssh-keygen");
            made.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path);
            assert!(made.status().expect("`ssh-keygen` of openssh-client").success(), "a key");
            path
        });
        fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("a mode");
        let packages = binary().ancestors().nth(2).expect("a directory of targets").join("debian");
        let server = packages.join("openssh-server/usr/sbin/sshd");
        assert!(server.exists(), "{} is missing; `cargo xtask test` brings it", server.display());
        let mut command = by_way_of(PLACE)(lab.host.command(&server));
        let libraries = fs::read_dir(packages.join("libwrap0/usr/lib")).expect("the package libwrap0");
        command.env("LD_LIBRARY_PATH", libraries.flatten().next().expect("a library").path());
        command.args([
            "-D",
            "-e",
            "-f",
            "/dev/null",
            "-o",
            "UsePAM=no",
            "-o",
            "StrictModes=no",
            "-o",
            "PidFile=none",
        ]);
        command.args(["-o", "PermitRootLogin=yes", "-o", "UseDNS=no", "-h"]).arg(host_key);
        command.arg("-o").arg(format!("AuthorizedKeysFile={}.pub", key.display()));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("sshd");
        let mut log = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        // One line for each address family.
        for _ in 0..2 {
            let line = log.next().and_then(Result::ok).unwrap_or_default();
            assert!(line.starts_with("Server listening on"), "sshd: {line}");
        }
        thread::spawn(move || log.for_each(drop));
        Self { child, key }
    }

    /// Logs in from `source`, an address of the scanner, within `patience`.
    pub fn log_in(&self, lab: &Lab, source: IpAddr, patience: Duration) -> Result<Session, String> {
        let host = Family::of(source).host();
        let mut ssh = lab.scanner.command("ssh");
        ssh.args(["-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        ssh.args(["-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o"]);
        ssh.arg(format!("ConnectTimeout={}", patience.as_secs().max(1))).arg("-i").arg(&self.key);
        ssh.arg("-b").arg(source.to_string()).arg(format!("root@{host}")).arg("cat");
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = ssh.spawn().expect("`ssh` of openssh-client");
        let (sender, lines) = channel();
        let said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        thread::spawn(move || said.map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        let input = child.stdin.take().expect("a pipe");
        let mut session = Session { child, input, lines };
        if session.echoes("here", patience) {
            return Ok(session);
        }
        session.child.kill().expect("it ends");
        let mut text = Vec::new();
        let mut errors = session.child.stderr.take().expect("a pipe");
        std::io::Read::read_to_end(&mut errors, &mut text).expect("text");
        Err(String::from_utf8_lossy(&text).into_owned())
    }

    /// Whether a new session from `source` opens, which is expected.
    pub fn admits(&self, lab: &Lab, source: IpAddr) -> Result<(), String> {
        self.log_in(lab, source, PATIENCE).map(drop)
    }

    /// Whether no new session from `source` opens, as expected.
    pub fn rejects(&self, lab: &Lab, source: IpAddr) -> bool {
        self.log_in(lab, source, IMPATIENCE).is_err()
    }
}

impl Session {
    /// Whether the session continues, as expected.
    pub fn lives(&mut self) -> bool {
        self.echoes("again", PATIENCE)
    }

    /// Whether nothing of the session arrives any more, as expected.
    pub fn is_cut(&mut self) -> bool {
        !self.echoes("nobody", IMPATIENCE)
    }

    fn echoes(&mut self, text: &str, patience: Duration) -> bool {
        // An ended client reads nothing.
        let _ = writeln!(self.input, "{text}");
        let deadline = Instant::now() + patience;
        // A session that was cut for a while has lines left.
        let left = || deadline.saturating_duration_since(Instant::now());
        std::iter::from_fn(|| self.lines.recv_timeout(left()).ok()).any(|line| line == text)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
