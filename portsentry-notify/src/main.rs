//! `portsentry-notify`: sends the daemon's events to people and services. It has no privileges; the daemon sends nothing itself.

mod channel;
mod config;
mod event;
mod fetch;
mod host;
mod log;
mod manual;
mod message;
mod pace;
mod reference;
mod route;
mod run;
mod source;
mod spool;
mod template;
mod test;
mod worker;

use std::process::ExitCode;

use clap::Parser;
use portsentry::{cli::Notify, exit::Exit};

/// Sends portsentry's events as mail, webhooks and reports
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    notify: Notify,
    /// Print the settings and the names in templates, for the documentation
    #[arg(long, hide = true)]
    reference: bool,
    /// Print the manual page of the configuration file
    #[arg(long, hide = true)]
    manual: bool,
}

fn main() -> ExitCode {
    let Cli { notify: Notify { file, check, test, fetch }, reference, manual } = Cli::parse();
    if reference {
        print!("{}", reference::text());
        return Exit::Success.into();
    }
    if manual {
        print!("{}", manual::page());
        return Exit::Success.into();
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
    let exit = if check {
        let lists =
            if config.lists.is_empty() { String::new() } else { format!(", {} lists", config.lists.len()) };
        println!("OK. {} channels{lists}", config.channels.len());
        Exit::Success
    } else if fetch {
        run::fetch(&config)
    } else if let Some(name) = test {
        test::run(&config, &name)
    } else {
        run::run(config)
    };
    exit.into()
}
