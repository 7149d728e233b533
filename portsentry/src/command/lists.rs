//! `portsentry lists`: prints the block lists, with their entries and hits.

use super::{
    looked, observed, options, show,
    table::{self, Align},
    zone::Zone,
};
use crate::{
    cli::{Cli, Lists},
    control::Request,
    exit::Exit,
    inspect::lists::{self, ListState},
};

/// Prints the lists.
pub(super) fn run(cli: &Cli, arguments: Lists) -> Exit {
    let config = options::config(cli);
    let lists = match looked::look(&config, || lists::read(&config), &Request::Lists {}) {
        Ok(lists) => lists,
        Err(exit) => return exit,
    };
    let text =
        if arguments.json { observed::json(&lists) } else { render(&lists, &Zone::new(arguments.utc)) };
    show::print(&text)
}

fn render(lists: &[ListState], zone: &Zone) -> String {
    use Align::{Left, Right};
    if lists.is_empty() {
        return "no block list has an entry\n".into();
    }
    let times = zone.heading("CHANGED");
    let columns = [
        ("LIST", Left),
        ("HOSTS", Right),
        ("NETWORKS", Right),
        ("IN FORCE", Right),
        ("DROPPED", Right),
        (times.as_str(), Left),
        ("ERROR", Left),
    ];
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let row = |list: &ListState| {
        [
            list.name.clone(),
            list.hosts.to_string(),
            list.networks.to_string(),
            or_none(list.in_force.map(|count| count.to_string())),
            or_none(list.dropped.map(|count| count.to_string())),
            or_none(list.modified.map(|time| zone.show(time.0))),
            or_none(list.problem.clone()),
        ]
    };
    table::render(columns, &lists.iter().map(row).collect::<Vec<_>>())
}
