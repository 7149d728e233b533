//! `portsentry report`: makes a page of a period, from the history, the evidence and the kernel's maps.

mod progress;
mod text;

use std::{path::Path, time::SystemTime};

use portsentry_common::block::Proof;

use self::progress::Progress;
use super::{looked, observed, options, show, table, zone::Zone};
use crate::{
    cli::{self, Cli},
    config::Config,
    control::Request,
    exit::Exit,
    host,
    inspect::{
        error::Error,
        held,
        past::{Entry, Past},
        select::{Selection, Wanted},
        stream::{Extent, Stream},
    },
    instant::Time,
    policy::register::HistoryAction,
    report::{
        build::{Material, summary},
        page,
        summary::{Period, Summary},
        tally::Tally,
    },
    sandbox,
    sink::{self, origins::Origins},
};

/// Mode of a new page: it holds addresses.
const MODE: u32 = 0o640;

/// Prints the report, or writes the page.
pub(super) fn run(cli: &Cli, report: &cli::Report) -> Exit {
    let config = options::config(cli);
    let zone = Zone::new(report.utc);
    let origins = options::origins(&config);
    let summary = match read(&config, report, &zone, &origins) {
        Ok(summary) => summary,
        Err(error) => return observed::unreadable(&error),
    };
    summary.problems.iter().for_each(|problem| eprintln!("portsentry: {}", table::plain(problem)));
    if let Some(path) = &report.html {
        return match page::page(&summary, zone.zone()) {
            Ok(page) => write(path, &page),
            Err(problem) => {
                eprintln!("portsentry: drawing the report: {problem}");
                Exit::Failure
            }
        };
    }
    show::print(&if report.json { observed::json(&summary) } else { text::render(&summary, &zone) })
}

fn write(path: &Path, page: &str) -> Exit {
    match sink::update(path, MODE, |_| Some(page.as_bytes().to_vec())) {
        Ok(()) => Exit::Success,
        Err(error) => {
            eprintln!("portsentry: {error}");
            Exit::Failure
        }
    }
}

fn read(config: &Config, report: &cli::Report, zone: &Zone, origins: &Origins) -> Result<Summary, Error> {
    let until = report.until.map(|until| until.resolve(zone.zone()).into());
    let to = until.unwrap_or_else(SystemTime::now);
    let from = SystemTime::from(report.since.resolve(zone.zone())).min(to);
    let length = to.duration_since(from).unwrap_or_default();
    let before = from.checked_sub(length).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut now = Tally::new(from, to, zone.zone().clone());
    let mut then = Tally::new(before, from, zone.zone().clone());
    let mut oldest: Option<Time> = None;
    let mut take = |entry: &Entry| {
        oldest = Some(oldest.map_or(entry.time, |oldest| oldest.min(entry.time)));
        now.add(entry);
        then.add(entry);
    };
    let selection = Selection::default();
    let in_force = || held::read(config, &selection, usize::MAX);
    let held = looked::try_look(config, in_force, &Request::List(selection.clone()));
    let stream = Stream::open(config, before);
    // Everything is open. From here on texts from outside are read.
    let directory = report.html.as_deref().map(|path| path.parent().unwrap_or(Path::new("")));
    sandbox::confine(directory).map_err(|error| Error::Other(error.to_string()))?;
    let mut extent = match stream {
        Ok(stream) => {
            let mut progress = Progress::new(stream.length());
            stream.read(|entry| take(&entry), |done| progress.show(done))
        }
        Err(error) if error.is_denied() => {
            let extent = ask(config, before, &mut take);
            extent.map_err(|problem| error.and(problem))?
        }
        Err(error) => return Err(error),
    };
    let held = match held {
        Ok(held) if held.left_out == 0 => Some(held.sources.into()),
        Ok(held) => {
            extent.problems.push(format!("{} sources in force are left out of their sum", held.left_out));
            Some(held.sources.into())
        }
        Err(error) => {
            extent.problems.push(error.to_string());
            None
        }
    };
    let period =
        Period { from: Time(from), to: Time(to), before: Time(before), oldest, zone: zone.name().into() };
    let host = host::name().unwrap_or_else(|| "this host".into());
    Ok(summary(Material { host, period, now: &now, before: &then, held, origins, extent }))
}

/// Asks the daemon for the entries. Returns the reason why it doesn't answer.
fn ask(config: &Config, since: SystemTime, take: &mut impl FnMut(&Entry)) -> Result<Extent, String> {
    let wanted = Wanted { since: Some(Time(since)), ..Wanted::default() };
    let past: Past = looked::ask(config, &Request::History(wanted))?;
    for entry in &past.entries {
        // 2.x's lines call a fence a block.
        let is_fence = entry.action == HistoryAction::Blocked
            && entry.proof.as_deref() == Some(Proof::None.name())
            && !config.block_unproven;
        let action = if is_fence { HistoryAction::Fenced } else { entry.action };
        take(&Entry { action, ..entry.clone() });
    }
    let mut problems = past.problems;
    if past.is_cut {
        problems.push("older entries are left out: only root and the daemon's user can read them all".into());
    }
    let lines = past.entries.len() as u64;
    Ok(Extent { lines, torn: past.torn as u64, ambiguous: 0, problems })
}
