//! `cargo xtask report`: draws the report of a generated month, as the documents show it.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};
use clap::Args;

use crate::{paths, setup, shell};

/// End of the month: the start of 29 November 2026, UTC.
const END: &str = "1795910400";
/// Width and height of the picture.
const SIZE: &str = "900,1700";

/// Arguments for the picture.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The picture
    #[arg(long, value_name = "FILE", default_value = "docs/report.png")]
    picture: PathBuf,
    /// Entries of the history in that month
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000)]
    events: u32,
}

/// Generates the month, makes the report, and has Chromium draw it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::browser()?;
    let directory = tempfile::tempdir().context("a directory for the month")?;
    let at = |name: &str| directory.path().join(name).display().to_string();
    let cargo = |words: &[&str]| shell::run(Command::new("cargo").current_dir(paths::root()).args(words));
    cargo(&["build", "--quiet", "--package", "portsentry"])?;
    let example = ["run", "--quiet", "--package", "portsentry-tests", "--example", "month", "--"];
    shell::step("generating a month");
    let events = arguments.events.to_string();
    cargo(&[&example[..], &[&directory.path().display().to_string(), &events, END]].concat())?;
    // The clock of the report stands at the end of the month, and the host has a name for everybody.
    let program = paths::target().join("debug/portsentry");
    let report = format!(
        "hostname gateway.example && exec {} -c {} report --utc --since 2026-10-30 --until 2026-11-29 --html {}",
        program.display(),
        at("portsentry.conf"),
        at("report.html")
    );
    shell::run(Command::new("unshare").args(["--uts", "sh", "-c", &report]))?;
    let mut chromium = Command::new("chromium");
    chromium.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
    ]);
    chromium.arg(format!("--user-data-dir={}", at("profile"))).arg(format!("--window-size={SIZE}"));
    let picture = std::path::absolute(&arguments.picture).context("the picture's path")?;
    chromium.arg(format!("--screenshot={}", picture.display())).arg(format!("file://{}", at("report.html")));
    shell::output(&mut chromium).map(drop)
}
