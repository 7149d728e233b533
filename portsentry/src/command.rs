//! What the command line starts: a file a command. It must not hold what the daemon does.

mod background;
mod check;
mod doctor;
mod history;
mod hold;
mod list;
mod observed;
mod options;
pub mod papers;
mod run;
mod show;
mod status;
mod table;

use crate::{
    cli::{Cli, Verb},
    exit::Exit,
    sink::Change,
};

/// Does what the command line says. What goes wrong is said on standard error.
#[must_use]
pub fn run(cli: &Cli) -> Exit {
    match &cli.verb {
        None => run::run(cli),
        Some(Verb::Check) => check::run(cli),
        Some(Verb::List(list)) => list::run(cli, list),
        Some(Verb::Status(status)) => status::run(cli, *status),
        Some(Verb::Block(named)) => hold::run(cli, Change::Block, named),
        Some(Verb::Unblock(named)) => hold::run(cli, Change::Unblock, named),
        Some(Verb::History(history)) => history::run(cli, history),
        Some(Verb::Doctor(doctor)) => doctor::run(cli, *doctor),
        Some(Verb::Completions { shell }) => papers::completions(*shell),
        Some(Verb::Man { command }) => papers::man(command.as_deref()),
    }
}
