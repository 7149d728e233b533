//! `portsentry list --would`: lists the sources that would have been blocked or fenced.

use super::super::{
    looked, observed, show,
    table::{self, Align},
    zone::Zone,
};
use crate::{
    cli::{Format, List},
    config::Config,
    control::Request,
    exit::Exit,
    inspect::would::{self, Would, WouldBe},
    policy::name_of,
};

/// Ports shown in a row.
const PORTS: usize = 5;

/// Prints the list.
pub(super) fn run(config: &Config, list: &List) -> Exit {
    let read = || would::read(config, &list.selection, usize::MAX);
    let WouldBe { sources, left_out } =
        match looked::look(config, read, &Request::List(list.selection.clone())) {
            Ok(would) => would,
            Err(exit) => return exit,
        };
    looked::tell_left_out(&list.selection, sources.len(), left_out);
    let text = match list.format {
        Some(Format::Json) => observed::json(&sources),
        Some(_) => {
            eprintln!("portsentry: --would lists sources that are not blocked: print a table, or --json");
            return Exit::Usage;
        }
        None if list.json => observed::json(&sources),
        None => render(&sources, &Zone::new(list.utc)),
    };
    show::print(&text)
}

fn render(sources: &[Would], zone: &Zone) -> String {
    use Align::{Left, Right};
    if sources.is_empty() {
        return "no source would have been blocked or fenced\n".into();
    }
    let times = zone.heading("FIRST");
    let columns = [
        ("ADDRESS", Left),
        ("WOULD BE", Left),
        (times.as_str(), Left),
        ("LAST", Left),
        ("KIND", Left),
        ("PACKETS", Right),
        ("PORTS", Left),
    ];
    let row = |would: &Would| {
        [
            name_of(would.address),
            would.state.name().into(),
            zone.show(would.first.0),
            zone.show(would.last.0),
            would.kind.clone(),
            would.packets.to_string(),
            would.named_ports(PORTS),
        ]
    };
    table::render(columns, &sources.iter().map(row).collect::<Vec<_>>())
}
