//! The apt repository that `cargo xtask repository` makes: installed from on bare Debian systems, with README's commands, and
//! upgraded from.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use portsentry_tests::{
    document,
    lab::{Family, Lab, Machine, Reach, binary},
};

/// README's address of the repository.
const URL: &str = "https://packages.example.org/portsentry";
/// The scanner's address, which serves it here. `cargo xtask test` makes the repositories for this one.
const SERVED: &str = "http://192.0.2.2:8000";

/// A web server. Dropping it ends it.
struct Web(Child);

impl Web {
    fn start(lab: &Lab) -> Self {
        let directory = lab.files().join("web");
        fs::create_dir_all(&directory).expect("a directory");
        let mut command = lab.scanner.command("python3");
        command.args(["-m", "http.server", "8000", "--directory"]).arg(directory);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("python3"))
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Replaces the served repository by the one that has packages up to this revision.
fn publish(lab: &Lab, revision: u8) {
    let made = binary().ancestors().nth(2).expect("a directory of targets").join("debian");
    let made = made.join(format!("repository-{revision}"));
    let copied =
        Command::new("cp").args(["-r", "--"]).arg(made.join(".")).arg(lab.files().join("web")).status();
    assert!(copied.is_ok_and(|status| status.success()), "{}: `cargo xtask test` makes it", made.display());
}

/// Returns README's commands from a new machine to one that blocks.
fn commands() -> Vec<String> {
    let text = document::read("README.md");
    let block = text.split_once("<!-- not run: tests/tests/repository.rs").expect("the block").1;
    let lines = block.lines().skip(1).skip_while(|line| line.is_empty());
    let lines = lines.take_while(|line| line.starts_with("    "));
    lines.map(|line| line.trim().replace(URL, SERVED)).collect()
}

fn version(machine: &Machine) -> String {
    machine.run("dpkg-query --show --showformat '${Version}' portsentry-xdp")
}

fn installs_and_upgrades(debian: &str) {
    let lab = Lab::new();
    let machine = lab.boot_bare(debian);
    let service = lab.serve_tcp(8080);
    let _web = Web::start(&lab);
    publish(&lab, 1);
    machine.wait_until("the repository is served", || {
        machine
            .try_run(&format!("/usr/lib/apt/apt-helper download-file {SERVED}/portsentry.sources /tmp/s"))
            .is_ok()
    });
    // A bare system has no other sources here.
    machine.run("rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*");
    let commands = commands();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for command in &commands {
        let said = machine.run(&format!("{command} 2>&1"));
        // apt's own downloader may write to root's directory only as root.
        let said = said.lines().filter(|line| !line.contains("Download is performed unsandboxed as root"));
        let said = said.collect::<Vec<_>>().join("\n");
        for word in ["W: ", "E: ", "WARNING", "unauthenticated"] {
            assert!(!said.contains(word), "{word}: {said}");
        }
    }
    assert!(version(&machine).ends_with("-1"));
    machine.run("portsentry confirm");
    assert!(machine.run("portsentry status").contains("fencing and blocking"));
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sT -p 79,109 --max-retries 2");
    machine.wait_until("the scanner is blocked", || {
        let listed = machine.run("portsentry list --state blocked");
        listed.contains(&source.to_string())
    });
    service.assert_open_to_bystander(&lab);

    publish(&lab, 2);
    let said = machine.run("apt-get update 2>&1 && apt-get upgrade --yes 2>&1");
    assert!(version(&machine).ends_with("-2"), "{said}");
    machine.wait_until("the service runs", || {
        machine.run("systemctl is-active portsentry || :").trim() == "active"
    });
    assert!(machine.run("portsentry list --state blocked").contains(&source.to_string()));
    assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} gets through");

    // A list that somebody else has changed is refused.
    let release = lab.files().join("web/dists/stable/InRelease");
    let text = fs::read_to_string(&release).expect("InRelease");
    fs::write(&release, text.replace("Label: portsentry-xdp", "Label: portsentry-xxx")).expect("InRelease");
    fs::remove_file(release.with_file_name("Release.gpg")).expect("Release.gpg");
    machine.run("rm -rf /var/lib/apt/lists/*");
    let said = machine.run("apt-get update 2>&1 || :");
    assert!(said.contains("is not signed") || said.contains("BADSIG") || said.contains("invalid"), "{said}");
    let known = machine.run("apt-cache policy portsentry-xdp");
    assert!(!known.contains(SERVED), "{known}");
}

#[test]
#[ignore = "needs Debian's base systems: `cargo xtask test repository:: -- --ignored` makes them"]
fn debian_12_installs_from_it() {
    installs_and_upgrades("bookworm");
}

#[test]
#[ignore = "needs Debian's base systems: `cargo xtask test repository:: -- --ignored` makes them"]
fn debian_13_installs_from_it() {
    installs_and_upgrades("trixie");
}
