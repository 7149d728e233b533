//! A named network namespace.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    panic::resume_unwind,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Mutex,
    thread,
    time::Duration,
};

use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Socket, Type};

/// A network namespace, deleted when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates a namespace called `name`.
    pub fn new(name: &str) -> Self {
        // On first use `ip` creates the directory of namespaces, and two concurrent calls fail.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _alone = ONE_AT_A_TIME.lock();
        let added = Command::new("ip").args(["netns", "add", name]).output().expect("`ip` of iproute2");
        assert!(added.status.success(), "ip netns add {name}: {}", String::from_utf8_lossy(&added.stderr));
        Self { name: name.into() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/var/run/netns").join(&self.name)
    }

    /// Runs lines of `ip` commands in the namespace.
    pub fn ip(&self, script: &str) {
        ip(&["-netns", &self.name], script);
    }

    /// Returns a command to run in the namespace. (`ip netns exec` would mount a /sys without bpffs.)
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg(program).stdin(Stdio::null());
        command
    }

    /// Returns the number of frames that an interface has received (`rx`) or sent (`tx`).
    pub fn frames(&self, interface: &str, way: &str) -> u64 {
        let shown = self.run("ip", &["-stats", "-json", "link", "show", interface]);
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        shown[0]["stats64"][way]["packets"].as_u64().expect("a number")
    }

    /// Runs a command in the namespace, which must succeed. Returns its output, including errors.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let ended = self.command(program).args(arguments).output().expect("a command starts");
        let text =
            [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(ended.status.success(), "{program} {}: {}\n{text}", arguments.join(" "), ended.status);
        text
    }

    /// Calls `within` on a thread in the namespace. Sockets opened there stay in it.
    pub fn enter<T: Send>(&self, within: impl FnOnce() -> T + Send) -> T {
        let entered = || {
            let namespace = File::open(self.path()).expect("a namespace's file");
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("a thread enters a namespace");
            within()
        };
        thread::scope(|scope| scope.spawn(entered).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Connects from `source`, one of the namespace's addresses.
    ///
    /// # Errors
    ///
    /// The connection is refused, or isn't accepted within `patience`.
    pub fn connect_from(&self, source: IpAddr, to: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
        self.enter(|| {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
            socket.connect_timeout(&to.into(), patience)?;
            Ok(socket.into())
        })
    }
}

/// Runs lines of `ip` commands, with options.
pub(super) fn ip(options: &[&str], script: &str) {
    let mut ip = Command::new("ip")
        .args(options)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`ip` of iproute2");
    ip.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("`ip` reads its script");
    let ended = ip.wait_with_output().expect("`ip` ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "`ip {}` refused:\n{script}\n{said}", options.join(" "));
}

/// Wraps a namespace's command in `wrapper`, a shell script that makes its own mounts and ends with `"$@"`.
pub fn by_way_of(wrapper: &str) -> impl FnOnce(Command) -> Command {
    move |command| {
        let mut arguments = command.get_args();
        let mut detour = Command::new(command.get_program());
        // The first argument is the namespace to enter.
        detour
            .args(arguments.next())
            .args(["unshare", "--mount", "sh", "-euc", wrapper, "sh"])
            .args(arguments);
        detour
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A failed clean-up must not hide the test's own failure.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).stderr(Stdio::null()).status();
    }
}
