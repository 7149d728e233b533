//! A named network namespace.

use std::{
    ffi::OsStr,
    fs::File,
    io::Write,
    panic::resume_unwind,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Mutex,
    thread,
};

use nix::sched::{CloneFlags, setns};

/// A network namespace, deleted in the end.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one of that name.
    pub fn new(name: &str) -> Self {
        // `ip` prepares the directory of names on first use, which two at a time can't.
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

    /// Runs lines of `ip` in it.
    pub fn ip(&self, script: &str) {
        let mut ip = Command::new("ip")
            .args(["-netns", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("`ip` of iproute2");
        ip.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("`ip` reads its script");
        let ended = ip.wait_with_output().expect("`ip` ends");
        assert!(
            ended.status.success(),
            "`ip` in {} refused:\n{script}\n{}",
            self.name,
            String::from_utf8_lossy(&ended.stderr)
        );
    }

    /// A command to run in it. (Not by `ip netns exec`, which mounts a /sys without bpffs.)
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg(program).stdin(Stdio::null());
        command
    }

    /// Frames that an interface has received (`rx`) or sent (`tx`).
    pub fn frames(&self, interface: &str, way: &str) -> u64 {
        let shown = self.run("ip", &["-stats", "-json", "link", "show", interface]);
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        shown[0]["stats64"][way]["packets"].as_u64().expect("a number")
    }

    /// Runs a command in it; what it printed, errors included, if it succeeds.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let ended = self.command(program).args(arguments).output().expect("a command starts");
        let text =
            [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(ended.status.success(), "{program} {}: {}\n{text}", arguments.join(" "), ended.status);
        text
    }

    /// Calls `within` on a thread that is in it; sockets opened there stay in it.
    pub fn enter<T: Send>(&self, within: impl FnOnce() -> T + Send) -> T {
        let entered = || {
            let namespace = File::open(self.path()).expect("a namespace's file");
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("a thread enters a namespace");
            within()
        };
        thread::scope(|scope| scope.spawn(entered).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// A command for a namespace by way of `wrapper`: a shell's script with mounts of its own, that ends by running
/// `"$@"`.
pub fn by_way_of(wrapper: &str) -> impl FnOnce(Command) -> Command {
    move |command| {
        let mut arguments = command.get_args();
        let mut detour = Command::new(command.get_program());
        // What comes first is the namespace to enter.
        detour
            .args(arguments.next())
            .args(["unshare", "--mount", "sh", "-euc", wrapper, "sh"])
            .args(arguments);
        detour
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A failed clean-up must not hide why the test failed.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).stderr(Stdio::null()).status();
    }
}
