//! The `portsentry` command.

use std::{os::fd::AsFd, process::ExitCode};

use portsentry::{
    cli::Cli,
    command,
    config::Level,
    exit::Exit,
    systemd::{self, Service},
};

fn main() -> ExitCode {
    match Cli::read(std::env::args_os()) {
        Ok(mut cli) => {
            cli.service = Service::of_this_process();
            command::run(&cli).into()
        }
        Err(error) if error.use_stderr() && systemd::is_journal(std::io::stderr().as_fd()) => {
            systemd::complain(Level::Err, &error.to_string());
            Exit::Usage.into()
        }
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            // If this can't be written, nothing can.
            let _ = error.print();
            exit.into()
        }
    }
}
