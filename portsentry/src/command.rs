//! What the command line starts: a file a command. It must not hold what the daemon does.

mod background;
mod check;
mod list;
mod observed;
mod options;
mod run;
mod show;
mod table;

use crate::{
    cli::{Cli, Verb},
    exit::Exit,
};

/// Does what the command line says. What goes wrong is said on standard error.
#[must_use]
pub fn run(cli: &Cli) -> Exit {
    match &cli.verb {
        None => run::run(cli),
        Some(Verb::Check) => check::run(cli),
        Some(Verb::List(list)) => list::run(cli, list),
    }
}
