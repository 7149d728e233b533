//! The `portsentry` command.

use std::process::ExitCode;

use portsentry::{cli::Cli, command, exit::Exit};

fn main() -> ExitCode {
    match Cli::read(std::env::args_os()) {
        Ok(cli) => command::run(&cli).into(),
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            // Nothing is left to be told to if even this can't be written.
            let _ = error.print();
            exit.into()
        }
    }
}
