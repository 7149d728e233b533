//! `cargo xtask test`: sets up, builds and runs every test, or those that match a filter.

mod alone;

use std::{env, ffi::OsString, io, process::Command, thread};

use anyhow::Result;
use clap::Args;

use crate::{
    arch::Target,
    build_ebpf,
    daemon::{cargo, daemon},
    image, package, paths, repository,
    scope::Scope,
    setup, shell, trees,
};

/// Tests that run at the same time per processor. Tests mostly wait.
const ABREAST: usize = 4;

/// Debian packages that tests install on their machines, as `PACKAGE.deb`.
const FETCHED: [&str; 3] = ["fail2ban", "portsentry", "python3-systemd"];

/// The tests to run.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Part of a test's path, such as `proof::` for all of `tests/tests/proof.rs`; then, or without it, arguments for
    /// `cargo test`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    cargo: Vec<OsString>,
}

/// Installs and builds the dependencies of the tests, and runs them.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let first = arguments.cargo.first().and_then(|first| first.to_str());
    let scope = Scope::of(first.filter(|first| !first.starts_with('-')))?;
    let takes_ignored = arguments.cargo.iter().any(|word| word == "--ignored" || word == "--include-ignored");
    prepare(&scope, takes_ignored)?;
    let mut all = cargo("test");
    if env::var_os("RUST_TEST_THREADS").is_none() {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        all.env("RUST_TEST_THREADS", (ABREAST * processors).to_string());
    }
    all.arg("--no-fail-fast").args(scope.arguments()).args(&arguments.cargo);
    // CI's machine may be busy with other work.
    if env::var_os("CI").is_some() {
        alone::run(&mut all, |name| one(&scope, name), &mut io::stdout())
    } else {
        shell::run(&mut all)
    }
}

/// Returns the command that runs one test, with the packages that `scope` built.
fn one(scope: &Scope, name: &str) -> Command {
    let mut cargo = cargo("test");
    cargo.args(scope.arguments()).args(["--", "--exact", name]);
    cargo
}

fn prepare(scope: &Scope, takes_ignored: bool) -> Result<()> {
    if scope.takes_daemon() {
        setup::scan()?;
    }
    build_ebpf::run()?;
    if scope.takes_daemon() {
        shell::step("building the daemon and the tests (two minutes the first time)");
        shell::run(&mut daemon(Target::default()))?;
    }
    let takes_bare = takes_ignored && scope.says(".boot_bare(");
    // The packages for tests on whole Debian machines.
    if takes_bare || scope.says(".boot()") {
        package::for_tests(Target::default())?;
    }
    if takes_bare {
        trees::make()?;
        repository::for_tests()?;
    }
    if takes_ignored && scope.says("podman") {
        setup::deployments()?;
        image::run(&image::FOR_TESTS)?;
    }
    for package in FETCHED {
        let file = format!("{package}.deb");
        if scope.says(&file) {
            setup::fetch(package, Target::default(), &paths::target().join("debian").join(file))?;
        }
    }
    if ["Fleet::new", "nats-server"].iter().any(|words| scope.says(words)) {
        setup::fleet()?;
    }
    if scope.says("CrowdSec::start") {
        setup::unpack("crowdsec", Target::default(), &paths::tools().join("crowdsec"))?;
    }
    if scope.says("Bird::start") {
        setup::bird()?;
    }
    if scope.says("promtool") {
        setup::unpack("prometheus", Target::default(), &paths::target().join("prometheus"))?;
    }
    if scope.says("Sshd::start") {
        for package in ["openssh-server", "libwrap0"] {
            setup::unpack(package, Target::default(), &paths::target().join("debian").join(package))?;
        }
    }
    Ok(())
}
