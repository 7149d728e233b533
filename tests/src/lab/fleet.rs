//! A fleet's servers and companions, in a network of their own. A companion's daemon speaks at a path, so that it may run in
//! any namespace.

mod captured;
mod gateway;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use tempfile::TempDir;

pub use self::gateway::{Gateway, Words};
use super::{Log, Namespace, binary, log::PATIENCE, sweep, wait_within};
use crate::document::root;

/// Number of servers.
pub const SERVERS: usize = 3;

/// A running process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// What it prints.
    pub log: Log,
}

impl Process {
    /// Sends it a signal, such as `STOP`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("`kill`").success());
    }

    /// Kills it.
    pub fn kill(&mut self) {
        // The process may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let log = Log::default();
        log.follow(child.stdout.take().expect("a pipe"));
        log.follow(child.stderr.take().expect("a pipe"));
        Self { child, log }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Servers and gateways, connected to one switch.
#[derive(Debug)]
pub struct Fleet {
    files: TempDir,
    names: Vec<String>,
    switch: Namespace,
    servers: Vec<Namespace>,
    gateways: Vec<Namespace>,
    running: Mutex<Vec<Option<Process>>>,
}

impl Fleet {
    /// Creates a fleet of gateways with these names, as `portsentry-share init` describes it, and starts its servers.
    pub fn new(names: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace =
            |role: &str| Namespace::new(&format!("{}{}-f{number}-{role}", sweep::PREFIX, process::id()));
        let fleet = Self {
            files: TempDir::with_prefix("portsentry-fleet-").expect("a directory for files"),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            switch: namespace("switch"),
            servers: (0..SERVERS).map(|index| namespace(&format!("s{index}"))).collect(),
            gateways: names.iter().map(|name| namespace(name)).collect(),
            running: Mutex::new((0..SERVERS).map(|_| None).collect()),
        };
        fleet.switch.ip("link add br0 type bridge mcast_snooping 0\nlink set br0 up");
        for (index, server) in fleet.servers.iter().enumerate() {
            fleet.plug_in(server, &format!("s{index}"), &server_address(index));
        }
        for (index, gateway) in fleet.gateways.iter().enumerate() {
            fleet.plug_in(gateway, &format!("g{index}"), &format!("10.77.0.{}", 101 + index));
        }
        let addresses: Vec<String> = (0..SERVERS).map(server_address).collect();
        let mut init = Command::new(program());
        init.arg("init").arg("--directory").arg(fleet.path()).arg("--gateway").args(names);
        run(init.arg("--server").args(addresses));
        (0..SERVERS).for_each(|index| fleet.start_server(index));
        let administrator = fleet.path().join("administrator/share.conf");
        let mut create = fleet.servers[0].command(program());
        run(create.arg("--file").arg(administrator).arg("create"));
        fleet
    }

    fn path(&self) -> PathBuf {
        self.files.path().join("fleet")
    }

    fn plug_in(&self, member: &Namespace, port: &str, address: &str) {
        self.switch.ip(&format!(
            "link add {port} type veth peer name eth0 netns {}\nlink set {port} master br0 up",
            member.name()
        ));
        member.ip(&format!("link set lo up\naddress add {address}/24 dev eth0\nlink set eth0 up"));
    }

    /// Starts a server. Its state is kept.
    pub fn start_server(&self, index: usize) {
        let program =
            fs::canonicalize(root().join("target/tools/bin/nats-server")).expect("run `cargo xtask setup`");
        let mut server = self.servers[index].command(program);
        server.current_dir(self.path().join("servers").join(server_address(index)));
        server.args(["--config", "nats-server.conf"]);
        let server = Process::start(server);
        server.log.wait_for("Server is ready");
        self.servers()[index] = Some(server);
    }

    /// Kills a server.
    pub fn kill_server(&self, index: usize) {
        self.servers()[index] = None;
    }

    fn servers(&self) -> MutexGuard<'_, Vec<Option<Process>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of the server that leads a gateway's stream, as its servers' logs say.
    pub fn leader(&self, gateway: &str) -> usize {
        let is_of_stream =
            |line: &&String| line.contains("new stream leader") && line.contains(&format!("PS-{gateway}'"));
        let leads = |index: &usize| {
            let log = self.servers()[*index].as_ref().map(|server| server.log.lines()).unwrap_or_default();
            log.iter().filter(is_of_stream).count() > 0
        };
        (0..SERVERS).find(leads).expect("the stream has a leader")
    }

    /// Cuts the wire of a server or gateway, or mends it.
    pub fn wire(&self, port: &str, is_cut: bool) {
        self.switch.ip(&format!("link set {port} {}", if is_cut { "down" } else { "up" }));
    }

    /// Removes a server's routes to the others, or adds them again. Gateways still reach it.
    pub fn isolate(&self, index: usize, is_isolated: bool) {
        let others = (0..SERVERS).filter(|other| *other != index);
        let verb = if is_isolated { "add" } else { "delete" };
        let lines: Vec<String> =
            others.map(|other| format!("route {verb} blackhole {}/32\n", server_address(other))).collect();
        self.servers[index].ip(&lines.concat());
    }

    /// Returns the directory of a gateway's files.
    pub fn directory(&self, gateway: usize) -> PathBuf {
        self.path().join("gateways").join(&self.names[gateway])
    }

    /// Returns a gateway's namespace.
    pub fn namespace(&self, gateway: usize) -> &Namespace {
        &self.gateways[gateway]
    }

    /// Starts a gateway's companion, which finds its daemon at `socket`.
    pub fn start_companion(&self, gateway: usize, socket: &Path) -> Process {
        self.configure(gateway, &format!("SHARE_SOCKET=\"{}\"\n", socket.display()));
        let mut command = self.gateways[gateway].command(program());
        command.arg("--file").arg(self.directory(gateway).join("share.conf"));
        Process::start(command)
    }

    /// Adds a line to a gateway's `share.conf`.
    pub fn configure(&self, gateway: usize, setting: &str) {
        let file = self.directory(gateway).join("share.conf");
        let text = fs::read_to_string(&file).expect("share.conf");
        if !text.contains(setting) {
            fs::write(&file, text + setting).expect("share.conf");
        }
    }

    /// Returns a gateway whose daemon is the test itself.
    pub fn gateway(&self, gateway: usize) -> Gateway<'_> {
        Gateway::new(self, gateway, &self.names[gateway])
    }
}

/// Returns a server's address.
pub fn server_address(index: usize) -> String {
    format!("10.77.0.{}", 1 + index)
}

/// Returns the companion's program.
pub fn program() -> PathBuf {
    binary().with_file_name("portsentry-share")
}

fn run(command: &mut Command) {
    let ended = command.output().expect("run `cargo build -p portsentry-share`");
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// Waits until `holds`.
pub(super) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    wait_within(PATIENCE, || format!("in vain: {what}"), holds);
}
