//! The project's own tasks: `cargo xtask VERB`, one file each.

mod arch;
mod bench;
mod build;
mod build_ebpf;
mod daemon;
mod demo;
mod detection;
mod fuzz;
mod gen_docs;
mod image;
mod lint;
mod package;
mod paths;
mod report;
mod repository;
mod run;
mod scope;
mod setup;
mod shell;
mod test;
mod trees;
mod unsafety;
mod version;
mod vm;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(about = "Builds, runs and tests portsentry; each verb sets up what it needs")]
enum Verb {
    /// Install the dependencies for building the kernel program
    Setup,
    /// Build the kernel program
    BuildEbpf,
    /// Build the kernel program and the daemon, optimised
    Build,
    /// Build, then start the daemon as root with the given arguments
    Run(run::Arguments),
    /// Show a scan seen, logged and dropped, between two network namespaces
    Demo(demo::Arguments),
    /// Generate manual pages, completions and the settings reference from the code
    #[command(alias = "papers")]
    GenDocs,
    /// Build the Debian package
    Package(package::Arguments),
    /// Make an OCI image with the static programs
    Image(image::Arguments),
    /// Make a signed apt repository of the Debian package
    Repository(repository::Arguments),
    /// Run all tests, or those that match a filter; needs root
    Test(test::Arguments),
    /// Measure the cost of a packet, compared with xdp-filter, nftables and PortSentry 1.2; needs root
    Bench(bench::Arguments),
    /// Draw the report of a generated month
    Report(report::Arguments),
    /// Measure how well scans without traps are detected, on generated traffic
    Detection(detection::Arguments),
    /// Test the kernel program on Debian's kernels, each booted in a virtual machine
    Vm(vm::Arguments),
    /// Run the fuzzer
    Fuzz(fuzz::Arguments),
    /// Check formatting, lints, dependencies and the list of unsafe code
    Lint,
    /// Begin a new version, in all files that name it
    Version(version::Arguments),
    /// Write the list of unsafe code, docs/unsafe.md
    Unsafety,
}

fn main() -> ExitCode {
    match run(&Verb::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Setup => setup::run(),
        Verb::BuildEbpf => build_ebpf::run().map(drop),
        Verb::Build => build::run(),
        Verb::Run(arguments) => run::run(arguments),
        Verb::Demo(arguments) => demo::run(arguments),
        Verb::GenDocs => gen_docs::run(),
        Verb::Package(arguments) => package::run(arguments),
        Verb::Image(arguments) => image::run(arguments),
        Verb::Repository(arguments) => repository::run(arguments),
        Verb::Test(arguments) => test::run(arguments),
        Verb::Bench(arguments) => bench::run(arguments),
        Verb::Report(arguments) => report::run(arguments),
        Verb::Detection(arguments) => detection::run(arguments),
        Verb::Vm(arguments) => vm::run(arguments),
        Verb::Fuzz(arguments) => fuzz::run(arguments),
        Verb::Lint => lint::run(),
        Verb::Version(arguments) => version::run(arguments),
        Verb::Unsafety => unsafety::run(),
    }
}
