//! The `portsentry` command.

use std::process::ExitCode;

use portsentry::{cli::Cli, command, exit::Exit};

fn main() -> ExitCode {
    match Cli::read(std::env::args_os()) {
        Ok(cli) => command::run(&cli).into(),
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            // If this can't be written, nothing can.
            let _ = error.print();
            exit.into()
        }
    }
}
