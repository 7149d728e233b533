//! `cargo xtask fuzz`: runs LLVM's fuzzer on each target, two at a time.
//!
//! The compiler's coverage pass (`fuzz/coverage`) needs no nightly. Almost none of the fuzzed code is unsafe, so no
//! sanitizer is needed. The corpus stays in `target/fuzz/corpus/`, so that a longer run continues where the last
//! one ended. A failing input is kept in `fuzz/findings/`, and the tests run it again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::{build_ebpf, paths, shell};

/// Number of fuzzers that run at the same time.
const ABREAST: usize = 2;

/// Runs of up to this many seconds use the tests' unoptimised build, because building an optimised one takes
/// longer.
const GLANCE: u32 = 60;

/// Targets and duration.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Seconds per target; above 60, everything is built to run two to four times as fast, which takes five minutes
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Only build the fuzzer
    #[arg(long)]
    no_run: bool,
    /// Targets; all if none is named
    targets: Vec<String>,
}

/// Builds the fuzzer and runs it on the targets. Fails if it finds a failing input.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !paths::object().exists() {
        build_ebpf::run()?;
    }
    let fuzzer = build(arguments.seconds > GLANCE)?;
    if arguments.no_run {
        return Ok(());
    }
    let all = targets()?;
    if let Some(unknown) = arguments.targets.iter().find(|name| !all.contains(name)) {
        bail!("there is no target {unknown}; there are {}", all.join(", "));
    }
    let chosen = if arguments.targets.is_empty() { &all } else { &arguments.targets };
    shell::step(&format!("fuzzing {} for {} s each", chosen.join(", "), arguments.seconds));
    println!("{:<14} {:>12} {:>9} {:>9} {:>7}", "target", "executions", "a second", "coverage", "corpus");
    let mut failed = Vec::new();
    for pair in chosen.chunks(ABREAST) {
        let started: Vec<Run> =
            pair.iter().map(|name| Run::start(&fuzzer, name, arguments.seconds)).collect::<Result<_>>()?;
        for run in started {
            failed.extend(run.finish()?);
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

fn build(is_long: bool) -> Result<PathBuf> {
    shell::step("building the fuzzer (minutes the first time)");
    let target = paths::target();
    let (profile, folder, fuzzer) =
        if is_long { ("fuzz", target.join("fuzz"), "fuzz/fuzz") } else { ("dev", target, "debug/fuzz") };
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(paths::root())
        .args([
            "build",
            "--quiet",
            "--package",
            "portsentry-fuzz",
            "--features",
            "libfuzzer",
            "--bin",
            "fuzz",
        ])
        .args(["--profile", profile, "--target-dir"])
        .arg(&folder)
        .env("RUSTC_WORKSPACE_WRAPPER", paths::root().join("fuzz/coverage"));
    shell::run(&mut cargo)?;
    Ok(folder.join(fuzzer))
}

/// Returns the targets' names, which are the names of their files.
fn targets() -> Result<Vec<String>> {
    let folder = paths::root().join("fuzz/src/target");
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    let names = paths.iter().filter_map(|path| path.file_stem().and_then(|stem| stem.to_str()));
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    Ok(names)
}

/// A running fuzzer.
struct Run {
    name: String,
    fuzzer: Child,
    log: PathBuf,
}

impl Run {
    fn start(fuzzer: &Path, name: &str, seconds: u32) -> Result<Self> {
        let folder = paths::target().join("fuzz/corpus").join(name);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let log = paths::target().join("fuzz").join(format!("{name}.log"));
        let output = fs::File::create(&log).with_context(|| log.display().to_string())?;
        let findings = paths::root().join("fuzz/findings").join(format!("{name}-"));
        let fuzzer = Command::new(fuzzer)
            .env("FUZZ_TARGET", name)
            .env("FUZZ_SEEDS", &folder)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}", findings.display()))
            .args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048", "-max_len=2048"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .with_context(|| fuzzer.display().to_string())?;
        Ok(Self { name: name.to_owned(), fuzzer, log })
    }

    /// Waits for the end, prints its line, and returns its finding.
    fn finish(mut self) -> Result<Option<String>> {
        let status = self.fuzzer.wait()?;
        let log = fs::read(&self.log).with_context(|| self.log.display().to_string())?;
        let log = String::from_utf8_lossy(&log);
        let last = |key: &str| {
            let found = log.lines().rev().find_map(|line| line.split_once(key));
            found.and_then(|(_, rest)| rest.split_ascii_whitespace().next()).unwrap_or("-").to_owned()
        };
        println!(
            "{:<14} {:>12} {:>9} {:>9} {:>7}",
            self.name,
            last("stat::number_of_executed_units:"),
            last("stat::average_exec_per_sec:"),
            last(" cov: "),
            last(" corp: "),
        );
        let end = log.lines().rev().take(30).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>();
        Ok((!status.success()).then(|| format!("{} ended with {status}:\n{}", self.name, end.join("\n"))))
    }
}
