//! `cargo xtask demo --fleet`: a source that proves itself at one of three gateways is dropped at all of them.

mod network;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use self::network::{GATEWAYS, Network, SCANNERS, SERVERS, gateway_address, namespace};
use super::{
    scene::{config, ensure_running, heading},
    stage::{Running, inside, show},
};
use crate::paths;

/// Maximum time for anything to happen.
const PATIENCE: Duration = Duration::from_mins(1);

/// The programs, and what runs.
struct Fleet<'a> {
    daemon: &'a Path,
    companion: PathBuf,
    network: Network,
    running: Vec<Running>,
    servers: Vec<Option<Running>>,
    interrupted: &'a AtomicBool,
}

pub(super) fn play(daemon: &Path, interrupted: &AtomicBool) -> Result<()> {
    let mut fleet = Fleet {
        daemon,
        companion: daemon.with_file_name("portsentry-share"),
        network: Network::open()?,
        running: Vec::new(),
        servers: Vec::new(),
        interrupted,
    };
    heading("Three gateways, three NATS servers and a scanner, each in a network namespace of its own");
    fleet.make_keys()?;
    fleet.start_servers()?;
    heading("Each gateway runs portsentry, its companion portsentry-share, and a web server");
    for gateway in GATEWAYS {
        fleet.start_gateway(gateway)?;
    }
    fleet.wait("the gateways hear each other", |fleet| {
        GATEWAYS.iter().all(|gateway| fleet.portsentry(gateway, &["peers"]).matches(" block ").count() == 2)
    })?;
    show(&mut fleet.command("gw1", &["peers"]))?;
    let [first, second] = SCANNERS;

    heading("The scanner reaches the web servers of gw2 and gw3");
    fleet.reaches("gw2", first, true)?;
    fleet.reaches("gw3", first, true)?;

    heading("It scans gw1, and completes a handshake with a trap: that proves its address");
    fleet.prove("gw1", first)?;

    heading("gw2 and gw3 drop its packets, too, and know why");
    fleet.reaches("gw2", first, false)?;
    fleet.reaches("gw3", first, false)?;
    show(&mut fleet.command("gw3", &["why", first]))?;

    let leader = fleet.leader("gw2")?;
    heading(&format!("The server that leads the state of gw2 is killed: {}", SERVERS[leader]));
    fleet.servers[leader] = None;
    println!("  Another scanner proves itself at gw2, at once");
    fleet.prove("gw2", second)?;
    fleet.reaches("gw1", second, false)?;
    fleet.reaches("gw3", second, false)?;

    heading("An administrator at gw3 lifts the first scanner's block, for all");
    show(&mut fleet.command("gw3", &["unblock", first]))?;
    fleet.wait_for_blocked(first, false)?;
    for gateway in GATEWAYS {
        fleet.reaches(gateway, first, true)?;
    }
    for gateway in GATEWAYS {
        show(&mut fleet.command(gateway, &["list"]))?;
    }
    println!("\nProven once, dropped everywhere. Nothing of this demonstration is left on the machine.");
    Ok(())
}

impl Fleet<'_> {
    fn files(&self) -> &Path {
        self.network.files()
    }

    fn make_keys(&self) -> Result<()> {
        heading("An administrator makes the keys and all configurations");
        let mut init = Command::new(&self.companion);
        init.arg("init").arg("--directory").arg(self.files().join("fleet"));
        show(init.arg("--gateway").args(GATEWAYS).arg("--server").args(SERVERS))?;
        Ok(())
    }

    fn start_servers(&mut self) -> Result<()> {
        for server in SERVERS {
            let directory = self.files().join("fleet/servers").join(server);
            let log = fs::File::create(self.log(server)).context("making a log")?;
            let mut nats = inside(&namespace(server), paths::tools().join("bin/nats-server"));
            nats.current_dir(directory).args(["--config", "nats-server.conf"]);
            nats.stdout(Stdio::null()).stderr(log);
            self.servers.push(Some(Running::spawn(&mut nats)?));
        }
        let mut create = inside(&namespace(SERVERS[0]), &self.companion);
        create.arg("--file").arg(self.files().join("fleet/administrator/share.conf"));
        show(create.arg("create"))?;
        Ok(())
    }

    fn log(&self, name: &str) -> PathBuf {
        self.files().join(format!("{name}.log"))
    }

    fn directory(&self, gateway: &str) -> PathBuf {
        self.files().join(gateway)
    }

    fn start_gateway(&mut self, gateway: &str) -> Result<()> {
        let files = self.directory(gateway);
        fs::create_dir(&files).context("making a directory")?;
        for (name, text) in [("portsentry.ignore", "127.0.0.1/32\n::1/128\n"), ("portsentry.blocklist", "")] {
            fs::write(files.join(name), text).context("writing a file")?;
        }
        let socket = format!("SHARE_SOCKET=\"{}\"\n", files.join("run/share.sock").display());
        let text = config(&files, &network::pins(gateway)) + &socket;
        fs::write(files.join("portsentry.conf"), format!("{text}GATEWAY_NAME=\"{gateway}\"\nPEERS=\"*\"\n"))
            .context("writing portsentry.conf")?;
        let namespace = namespace(gateway);
        self.running
            .push(Running::spawn(inside(&namespace, "ncat").args(["-lk", "80"]).stdout(Stdio::null()))?);
        let log = fs::File::create(self.log(gateway)).context("making a log")?;
        let mut daemon = inside(&namespace, self.daemon);
        daemon.args(["-stcp", "-l", "stdout", "-i", "eth0", "-c"]).arg(files.join("portsentry.conf"));
        self.running.push(Running::spawn(daemon.stdout(log))?);
        self.wait(&format!("the daemon of {gateway} is active"), |fleet| {
            fs::read_to_string(fleet.log(gateway)).is_ok_and(|text| text.contains("active and listening"))
        })?;
        let file = self.files().join("fleet/gateways").join(gateway).join("share.conf");
        let text = fs::read_to_string(&file).context("reading share.conf")?;
        fs::write(&file, text + &socket).context("writing share.conf")?;
        let mut companion = inside(&namespace, &self.companion);
        self.running.push(Running::spawn(companion.arg("--file").arg(file).stderr(Stdio::null()))?);
        Ok(())
    }

    /// Returns `portsentry WORDS` at a gateway.
    fn command(&self, gateway: &str, words: &[&str]) -> Command {
        let mut command = inside(&namespace(gateway), self.daemon);
        command.arg("-c").arg(self.directory(gateway).join("portsentry.conf")).args(words);
        command
    }

    /// Runs `portsentry WORDS` at a gateway. Returns its output.
    fn portsentry(&self, gateway: &str, words: &[&str]) -> String {
        let output = self.command(gateway, words).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    /// Has a scanner complete handshakes with traps of a gateway, and waits until all gateways block it.
    fn prove(&self, gateway: &str, scanner: &str) -> Result<()> {
        let mut nmap = nmap(scanner);
        show(nmap.args(["-sT", "-p", "11,15,79", "--max-retries", "0", "-T5", &gateway_address(gateway)]))?;
        let begun = Instant::now();
        self.wait_for_blocked(scanner, true)?;
        println!(
            "  blocked at all three gateways {} ms after the end of the scan",
            begun.elapsed().as_millis()
        );
        Ok(())
    }

    /// Waits until all gateways block a scanner, or none.
    fn wait_for_blocked(&self, scanner: &str, is_blocked: bool) -> Result<()> {
        let state = if is_blocked { "blocked: all its packets" } else { "neither blocked nor fenced" };
        self.wait(&format!("{scanner} is {state}"), |fleet| {
            GATEWAYS.iter().all(|gateway| fleet.portsentry(gateway, &["why", scanner]).contains(state))
        })
    }

    /// Shows whether a scanner reaches a gateway's web server, which must be as expected.
    fn reaches(&self, gateway: &str, scanner: &str, expected: bool) -> Result<()> {
        let said = show(nmap(scanner).args(["-sT", "-p", "80", &gateway_address(gateway)]))?;
        let state = if expected { "80/tcp open" } else { "80/tcp filtered" };
        ensure!(said.contains(state), "{scanner} at {gateway}: {state} is expected");
        ensure_running(self.interrupted)
    }

    /// Returns the server that leads a gateway's part of the state.
    fn leader(&self, gateway: &str) -> Result<usize> {
        let stream = format!("PS-{gateway}'");
        let leads = |server: &str| {
            let text = fs::read_to_string(self.log(server)).unwrap_or_default();
            text.lines().any(|line| line.contains("new stream leader") && line.contains(&stream))
        };
        let leader = SERVERS.iter().position(|server| leads(server));
        leader.context("no server leads the state")
    }

    fn wait(&self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            ensure_running(self.interrupted)?;
            if Instant::now() > deadline {
                bail!("in vain: {what}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

fn nmap(scanner: &str) -> Command {
    let mut nmap = inside(&namespace("scanner"), "nmap");
    nmap.args(["-n", "-Pn", "-S", scanner, "-e", "eth0"]);
    nmap
}
