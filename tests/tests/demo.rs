//! The demonstration at the start of the README: its output matches the README, and it leaves nothing behind, even
//! if interrupted.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::SystemTime,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use portsentry_tests::{document, lab::binary};
use regex::Regex;
use tempfile::TempDir;

/// The last line of a complete demonstration.
const END: &str =
    "The scan was detected, logged and dropped. Nothing of this demonstration is left on the machine.";

/// Returns the built xtask program.
fn xtask() -> PathBuf {
    let test = env::current_exe().expect("a test knows where it is");
    let xtask = test.ancestors().nth(2).expect("a test is below a directory of targets").join("xtask");
    assert!(xtask.exists(), "{} is missing: run `cargo build -p xtask`", xtask.display());
    xtask
}

/// A running demonstration in its own process group, as under a terminal.
struct Demo {
    child: Child,
    files: TempDir,
    before: BTreeMap<PathBuf, SystemTime>,
}

impl Demo {
    fn start() -> Self {
        let before = of_the_system();
        let files = TempDir::with_prefix("portsentry-test-demo-").expect("a directory");
        let mut command = Command::new(xtask());
        command.args(["demo", "--daemon"]).arg(binary()).env("TMPDIR", files.path()).process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Self { child: child.expect("the demonstration starts"), files, before }
    }

    /// Reads its output until a line contains `text`. Returns all lines so far.
    fn follow(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for line in BufReader::new(self.child.stdout.as_mut().expect("a pipe")).lines() {
            lines.push(line.expect("a line"));
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
        panic!("the demonstration ended without \"{text}\":\n{}", lines.join("\n"));
    }

    /// Waits for its end, and checks that nothing of it remains. Returns whether it succeeded, and its errors.
    fn end(self) -> (bool, String) {
        let ended = self.child.wait_with_output().expect("it ends");
        let namespaces = Command::new("ip").arg("netns").output().expect("`ip` of iproute2").stdout;
        let namespaces = String::from_utf8_lossy(&namespaces).into_owned();
        assert!(!namespaces.contains("portsentry-demo"), "{namespaces}");
        assert!(!Path::new("/sys/fs/bpf/portsentry-demo").exists(), "its pins are left");
        let left: Vec<_> = fs::read_dir(self.files.path()).expect("a directory").collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(of_the_system(), self.before, "the system's own files have changed");
        (ended.status.success(), String::from_utf8_lossy(&ended.stderr).into_owned())
    }
}

/// Returns the daemon's files at their default paths, with modification times.
fn of_the_system() -> BTreeMap<PathBuf, SystemTime> {
    let directories = ["/run/portsentry", "/var/lib/portsentry"].map(PathBuf::from);
    let entries = directories.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten();
    let files = entries.map(|entry| entry.expect("an entry").path());
    let all = files.collect::<Vec<_>>().into_iter().chain(directories);
    all.filter_map(|path| Some((path.clone(), path.symlink_metadata().ok()?.modified().ok()?))).collect()
}

/// Returns the README's lines of its output.
fn shown() -> Vec<String> {
    let text = document::read("README.md");
    let (_, after) = text.split_once("the output of `cargo xtask demo`").expect("a picture");
    let (_, after) = after.split_once("-->").expect("the end of a comment");
    let lines = after.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    let lines = lines.map(|line| line.trim().to_owned());
    lines.filter(|line| !line.is_empty() && line != "...").collect()
}

/// Replaces the variable parts of a line: ports, counts, times, and the directory of the files.
fn general(line: &str) -> String {
    let number = Regex::new(r"\d+").expect("a pattern");
    let directory = Regex::new(r"/\S*/portsentry-demo-\w+/").expect("a pattern");
    number.replace_all(&directory.replace_all(line.trim(), ""), "0").into_owned()
}

#[test]
fn the_demonstration_shows_what_the_readme_says_and_leaves_nothing_behind() {
    let mut demo = Demo::start();
    let lines = demo.follow(END);
    let (succeeded, problem) = demo.end();
    assert!(succeeded, "{problem}");
    let fenced = |octets: &str| lines.iter().any(|line| line.contains(&format!("\"octets\": [{octets}")));
    assert!(fenced("192,0,2,2") && fenced("32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,2"), "{}", lines.join("\n"));
    let printed: Vec<_> = lines.iter().map(|line| general(line)).collect();
    let mut rest = printed.iter();
    for line in shown() {
        let line = general(&line);
        assert!(
            rest.any(|found| *found == line),
            "\"{line}\" isn't there, or not in its place: {printed:#?}"
        );
    }
    assert!(shown().len() > 20, "the README shows it");

    // Interrupted once by the terminal, which signals the whole group, and once by a signal to only this process.
    for (moment, signal, everybody) in [
        ("The scanner probes eleven ports over IPv6", Signal::SIGINT, true),
        ("portsentry starts", Signal::SIGTERM, false),
    ] {
        let mut demo = Demo::start();
        demo.follow(moment);
        let process = demo.child.id().cast_signed();
        kill(Pid::from_raw(if everybody { -process } else { process }), signal).expect("a signal is sent");
        let (succeeded, problem) = demo.end();
        assert!(!succeeded && problem.contains("interrupted"), "{moment}: {problem}");
    }
}
