//! `portsentry-share`: carries words about blocks between the gateways of a fleet. It has no privileges; the daemon decides
//! what becomes of a word.

mod blocks;
mod certificate;
mod claims;
mod config;
mod create;
mod crowdsec;
mod daemon;
mod feed;
mod fleet;
mod init;
mod log;
mod nats;
mod reference;
mod run;
mod ways;

use std::process::ExitCode;

use clap::Parser;
use portsentry::{
    cli::{Share, ShareAction},
    exit::Exit,
};

/// Carries words about blocks between the gateways of a fleet
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    share: Share,
    /// Print the settings, for the documentation
    #[arg(long, hide = true)]
    reference: bool,
}

fn main() -> ExitCode {
    let Cli { share: Share { file, check, action }, reference } = Cli::parse();
    if reference {
        print!("{}", reference::text());
        return Exit::Success.into();
    }
    if let Some(ShareAction::Init(init)) = action {
        return init::run(&init).into();
    }
    let (config, report) = match config::load(&file) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return Exit::Configuration.into();
        }
    };
    if !report.is_empty() {
        eprintln!("{report}");
    }
    let identity = if config.is_fleet() {
        match nats::Identity::load(&config.authority, &config.certificate, &config.key) {
            Ok(identity) => Some(identity),
            Err(error) => {
                eprintln!("portsentry-share: {error}");
                return Exit::Configuration.into();
            }
        }
    } else {
        None
    };
    let exit = if check {
        println!("OK. {}", config.summary());
        Exit::Success
    } else {
        match (action, identity) {
            (Some(ShareAction::Create {}), Some(identity)) => create::run(&config, &identity),
            (Some(_), _) => {
                eprintln!("portsentry-share: {}: SERVERS is missing", file.display());
                Exit::Configuration
            }
            (None, identity) => run::run(config, identity.as_ref()),
        }
    };
    exit.into()
}
