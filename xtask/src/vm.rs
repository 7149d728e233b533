//! `cargo xtask vm`: tests the kernel program on other kernels, each in a virtual machine (qemu).

mod cards;
mod disk;
mod emulator;
mod guest;
mod initramfs;
mod linux;
mod machine;
mod modules;

use std::{thread, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};

use self::{
    cards::Model,
    emulator::Emulator,
    guest::Guest,
    linux::Linux,
    machine::{Boots, Machine},
};
use crate::{
    arch::{Arch, Target},
    build_ebpf, daemon, package, paths, setup, shell,
};

/// Options, and the kernels to test.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Use KVM instead of emulation: faster, where available
    #[arg(long)]
    kvm: bool,
    /// Time limit of a machine in seconds: 900, or 3600 with `--systemd` or another processor
    #[arg(long)]
    patience: Option<u64>,
    /// Emulate this processor, and run Debian's base system, the package and the tests that are cross-built for it
    #[arg(long, conflicts_with = "drivers")]
    arch: Option<Arch>,
    /// Boot a machine for each of these models of network cards, all by default, and run tests with the cards
    #[arg(long, value_name = "MODELS", num_args = 0..=1, require_equals = true, value_delimiter = ',')]
    drivers: Option<Vec<Model>>,
    /// Boot Debian's base system under systemd, install the package, and run tests of boots, reboots and upgrades
    #[arg(long, conflicts_with_all = ["drivers", "arch"])]
    systemd: bool,
    /// Arguments of the test program, once per run
    #[arg(long = "run", value_name = "ARGUMENTS", allow_hyphen_values = true)]
    runs: Vec<String>,
    /// Flavour of Debian's kernels: the processor's `cloud-amd64` or `cloud-arm64`, or `amd64` with all drivers, which is the
    /// default with `--drivers`
    #[arg(long)]
    flavour: Option<String>,
    /// Kernel series, 6.1 and 6.12 by default, or 6.12 with `--drivers`, `--systemd` and another processor; the newest known to apt is used
    series: Vec<String>,
}

/// Fetches the kernels, builds the tests, and boots the machines, as many at a time as there are processors. Fails if a
/// machine fails.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let target = Target::new(arguments.arch);
    setup::vm(target)?;
    let boots = if arguments.systemd { Boots::Again } else { Boots::Once };
    // Systemd's machine has cards, too, but not for their driver's sake.
    let models = if arguments.systemd { vec![Model::Virtio] } else { models(arguments.drivers.as_deref()) };
    let has_cards = !models.is_empty();
    let processor = target.debian();
    let flavour = if has_cards { processor.to_owned() } else { format!("cloud-{processor}") };
    let flavour = arguments.flavour.as_ref().unwrap_or(&flavour);
    let (series, runs): (&[_], &[_]) = match (target.foreign(), has_cards) {
        (Some(_), _) => (&["6.12"], &guest::RUNS_OF_ANOTHER_PROCESSOR),
        (None, _) if arguments.systemd => (&["6.12"], &guest::RUNS_UNDER_SYSTEMD),
        (None, true) => (&["6.12"], &guest::RUNS_WITH_CARDS),
        (None, false) => (&["6.1", "6.12"], &guest::RUNS),
    };
    let (series, runs) = (or(&arguments.series, series), or(&arguments.runs, runs));
    let find = |series: &String| Linux::find_or_fetch(series, flavour, target);
    let kernels = series.iter().map(find).collect::<Result<Vec<_>>>()?;
    if target.foreign().is_some() || arguments.systemd {
        package::for_tests(target)?;
    } else {
        build_ebpf::run()?;
        shell::step("building the daemon and the tests (two minutes the first time)");
        shell::run(&mut daemon::daemon(target))?;
    }
    let guest = Guest::build(&runs, target, kernels.first().context("a kernel")?, boots)?;
    let mut machines = Vec::new();
    for linux in &kernels {
        if has_cards {
            for model in &models {
                machines.push(machine(&guest, linux, Some(*model))?);
            }
        } else {
            machines.push(machine(&guest, linux, None)?);
        }
    }
    shell::step("booting");
    let failed = boot(&machines, arguments)?;
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

/// Returns the models of the option's values, or all of them if it has none.
fn models(values: Option<&[Model]>) -> Vec<Model> {
    match values {
        None => Vec::new(),
        Some([]) => Model::value_variants().to_vec(),
        Some(models) => models.to_vec(),
    }
}

/// Returns the values that were given, or these.
fn or(given: &[String], default: &[&str]) -> Vec<String> {
    if given.is_empty() { default.iter().map(|it| (*it).to_owned()).collect() } else { given.to_vec() }
}

/// Runs the machines. Returns how each that failed did.
fn boot(machines: &[Machine], arguments: &Arguments) -> Result<Vec<String>> {
    let is_slow = arguments.systemd || Target::new(arguments.arch).foreign().is_some();
    let usual = if is_slow { 3600 } else { 900 };
    let patience = Duration::from_secs(arguments.patience.unwrap_or(usual));
    let abreast = thread::available_parallelism().map_or(1, usize::from);
    let mut failed = Vec::new();
    for machines in machines.chunks(abreast) {
        let ended: Vec<_> = thread::scope(|scope| {
            let start = |machine| scope.spawn(move || Machine::run(machine, arguments.kvm, patience));
            let started: Vec<_> = machines.iter().map(start).collect();
            started.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        for (machine, ended) in machines.iter().zip(ended) {
            match ended {
                Ok(Ok(took)) => println!("Linux {}: passed in {} s", machine.release, took.as_secs()),
                Ok(Err(error)) => failed.push(format!("Linux {}: {error:#}", machine.release)),
                Err(_) => bail!("a thread panicked"),
            }
        }
    }
    Ok(failed)
}

fn machine(guest: &Guest, linux: &Linux, cards: Option<Model>) -> Result<Machine> {
    let folder = paths::vm();
    let is_system = guest.boots() == Boots::Again;
    let devices = cards.filter(|_| !is_system).map(Model::name);
    let devices = devices.or_else(|| guest.target().foreign().map(Arch::debian));
    let devices = devices.or_else(|| is_system.then_some("systemd"));
    let name = devices.map_or_else(|| linux.series.clone(), |devices| format!("{}-{devices}", linux.series));
    let initramfs = folder.join(format!("linux-{name}.cpio"));
    guest.pack(linux, cards, &initramfs).with_context(|| format!("making {}", initramfs.display()))?;
    Ok(Machine {
        release: match (cards, is_system) {
            (_, true) => format!("{} with systemd", linux.release),
            (Some(model), _) => format!("{} with {}", linux.release, model.name()),
            (None, _) => linux.release.clone(),
        },
        kernel: linux.image.clone(),
        initramfs,
        log: folder.join(format!("linux-{name}.log")),
        name,
        emulator: Emulator::find_or_fetch(guest.target(), cards)?,
        cards,
        target: guest.target(),
        disks: guest.disks().to_vec(),
        boots: guest.boots(),
    })
}
