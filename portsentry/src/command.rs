//! The commands of the command line, one file each.

mod background;
mod block;
mod check;
mod companion;
mod doctor;
mod down;
mod events;
mod explain;
mod fleet;
pub mod gen_docs;
mod history;
mod list;
mod lists;
mod looked;
mod mode;
mod observed;
mod options;
mod peers;
mod reload;
mod report;
mod review;
mod run;
mod served;
mod setup;
mod show;
mod ssh;
mod status;
mod table;
mod top;
mod why;
mod zone;

use crate::{
    cli::{Cli, Verb},
    exit::Exit,
};

/// Runs the command. Errors go to standard error.
#[must_use]
pub fn run(cli: &Cli) -> Exit {
    match &cli.verb {
        None | Some(Verb::Run(_)) => run::run(cli),
        Some(Verb::Check(check)) => check::run(cli, *check),
        Some(Verb::List(list)) => list::run(cli, list),
        Some(Verb::Lists(arguments)) => lists::run(cli, *arguments),
        Some(Verb::Status(status)) => status::run(cli, *status),
        Some(Verb::Why(why)) => why::run(cli, *why),
        Some(Verb::Explain(explain)) => explain::run(cli, explain),
        Some(Verb::Top(top)) => top::run(cli, *top),
        Some(Verb::Served(served)) => served::run(cli, served),
        Some(Verb::Forget(forget)) => served::forget(cli, forget),
        Some(Verb::Block(block)) => block::block(cli, block),
        Some(Verb::Unblock(unblock)) => block::unblock(cli, unblock),
        Some(Verb::Peers(peers)) => peers::run(cli, peers),
        Some(Verb::Allow(allow)) => peers::allow(cli, allow),
        Some(Verb::Reload(reload)) => reload::run(cli, *reload),
        Some(Verb::Down(down)) => down::run(cli, *down),
        Some(Verb::History(history)) => history::run(cli, history),
        Some(Verb::Report(report)) => report::run(cli, report),
        Some(Verb::Events(events)) => events::run(cli, events),
        Some(Verb::Doctor(doctor)) => doctor::run(cli, *doctor),
        Some(Verb::Setup(setup)) => setup::run(cli, setup),
        Some(Verb::Confirm(confirm)) => setup::confirm(cli, *confirm),
        Some(Verb::Review(review)) => review::run(cli, *review),
        Some(Verb::Notify(arguments)) => companion::notify(arguments),
        Some(Verb::Share(arguments)) => companion::share(arguments),
        Some(Verb::Held) => list::addresses(cli),
        Some(Verb::Completions { shell }) => gen_docs::completions(*shell),
        Some(Verb::Man { command }) => gen_docs::man(command.as_deref()),
    }
}
