//! Measures the kernel program's costs and those of other programs side by side.

mod answers;
mod baseline;
mod bed;
mod beside;
mod bytecode;
mod cases;
mod classic;
mod cli;
mod count;
mod curve;
mod directory;
mod figures;
mod forwarding;
mod leaving;
mod live;
mod machine;
mod paced;
mod paths;
mod picture;
mod rate;
mod report;
mod run;
mod runs;
mod scale;
mod sender;
mod sources;
mod suspects;
mod table;
mod turns;
mod veth;
mod visits;
mod xdp_filter;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
