use std::{
    fs::{self, File},
    io::Read,
    net::IpAddr,
    os::{fd::AsRawFd, unix::process::ExitStatusExt},
    path::Path,
    sync::mpsc::{Receiver, channel},
};

use nix::{errno::Errno, sys::signal::kill, sys::stat::Mode, unistd::Pid};

use super::*;
use crate::config::Config;

const PATIENCE: Duration = Duration::from_secs(30);
const BRIEF: Settings =
    Settings { time_limit: Duration::from_secs(1), grace: Duration::from_millis(100), at_once: 8, queue: 16 };

fn start(settings: Settings) -> (Runner, Receiver<Ran>) {
    let (sender, receiver) = channel();
    (Runner::start(settings, move |ran| sender.send(ran).unwrap()).unwrap(), receiver)
}

fn task(argv: &[&str]) -> Task {
    let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
    Task { purpose: Purpose::Command, shown: argv.join(" "), argv, id: None }
}

fn job(source: u8, tasks: Vec<Task>) -> Job {
    Job { network: IpAddr::from([192, 0, 2, source]).into(), tasks }
}

/// Runs one command, and returns its outcome.
fn outcome(settings: Settings, argv: &[&str]) -> Outcome {
    let (runner, ran) = start(settings);
    runner.submit(job(1, vec![task(argv)])).unwrap();
    let outcome = ran.recv_timeout(PATIENCE).unwrap().outcome;
    runner.stop(PATIENCE);
    outcome
}

fn said(argv: &[&str]) -> String {
    match outcome(Settings::default(), argv) {
        Outcome::Done(output) => output.to_string(),
        other => panic!("{argv:?} {other}"),
    }
}

/// Returns the process whose number a command has printed.
fn process(output: &Output) -> Pid {
    Pid::from_raw(output.to_string().parse().unwrap())
}

/// Creates a named pipe at `path`. Returns it with a channel that reports when all its writers have closed it.
fn lifeline(path: &Path) -> (String, Receiver<()>) {
    nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap();
    let (sender, receiver) = channel();
    let name = path.to_str().unwrap().to_owned();
    let path = path.to_owned();
    thread::spawn(move || {
        File::open(path).unwrap().read_to_end(&mut Vec::new()).unwrap();
        sender.send(()).unwrap();
    });
    (name, receiver)
}

#[test]
fn each_ending_is_told_apart() {
    for (argv, expected) in [
        (&["true"][..], "succeeded"),
        (&["echo", "done"], "succeeded, saying \"done\""),
        (&["sh", "-c", "echo no; echo way >&2; exit 3"], "failed with exit status: 3, saying \"no\\nway\""),
        (&["sh", "-c", "kill -9 $$"], "failed with signal: 9 (SIGKILL)"),
        (&["/does/not/exist"], "could not be started: No such file or directory (os error 2)"),
        (&["/etc/passwd"], "could not be started: Permission denied (os error 13)"),
        (&["echo", "a\0b"], "could not be started: nul byte found in provided data"),
        (&[], "could not be started: there is no program to run"),
    ] {
        let outcome = outcome(Settings::default(), argv);
        assert_eq!(outcome.to_string(), expected, "{argv:?}");
        assert_eq!(outcome.is_done(), expected.starts_with("succeeded"));
    }
}

#[test]
fn a_job_goes_on_in_order_after_a_failure() {
    let (runner, ran) = start(Settings::default());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("order");
    let append = |word: &str, status| {
        task(&["sh", "-c", "echo $2 >> \"$1\"; exit $3", "sh", file.to_str().unwrap(), word, status])
    };
    runner.submit(job(1, vec![append("one", "0"), append("two", "1"), task(&["/none"])])).unwrap();
    runner.submit(job(1, vec![append("three", "0")])).unwrap();
    runner.stop(PATIENCE);
    let outcomes: Vec<bool> = ran.iter().map(|ran| ran.outcome.is_done()).collect();
    assert_eq!(outcomes, [true, false, false, true]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "one\ntwo\nthree\n");
}

#[test]
fn commands_of_different_sources_run_side_by_side() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let path = pipe.to_str().unwrap();
    let (runner, ran) = start(Settings::default());
    // Each waits for the other.
    runner.submit(job(1, vec![task(&["cat", path])])).unwrap();
    runner.submit(job(2, vec![task(&["sh", "-c", "echo met > \"$1\"", "sh", path])])).unwrap();
    runner.stop(PATIENCE);
    let mut ends: Vec<String> = ran.iter().map(|ran| ran.outcome.to_string()).collect();
    ends.sort();
    assert_eq!(ends, ["succeeded", "succeeded, saying \"met\""]);
}

#[test]
fn a_command_gets_a_clean_surrounding() {
    let open = File::open("/etc/passwd").unwrap();
    // Unlike files that Rust opens, this one survives an exec.
    let inherited = nix::unistd::dup(&open).unwrap();
    assert!(inherited.as_raw_fd() > 2);

    let environment = said(&["env"]);
    let names: Vec<&str> = environment.split("\\n").filter_map(|line| line.split('=').next()).collect();
    assert!(names.iter().all(|name| ["PATH", "LANG"].contains(name)) && names.len() == 2, "{environment}");
    assert_eq!(said(&["cat"]), "");
    assert_eq!(said(&["pwd"]), "/");
    // The fourth is the listed directory itself.
    assert_eq!(said(&["ls", "/proc/self/fd"]), "0\\n1\\n2\\n3");
    // Its process group, proc_pid_stat(5).
    assert_eq!(said(&["sh", "-c", "cut -d' ' -f5 /proc/$$/stat | grep -cx $$"]), "1");
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_all_that_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let (runner, ran) = start(BRIEF);
    let lifelines = (1..).zip([
        "sleep 1000 & wait",
        // The leader ends when asked to, but its child doesn't.
        "(trap '' TERM; sleep 1000) & wait",
        "trap '' TERM; while :; do sleep 1000; done",
        "yes & yes",
    ]);
    let lifelines: Vec<_> = lifelines
        .map(|(source, script)| {
            let (path, ended) = lifeline(&directory.path().join(script.len().to_string()));
            let script = format!("exec 3> \"$1\"; {script}");
            runner.submit(job(source, vec![task(&["sh", "-c", &script, "sh", &path])])).unwrap();
            (script, ended)
        })
        .collect();
    for (script, ended) in lifelines {
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(()), "{script}");
    }
    runner.stop(PATIENCE);
    let outcomes: Vec<Outcome> = ran.iter().map(|ran| ran.outcome).collect();
    assert_eq!(outcomes.len(), 4);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::TimedOut(_))), "{outcomes:?}");
}

#[test]
fn what_a_command_leaves_behind_does_not_hold_it_up() {
    let directory = tempfile::tempdir().unwrap();
    let (path, ended) = lifeline(&directory.path().join("lifeline"));
    let script = "exec 3> \"$1\"; sleep 1000 & echo $!";
    let outcome = outcome(Settings::default(), &["sh", "-c", script, "sh", &path]);
    let Outcome::Done(output) = outcome else { panic!("{outcome}") };
    assert_eq!(ended.try_recv().ok(), None);
    kill(process(&output), nix::sys::signal::SIGKILL).unwrap();
    assert_eq!(ended.recv_timeout(PATIENCE), Ok(()));
}

#[test]
fn much_output_is_cut_and_never_blocks_the_command() {
    let script = "head -c 1000000 /dev/zero | tr '\\0' x; exit 4";
    let outcome = outcome(Settings::default(), &["sh", "-c", script]);
    let Outcome::Failed { status, output } = outcome else { panic!("{outcome}") };
    assert_eq!(status.into_raw() >> 8, 4);
    assert_eq!(output.to_string(), "x".repeat(4096) + " [...]");
}

#[test]
fn stopping_leaves_no_process_behind() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let endless = "echo $$; exec 3> \"$1\"; exec sleep 1000";
    let (runner, ran) = start(Settings::default());
    let tasks =
        ["echo $$", endless, "true"].map(|script| task(&["sh", "-c", script, "sh", pipe.to_str().unwrap()]));
    runner.submit(job(1, tasks.into())).unwrap();
    let first = ran.recv_timeout(PATIENCE).unwrap();
    // Opens once the second command does.
    let mut open = File::open(&pipe).unwrap();
    runner.stop(Duration::ZERO);
    assert_eq!(open.read(&mut [0]).unwrap(), 0);
    let outcomes: Vec<Outcome> = [first].into_iter().chain(ran).map(|ran| ran.outcome).collect();
    let [Outcome::Done(first), Outcome::Stopped(hung), Outcome::Refused] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    for output in [first, hung] {
        assert_eq!(kill(process(output), None), Err(Errno::ESRCH), "{output}");
    }
}

/// `$MODE$` stands for any macro here, because only its text is free.
#[test]
fn nothing_that_a_macro_stands_for_is_run() {
    let directory = tempfile::tempdir().unwrap();
    let marker = directory.path().join("owned");
    let marker = marker.to_str().unwrap();
    let attacks = [
        format!("$(touch {marker})"),
        format!("`touch {marker}`"),
        format!("; touch {marker} #"),
        format!("\n touch {marker}\n"),
        format!("' ; touch {marker} ; '"),
        format!("\" ; touch {marker} ; \""),
        format!("'\"$(touch {marker})\"'"),
        format!("|| touch {marker} & > {marker}"),
        "-n --help ~ * ${PATH} $$ \\ \u{1b}[2J".to_owned(),
    ];
    let templates = [
        "printf %s $MODE$",
        "printf %s '$MODE$'",
        "printf %s \\$MODE$",
        "printf %s $MODE$ | cat",
        "printf %s '$MODE$' && :",
        "X=$MODE$ printenv X",
    ];
    let (runner, ran) = start(Settings { queue: 1000, ..Settings::default() });
    for template in templates {
        let (config, _) = Config::parse(&format!("KILL_RUN_CMD=\"{template}\""), "test").unwrap();
        for attack in &attacks {
            let values = Values {
                target: IpAddr::from([192, 0, 2, 9]).into(),
                port: 1,
                mode: attack,
                proof: "none",
                reason: "",
                until: None,
                id: None,
            };
            let task = Task::new(Purpose::Command, config.kill_run_cmd.as_ref().unwrap(), &values);
            runner.submit(job(9, vec![task])).unwrap();
            let Outcome::Done(output) = ran.recv_timeout(PATIENCE).unwrap().outcome else {
                panic!("{template}")
            };
            assert_eq!(output, Output::new(attack.as_bytes()), "{template}");
        }
    }
    runner.stop(PATIENCE);
    assert!(!Path::new(marker).exists());
}

#[test]
fn a_full_queue_gives_the_job_back_at_once() {
    let (runner, ran) = start(Settings { at_once: 1, queue: 1, ..Settings::default() });
    let hold = task(&["sleep", "1000"]);
    let mut taken = 0;
    let refused = loop {
        match runner.submit(job(taken, vec![hold.clone(), task(&["true"])])) {
            Ok(()) => taken += 1,
            Err(job) => break job,
        }
    };
    // One may have left the queue and be running.
    assert!((1..=2).contains(&taken), "{taken}");
    assert_eq!(refused.network, IpAddr::from([192, 0, 2, taken]).into());
    assert!(refused.refused().map(|ran| ran.outcome.to_string()).eq(["was not run: the queue is full"; 2]));
    runner.stop(Duration::ZERO);
    assert_eq!(ran.iter().count(), usize::from(taken) * 2);
}
