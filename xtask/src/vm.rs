//! `cargo xtask vm`: tests the kernel program on other kernels, each in a virtual machine (qemu).

mod guest;
mod initramfs;
mod linux;
mod machine;
mod modules;

use std::{thread, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use self::{guest::Guest, linux::Linux, machine::Machine};
use crate::{build_ebpf, daemon, paths, setup, shell};

/// Options, and the kernels to test.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Use KVM instead of emulation: faster, where available
    #[arg(long)]
    kvm: bool,
    /// Time limit of a machine in seconds
    #[arg(long, default_value_t = 900)]
    patience: u64,
    /// Arguments of the test program, once per run
    #[arg(long = "run", value_name = "ARGUMENTS", allow_hyphen_values = true, default_values = guest::RUNS)]
    runs: Vec<String>,
    /// Flavour of Debian's kernels: `cloud-amd64`, or `amd64` with all drivers
    #[arg(long, default_value = "cloud-amd64")]
    flavour: String,
    /// Kernel series; the newest known to apt is used
    #[arg(default_values = ["6.1", "6.12"])]
    series: Vec<String>,
}

/// Fetches the kernels, builds the tests, and boots all machines at the same time. Fails if a machine fails.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::vm()?;
    let find = |series: &String| Linux::find_or_fetch(series, &arguments.flavour);
    let kernels = arguments.series.iter().map(find).collect::<Result<Vec<_>>>()?;
    build_ebpf::run()?;
    shell::step("building the daemon and the tests (two minutes the first time)");
    shell::run(&mut daemon::daemon())?;
    let guest = Guest::build(&arguments.runs)?;
    let machines: Vec<_> = kernels.iter().map(|linux| machine(&guest, linux)).collect::<Result<_>>()?;
    shell::step("booting");
    let patience = Duration::from_secs(arguments.patience);
    let run = |machine: &Machine| machine.run(arguments.kvm, patience);
    let ended: Vec<_> = thread::scope(|scope| {
        let started: Vec<_> = machines.iter().map(|machine| scope.spawn(|| run(machine))).collect();
        started.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let mut failed = Vec::new();
    for (linux, ended) in kernels.iter().zip(ended) {
        match ended {
            Ok(Ok(took)) => println!("Linux {}: passed in {} s", linux.release, took.as_secs()),
            Ok(Err(error)) => failed.push(format!("Linux {}: {error:#}", linux.release)),
            Err(_) => bail!("a thread panicked"),
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

fn machine(guest: &Guest, linux: &Linux) -> Result<Machine> {
    let folder = paths::vm();
    let initramfs = folder.join(format!("linux-{}.cpio", linux.series));
    guest.pack(linux, &initramfs).with_context(|| format!("making {}", initramfs.display()))?;
    Ok(Machine {
        name: linux.series.clone(),
        kernel: linux.image.clone(),
        initramfs,
        log: folder.join(format!("linux-{}.log", linux.series)),
    })
}
