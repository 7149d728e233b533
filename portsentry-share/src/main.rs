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
mod routes;
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
    let identity = if config.is_fleet() && !action.as_ref().is_some_and(is_of_routes) {
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
        match (action, identity, config.routes_out.clone()) {
            (Some(ShareAction::Create {}), Some(identity), _) => create::run(&config, &identity),
            (Some(ShareAction::Routes {}), _, Some(routes)) => routes::run(&routes),
            (Some(action), ..) => {
                let lacks = if is_of_routes(&action) { "ROUTES_OUT is off" } else { "SERVERS is missing" };
                eprintln!("portsentry-share: {}: {lacks}", file.display());
                Exit::Configuration
            }
            (None, identity, _) => run::run(config, identity.as_ref()),
        }
    };
    exit.into()
}

/// Whether an action takes no keys.
const fn is_of_routes(action: &ShareAction) -> bool {
    matches!(action, ShareAction::Routes {})
}
