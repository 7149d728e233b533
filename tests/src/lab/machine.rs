//! A whole Debian machine in the lab: this system under an overlay of its own changes, with systemd as its first
//! process, in the network namespace of the lab's host.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Lab, binary, log::PATIENCE, wait_within};

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// Environment of the machine's commands.
const PATH: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

/// Mounts the machine's file systems, over the system in `$3`, in the directory `$1`, and becomes its first process. Starts only the journal. Its control
/// groups are in a group `$2` of its own, because each systemd removes empty groups with the names of its units.
const BOOT: &str = r#"
mount -t tmpfs none "$1"
mkdir "$1/changes" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$3,upperdir=$1/changes,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir "sys/fs/cgroup/$2"
echo 0 > "sys/fs/cgroup/$2/cgroup.procs"
mount -t bpf bpf sys/fs/bpf
mount --rbind /dev dev
mount -t tmpfs none run
mount -t tmpfs none tmp
rm -f etc/fstab usr/sbin/policy-rc.d
# The index of manual pages takes seconds at each installation.
rm -f var/lib/man-db/auto-update
: > etc/machine-id
printf '[Unit]\nDefaultDependencies=no\nWants=systemd-journald.service\n' > etc/systemd/system/lab.target
exec chroot . env -i container=lab /lib/systemd/systemd --unit=lab.target --log-target=null --show-status=no
"#;

/// Removes the control groups of the machine `$1`, once they are empty.
const CLEAR: &str = r#"
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for try in $(seq 50); do
    find "/sys/fs/cgroup/$1" -depth -type d -exec rmdir {} + && exit
    sleep 0.02
done
"#;

/// A running machine. Dropping it stops it and removes all of its changes.
#[derive(Debug)]
pub struct Machine {
    child: Child,
    first: String,
    /// Name of its control group.
    group: String,
}

impl Lab {
    /// Boots a machine on the lab's host.
    pub fn boot(&self) -> Machine {
        self.boot_from(Path::new("/"))
    }

    /// Boots a machine with nothing but Debian's base system, of the version with this name.
    pub fn boot_bare(&self, debian: &str) -> Machine {
        let directory =
            binary().ancestors().nth(2).expect("a directory of targets").join("trees").join(debian);
        assert!(directory.exists(), "{}: `cargo xtask test` makes it", directory.display());
        self.boot_from(&directory)
    }

    fn boot_from(&self, system: &Path) -> Machine {
        let place = self.files().join("machine");
        fs::create_dir(&place).expect("a directory");
        let namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--ipc", "--uts"];
        let mut command = self.host.command("unshare");
        let group = format!("{}-machine", self.files().file_name().expect("a name").display());
        command
            .args(namespaces)
            .args(["sh", "-euc", BOOT, "sh"])
            .arg(place)
            .arg(&group)
            .arg(system)
            .stdout(Stdio::null());
        let child = command.spawn().expect("`unshare` of util-linux");
        let mut machine = Machine { first: String::new(), child, group };
        machine.first = machine.find_first();
        machine.wait_until("it has booted", || machine.try_run("systemctl is-system-running").is_ok());
        machine
    }
}

impl Machine {
    /// Returns the process number of the machine's systemd, once it runs.
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

    /// Returns a command that runs a shell script on the machine.
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.first, "--all", "--root", "--wd", "env", "-i", PATH])
            .args(["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "sh", "-euc", script])
            .stdin(Stdio::null());
        command
    }

    /// Copies a package to `path` on the machine. `cargo xtask package --debug` makes two revisions of one version.
    pub fn bring_package(&self, revision: u8, path: &str) {
        self.bring(&format!("test-{revision}.deb"), path);
    }

    /// Copies one of the packages that `cargo xtask test` prepares to `path` on the machine.
    pub fn bring(&self, package: &str, path: &str) {
        let directory = binary().ancestors().nth(2).expect("a directory of targets").join("debian");
        let file = directory.join(package);
        let file = File::open(&file)
            .unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask test` brings it", file.display()));
        self.write(path, file);
    }

    /// Writes `content` to a file on the machine.
    pub fn write(&self, path: &str, content: impl Into<Stdio>) {
        let mut command = self.command(&format!("cat > {path}"));
        command.stdin(content);
        assert!(command.status().is_ok_and(|status| status.success()), "{path} can't be written");
    }

    /// Runs a script. Returns its output, including errors, as the error if the script fails.
    pub fn try_run(&self, script: &str) -> Result<String, String> {
        let Output { status, stdout, stderr } = self.command(script).output().expect("a command starts");
        let text = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        if status.success() { Ok(text) } else { Err(format!("{script}: {status}\n{text}")) }
    }

    /// Runs a script that must succeed, and returns its output. If it fails, the failure message has the service's state and
    /// the end of the journal.
    pub fn run(&self, script: &str) -> String {
        /// A failed service has an exit status that is not 0.
        const STATE: &str = "systemctl status --no-pager --lines 0 portsentry || :; journalctl --sync || :; \
                             journalctl --no-pager --lines 60";
        self.try_run(script).unwrap_or_else(|problem| {
            let state = self.try_run(STATE).unwrap_or_else(|error| error);
            panic!("{problem}\n{state}")
        })
    }

    /// Polls `holds` until it returns true. `what` describes the condition in the failure message.
    pub fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        wait_within(PATIENCE, || format!("in vain: {what}"), holds);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Killing this process kills the machine's first process, and thereby all others.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut clear = Command::new("unshare");
        clear.args(["--mount", "sh", "-euc", CLEAR, "sh", &self.group]).stderr(Stdio::null());
        let _ = clear.status();
    }
}
