//! Files that can't be written or read: blocks stay in force, the error is reported once, and no record is lost.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    net::IpAddr,
    path::Path,
    process::Command,
};

use nix::sys::signal::Signal;
use portsentry_tests::lab::{Daemon, Family, Lab, Portsentry, Reach, by_way_of, counter, remove_pins};

/// Puts the daemon's files into their own directory.
fn with_files_in<'lab>(setup: Portsentry<'lab>, directory: &Path) -> Portsentry<'lab> {
    let path = |name: &str| directory.join(name).display().to_string();
    setup
        .with("HISTORY_FILE", &path("history"))
        .with("BLOCKED_FILE", &path("blocked"))
        .with("WRAPPER_HOSTS_DENY", &path("hosts.deny"))
}

fn block(daemon: &Daemon<'_>) -> IpAddr {
    let source = daemon.lab().source(Family::V4);
    daemon.lab().nmap(source, "-sS -p 11");
    daemon.wait_until("it is blocked", || daemon.blocked().contains(&source));
    source
}

/// Fails unless each file names each of `sources` once. `read` reads a file.
fn assert_written(daemon: &Daemon<'_>, sources: &[IpAddr], read: impl Fn(&str) -> String) {
    for file in ["history", "blocked", "hosts.deny"] {
        daemon.wait_until("the files catch up", || {
            let text = read(file);
            sources.iter().all(|source| text.contains(&source.to_string()))
        });
        let text = read(file);
        assert_eq!(text.lines().count(), sources.len(), "{file}:\n{text}");
        assert!(text.ends_with('\n'), "{file}:\n{text}");
    }
}

/// Waits until writing each file has failed.
fn wait_for_trouble(daemon: &Daemon<'_>, why: &str) {
    for file in ["history", "blocked", "hosts.deny"] {
        let is_told = |line: &String| line.contains(file) && line.contains(why);
        daemon.wait_until("each file was tried", || daemon.log().lines().iter().any(is_told));
    }
}

/// Fails unless each file's error, and its resolution, were reported once.
fn assert_told_once(daemon: &Daemon<'_>) {
    for file in ["history", "blocked", "hosts.deny"] {
        let begins = |line: &String| {
            line.contains(&format!("/{file} ")) && line.contains("retrying, blocks stay in force")
        };
        let lines = daemon.log().lines();
        assert_eq!(lines.iter().filter(|line| begins(line)).count(), 1, "{file}: {lines:#?}");
        daemon.log().wait_for(&format!("{file} can be written again; nothing was lost"));
    }
}

#[test]
fn a_directory_that_comes_late() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let directory = lab.files().join("late");
    let daemon = with_files_in(lab.portsentry("-stcp"), &directory).start();
    let sources = [block(&daemon), block(&daemon)];
    wait_for_trouble(&daemon, "No such file or directory");
    assert!(sources.iter().all(|source| !service.answers(&lab.scanner, *source, Reach::Unexpected)));
    fs::create_dir(&directory).expect("a directory");
    assert_written(&daemon, &sources, |file| fs::read_to_string(directory.join(file)).unwrap_or_default());
    assert_told_once(&daemon);
    service.assert_open_to_bystander(&lab);
}

#[test]
fn a_disk_that_is_full() {
    let lab = Lab::new();
    let directory = lab.files().join("small");
    fs::create_dir(&directory).expect("a directory");
    let fill = format!(
        "mount -t tmpfs -o size=64k none {0}; head -c 1000000 /dev/zero > {0}/filler || :; exec \"$@\"",
        directory.display()
    );
    let daemon = with_files_in(lab.portsentry("-stcp"), &directory).start_in(by_way_of(&fill));
    // The daemon's mounts are visible through its process.
    let inside = Path::new("/proc")
        .join(daemon.process().to_string())
        .join("root")
        .join(directory.strip_prefix("/").expect("an absolute path"));
    let sources = [block(&daemon), block(&daemon)];
    wait_for_trouble(&daemon, "No space left on device");
    fs::remove_file(inside.join("filler")).expect("room again");
    assert_written(&daemon, &sources, |file| fs::read_to_string(inside.join(file)).unwrap_or_default());
    assert_told_once(&daemon);
    let names = || {
        let entries = fs::read_dir(&inside).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.collect::<BTreeSet<_>>()
    };
    let expected = ["blocked", "blocked.denied", "blocked.ids", "history", "hosts.deny"];
    daemon
        .wait_until("no file is missing, and none is left", || names() == expected.map(str::to_owned).into());
}

#[test]
fn a_file_system_that_is_read_only() {
    let lab = Lab::new();
    let directory = lab.files().join("fixed");
    fs::create_dir(&directory).expect("a directory");
    let fix = format!("mount -t tmpfs -o ro none {}; exec \"$@\"", directory.display());
    let daemon = with_files_in(lab.portsentry("-stcp"), &directory).start_in(by_way_of(&fix));
    let sources = [block(&daemon)];
    wait_for_trouble(&daemon, "Read-only file system");
    let process = daemon.process().to_string();
    let remounted = Command::new("nsenter")
        .args(["--target", &process, "--mount", "mount", "-o", "remount,rw"])
        .arg(&directory)
        .status();
    assert!(remounted.is_ok_and(|status| status.success()));
    let inside = Path::new("/proc")
        .join(&process)
        .join("root")
        .join(directory.strip_prefix("/").expect("an absolute path"));
    assert_written(&daemon, &sources, |file| fs::read_to_string(inside.join(file)).unwrap_or_default());
    assert_told_once(&daemon);
}

#[test]
fn files_that_are_immutable() {
    let lab = Lab::new();
    let directory = lab.files().join("fixed");
    fs::create_dir(&directory).expect("a directory");
    let image = lab.files().join("image");
    // A file system that supports the attribute.
    let mount = format!(
        "truncate -s 8M {1}; mkfs.ext4 -q {1}; mount -o loop {1} {0}; cd {0}; rmdir lost+found; \
         touch history blocked hosts.deny; chattr +i *; cd /; exec \"$@\"",
        directory.display(),
        image.display()
    );
    let daemon = with_files_in(lab.portsentry("-stcp"), &directory).start_in(by_way_of(&mount));
    let sources = [block(&daemon)];
    wait_for_trouble(&daemon, "Operation not permitted");
    assert!(daemon.blocked().contains(&sources[0]), "the block stands");
    let process = daemon.process().to_string();
    let freed = Command::new("nsenter")
        .args(["--target", &process, "--mount", "chattr", "-i"])
        .args(["history", "blocked", "hosts.deny"].map(|file| directory.join(file)))
        .status();
    assert!(freed.is_ok_and(|status| status.success()));
    let inside = Path::new("/proc")
        .join(&process)
        .join("root")
        .join(directory.strip_prefix("/").expect("an absolute path"));
    assert_written(&daemon, &sources, |file| fs::read_to_string(inside.join(file)).unwrap_or_default());
    assert_told_once(&daemon);
}

#[test]
fn a_daemon_that_dies_before_it_could_write_has_it_written_by_the_next() {
    let lab = Lab::new();
    let directory = lab.files().join("late");
    let setup = with_files_in(lab.portsentry("-stcp"), &directory);
    let daemon = setup.start();
    let sources = [block(&daemon), block(&daemon)];
    daemon.log().wait_for("late/blocked can't be replaced");
    daemon.kill();
    fs::create_dir(&directory).expect("a directory");
    let daemon = setup.start();
    assert_written(&daemon, &sources, |file| fs::read_to_string(directory.join(file)).unwrap_or_default());
}

#[test]
fn lines_of_the_blocked_file_that_make_no_sense() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let [whole, bare] = [lab.source(Family::V4), lab.source(Family::V4)];
    let text = format!(
        "1795389179 - 11/22/2026 23:12:59 Host: {whole}/{whole} Port: 1 TCP Blocked\nno.such.host\n{bare}\n\
         1795389179 - 11/22/2026 23:12:59 Host: 192.0.2.9/192.0.2"
    );
    let path = setup.path("BLOCKED_FILE");
    fs::write(&path, text).expect("a file that was cut short");
    let daemon = setup.start();
    let mut blocked = daemon.blocked();
    blocked.sort_unstable();
    assert_eq!(blocked, [whole, bare], "what can be read counts");
    let config = path.display();
    for line in [2, 4] {
        let problem = |found: &String| {
            found.contains(&format!("{config}: ")) && found.contains(&format!("line {line}"))
        };
        assert!(daemon.log().lines().iter().any(problem), "line {line}: {:#?}", daemon.log().lines());
    }
    daemon.wait_until("the file is put right", || daemon.file("BLOCKED_FILE").len() == 2);
}

#[test]
fn a_link_of_somebody_elses_is_not_followed() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let victim = lab.files().join("victim");
    fs::write(&victim, "precious\n").expect("a file");
    for file in ["HISTORY_FILE", "BLOCKED_FILE", "WRAPPER_HOSTS_DENY"] {
        let path = setup.path(file);
        std::os::unix::fs::symlink(&victim, &path).expect("a link");
        std::os::unix::fs::lchown(&path, Some(65534), None).expect("somebody else's link");
    }
    let daemon = setup.start();
    let source = block(&daemon);
    for file in ["portsentry.history", "portsentry.blocked", "hosts.deny"] {
        let said = |line: &String| line.contains("ERROR: ") && line.contains(file);
        daemon.wait_until("it is refused", || daemon.log().lines().iter().any(said));
    }
    assert_eq!(fs::read_to_string(&victim).expect("it is there"), "precious\n");
    assert!(daemon.blocked().contains(&source));
}

/// Runs a command with the daemon's mounts.
fn run_inside(daemon: &Daemon<'_>, words: &[&str]) {
    let process = daemon.process().to_string();
    let status = Command::new("nsenter").args(["--target", &process, "--mount"]).args(words).status();
    assert!(status.is_ok_and(|status| status.success()), "{words:?}");
}

#[test]
fn bpffs_that_is_unmounted_under_a_daemon_of_roots() {
    unmount_under("root");
}

#[test]
fn bpffs_that_is_unmounted_under_somebody_elses_daemon() {
    unmount_under("nobody");
}

/// Unmounts bpffs under the daemon, mounts it again, and kills the daemon: blocked sources stay blocked throughout.
fn unmount_under(user: &str) {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    // No other bpffs is below it.
    let mount = "umount --lazy /sys/fs/bpf; mount -t bpf bpf /sys/fs/bpf; exec \"$@\"";
    let daemon = lab.portsentry("-stcp").with("RUN_AS", user).start_in(by_way_of(mount));
    let mounts = File::open(format!("/proc/{}/ns/mnt", daemon.process())).expect("its mounts");
    let mut sources = Vec::new();
    let another_is_blocked = |sources: &mut Vec<IpAddr>| {
        let source = lab.source(Family::V4);
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
        sources.push(source);
    };
    let assert_dropped = |sources: &[IpAddr]| {
        for source in sources {
            assert!(!service.answers(&lab.scanner, *source, Reach::Unexpected), "{source} gets through");
        }
    };
    another_is_blocked(&mut sources);

    run_inside(&daemon, &["umount", "--lazy", "/sys/fs/bpf"]);
    let trouble = "is hidden because bpffs was unmounted";
    daemon.log().wait_for(trouble);
    // Now no pins remain for a later session to take over.
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for("ERROR: the pins are hidden because bpffs is unmounted: mount bpffs first");
    assert_dropped(&sources);
    another_is_blocked(&mut sources);
    assert_dropped(&sources);

    run_inside(&daemon, &["mount", "-t", "bpf", "bpf", "/sys/fs/bpf"]);
    daemon.log().wait_for(&format!("All maps and links are pinned in {} again", lab.pins().display()));
    assert_eq!(daemon.log().count(trouble), 1, "it is said once");
    another_is_blocked(&mut sources);
    assert_dropped(&sources);
    let inside = Path::new("/proc").join(daemon.process().to_string()).join("root");
    let pins = inside.join(lab.pins().strip_prefix("/").expect("an absolute path"));
    assert_eq!(fs::read_dir(pins.join("links")).expect("pins").count(), 1);
    assert_eq!(daemon.log().count("eth0: "), 1, "the program was replaced in place, not attached anew");
    assert_eq!(counter(&pins, "blocked"), 3, "the maps are those from before");

    daemon.kill();
    assert!(lab.is_attached(), "the new pins hold");
    assert_dropped(&sources);
    service.assert_open_to_bystander(&lab);
    // This removes the pins.
    drop(mounts);
}

#[test]
fn links_that_are_removed_under_the_daemon_stay_away_until_it_is_told() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").start();
    let source = block(&daemon);
    remove_pins(&lab.pins().join("links"));
    daemon.log().wait_for("was removed while the daemon was running, which detached the program; SIGHUP");
    assert!(service.answers(&lab.scanner, source, Reach::Expected), "locked-out sources get through");
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for("Configuration reloaded");
    daemon.wait_until("it is attached again", || lab.is_attached());
    assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
}
