//! A whole Debian machine in the lab: what is installed here, as it is, below changes of its own, with systemd as its
//! first process and the lab's host's network.

use std::{
    fs::{self, File},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Lab, binary, log::PATIENCE};

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// What a machine's own environment is.
const PATH: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

/// Mounts what the machine is made of, and becomes its first process. It brings up nothing but the journal.
const BOOT: &str = r#"
mount -t tmpfs none "$1"
mkdir "$1/changes" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t bpf bpf sys/fs/bpf
mount --rbind /dev dev
mount -t tmpfs none run
mount -t tmpfs none tmp
rm -f etc/fstab usr/sbin/policy-rc.d
: > etc/machine-id
printf '[Unit]\nDefaultDependencies=no\nWants=systemd-journald.service\n' > etc/systemd/system/lab.target
exec chroot . env -i container=lab /lib/systemd/systemd --unit=lab.target --log-target=null --show-status=no
"#;

/// The machine; it ends when this is dropped, and nothing is left of it.
#[derive(Debug)]
pub struct Machine {
    child: Child,
    first: String,
}

impl Lab {
    /// Boots a machine on the lab's host.
    pub fn boot(&self) -> Machine {
        let place = self.files().join("machine");
        fs::create_dir(&place).expect("a directory");
        let namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--ipc", "--uts"];
        let mut command = self.host.command("unshare");
        command.args(namespaces).args(["sh", "-euc", BOOT, "sh"]).arg(place).stdout(Stdio::null());
        let child = command.spawn().expect("`unshare` of util-linux");
        let mut machine = Machine { first: String::new(), child };
        machine.first = machine.find_first();
        machine.wait_until("it has booted", || machine.try_run("systemctl is-system-running").is_ok());
        machine
    }
}

impl Machine {
    /// The process that is the machine's first, once it is systemd.
    fn find_first(&self) -> String {
        let parent = self.child.id();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
            let first = children.unwrap_or_default().trim().to_owned();
            let name = fs::read_to_string(format!("/proc/{first}/comm")).unwrap_or_default();
            if name.trim() == "systemd" {
                return first;
            }
            assert!(Instant::now() < deadline, "the machine does not boot");
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// A shell's script to run on it.
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.first, "--all", "--root", "--wd", "env", "-i", PATH])
            .args(["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "sh", "-euc", script])
            .stdin(Stdio::null());
        command
    }

    /// Puts a package at `path` on it: of the two revisions of one version that `cargo xtask package --debug` makes.
    pub fn bring_package(&self, revision: u8, path: &str) {
        self.bring(&format!("test-{revision}.deb"), path);
    }

    /// Puts one of the packages that `cargo xtask test` has ready at `path` on it.
    pub fn bring(&self, package: &str, path: &str) {
        let directory = binary().ancestors().nth(2).expect("a directory of targets").join("debian");
        let file = directory.join(package);
        let file = File::open(&file)
            .unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask test` brings it", file.display()));
        self.write(path, file);
    }

    /// Writes what `content` has to a file on it.
    pub fn write(&self, path: &str, content: impl Into<Stdio>) {
        let mut command = self.command(&format!("cat > {path}"));
        command.stdin(content);
        assert!(command.status().is_ok_and(|status| status.success()), "{path} can't be written");
    }

    /// What a script prints, errors included, if it succeeds; else that it does not.
    pub fn try_run(&self, script: &str) -> Result<String, String> {
        let Output { status, stdout, stderr } = self.command(script).output().expect("a command starts");
        let text = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        if status.success() { Ok(text) } else { Err(format!("{script}: {status}\n{text}")) }
    }

    /// As [`Machine::try_run`], of what has to succeed.
    pub fn run(&self, script: &str) -> String {
        self.try_run(script).unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// Waits until `holds`, asked again and again; `what` says what is waited for.
    pub fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "in vain: {what}");
            thread::sleep(BETWEEN_LOOKS);
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its first process goes with it, and all others with that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
