//! Repeats tests that failed together with others, each by itself. A test that then passes is flaky: the run
//! reports that, and continues.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::shell;

/// More failures than this are not accidental.
const MOST: usize = 2;

/// Runs `all`, a `cargo test` command. `one` returns the command that runs a single test.
/// Their output goes to `out`.
pub(super) fn run(all: &mut Command, one: impl Fn(&str) -> Command, out: &mut dyn Write) -> Result<()> {
    let Outcome { has_passed, failed, .. } = watch(all, out)?;
    if has_passed {
        return Ok(());
    }
    let names = failed.join(", ");
    ensure!(!failed.is_empty(), "{} failed", shell::words(all));
    ensure!(failed.len() <= MOST, "{} tests failed: {names}", failed.len());
    for name in &failed {
        shell::step(&format!("once more, by itself: {name}"));
        let alone = watch(&mut one(name), out)?;
        ensure!(alone.has_passed && alone.passed.contains(name), "{name} failed twice");
    }
    shell::step(&format!("FLAKY, failed beside other tests and passed alone: {names}. Find the cause."));
    Ok(())
}

/// The end of a libtest run.
#[derive(Default)]
struct Outcome {
    /// Whether the command succeeded.
    has_passed: bool,
    passed: Vec<String>,
    failed: Vec<String>,
}

impl Outcome {
    /// Reads a line of the output.
    fn read(&mut self, line: &str) {
        let Some(outcome) = line.trim_end().strip_prefix("test ") else { return };
        if let Some(name) = outcome.strip_suffix(" ... ok") {
            self.passed.push(name.into());
        } else if let Some(name) = outcome.strip_suffix(" ... FAILED") {
            self.failed.push(name.into());
        }
    }
}

/// Runs a command, and shows its output as it comes.
fn watch(command: &mut Command, out: &mut dyn Write) -> Result<Outcome> {
    let words = shell::words(command);
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("starting {words}"))?;
    let mut outcome = Outcome::default();
    let output = child.stdout.take().context("standard output is a pipe")?;
    let mut lines = BufReader::new(output);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).with_context(|| format!("reading from {words}"))? > 0 {
        // A reader that went away doesn't end the tests.
        let _ = out.write_all(&line);
        outcome.read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    outcome.has_passed = child.wait().with_context(|| format!("waiting for {words}"))?.success();
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn failing(names: &[&str]) -> Command {
        let lines: Vec<_> = names.iter().map(|name| format!("test {name} ... FAILED")).collect();
        shell(&format!("printf '%s\\n' '{}'; exit 101", lines.join("' '")))
    }

    #[test]
    fn outcomes_are_read_from_the_output() {
        let mut outcome = Outcome::default();
        for line in [
            "test proof::a ... FAILED\n",
            "test proof::b ... ok\n",
            "test proof::c ... ignored, needs a kernel\n",
            "---- proof::a stdout ----\n",
            "test result: FAILED. 1 passed; 1 failed\n",
        ] {
            outcome.read(line);
        }
        assert_eq!((outcome.passed, outcome.failed), (vec!["proof::b".into()], vec!["proof::a".into()]));
    }

    #[test]
    fn a_flaky_test_gets_a_second_run_and_a_broken_one_fails() {
        let passes = |name: &str| shell(&format!("echo 'test {name} ... ok'"));
        let run = |mut all: Command, one: &dyn Fn(&str) -> Command| run(&mut all, one, &mut std::io::sink());
        assert!(run(shell("true"), &|_| unreachable!("nothing failed")).is_ok());
        assert!(run(failing(&["a", "b"]), &passes).is_ok());
        assert!(run(failing(&["a"]), &|name| failing(&[name])).is_err(), "it fails twice");
        assert!(run(failing(&["a"]), &|_| shell("true")).is_err(), "no test has that name");
        assert!(run(failing(&["a", "b", "c"]), &passes).is_err(), "too many");
        assert!(run(shell("exit 101"), &passes).is_err(), "it doesn't build");
    }
}
