//! `portsentry block` and `portsentry unblock`: send a request to the running daemon's control socket, or edit the
//! blocked file, which a daemon without a control socket follows.

mod ask;
mod asker;
mod holders;
mod lockout;
mod networks;
mod offline;
mod report;
mod situation;
mod targets;

use std::{collections::BTreeSet, time::SystemTime};

use ipnet::IpNet;

use self::{
    ask::ask,
    report::Report,
    situation::{Situation, held},
};
use super::{observed, options};
use crate::{
    cli::{Block, Cli, Unblock},
    config::Config,
    control::Request,
    daemon::Options,
    exit::Exit,
    inspect::{self, exempt::refuse, select::Selection},
    instant::stamp,
    kernel::{self, OfflineMaps},
    policy::{
        is_host, name_of,
        register::{ADMINISTRATOR, asked},
    },
    sink::{
        Change, Edited, Files,
        annotation::{Annotation, shortened},
        edit,
    },
};

/// Returns the reason for what an administrator did, with the name if it is known.
pub(super) fn signed(done: &str) -> String {
    asker::reason(Some(done)).unwrap_or_default()
}

/// Blocks the given addresses, or none of them if one can't be blocked.
pub(super) fn block(cli: &Cli, block: &Block) -> Exit {
    let options = options::salvage(cli);
    let networks = match targets::read(&block.addresses) {
        Ok(networks) => networks,
        Err(errors) => return nothing(&errors, block.json),
    };
    let refused = refuse(&networks, &options.ignored, &options.config.ignore_file).and_then(|refused| {
        if block.force || !refused.is_empty() {
            return Ok(refused);
        }
        lockout::dangers(&networks, &options.ignored)
    });
    match refused {
        Ok(refused) if refused.is_empty() => {}
        Ok(refused) => return nothing(&refused, block.json),
        Err(problem) => {
            eprintln!("portsentry: {problem}");
            return Exit::Failure;
        }
    }
    // The daemon can't see that these clients are not authenticated.
    let force = block.force || lockout::hold_strangers(&networks);
    let until = block.term.and_then(|term| SystemTime::now().checked_add(term));
    let reason = block.reason.as_deref().map(shortened);
    let by = asker::name();
    let request = |addresses| Request::Block {
        addresses,
        seconds: block.term.map(|term| term.as_secs()),
        reason: reason.clone(),
        by: by.clone(),
        force,
    };
    let signed = by.as_deref().map(|name| shortened(&asked(name, reason.as_deref())));
    let change = Change::Block(Annotation {
        until: until.map(|until| stamp(until).into()),
        reason: signed.or_else(|| reason.clone()),
    });
    let mut report = Report::default();
    let done = ask(&options, &change, &networks, &request, &mut report)
        .unwrap_or_else(|| do_it(&options, &change, &networks, None, &mut report));
    finish(&report, block.json, done)
}

/// Unblocks the given addresses, and what is in the given networks.
pub(super) fn unblock(cli: &Cli, unblock: &Unblock) -> Exit {
    let options = options::salvage(cli);
    let networks = if unblock.all {
        match confirmed(&options, unblock.yes) {
            Ok(networks) => networks,
            Err(exit) => return exit,
        }
    } else {
        match targets::read(&unblock.addresses) {
            Ok(networks) => networks,
            Err(errors) => return nothing(&errors, unblock.json),
        }
    };
    let mut report = Report::default();
    report.expect(holders::holders(&options, &networks));
    // Whoever means everything need not mean a list that others maintain.
    let mut listed = if unblock.all { BTreeSet::new() } else { networks::listed(&options.listed, &networks) };
    let unlisted =
        if listed.is_empty() { Exit::Success } else { networks::unlist(&options, &listed, &mut report) };
    let done = networks.iter().filter(|network| listed.iter().any(|it| network.contains(it)));
    let done: Vec<IpNet> = done.copied().collect();
    listed.extend(done);
    report.begin(listed);
    let reason = asker::reason(unblock.reason.as_deref());
    let request = |addresses| Request::Unblock { addresses, reason: reason.clone(), here: unblock.here };
    let done = ask(&options, &Change::Unblock, &networks, &request, &mut report)
        .unwrap_or_else(|| do_it(&options, &Change::Unblock, &networks, reason.as_deref(), &mut report));
    if unblock.all && !options.listed.is_empty() {
        let list = options.config.block_list.display();
        eprintln!("portsentry: the entries of {list} stay blocked: remove them from that file");
    }
    let done = if done == Exit::Success { unlisted } else { done };
    let is_held = done == Exit::Success && report.is_still_held();
    finish(&report, unblock.json, if is_held { Exit::Failure } else { done })
}

/// Returns everything, if that is meant.
fn confirmed(options: &Options, is_confirmed: bool) -> Result<BTreeSet<IpNet>, Exit> {
    if !is_confirmed {
        let held = inspect::held::read(&options.config, &Selection::default(), usize::MAX);
        let count = held.map_err(|error| observed::unreadable(&error))?.sources.len();
        if let Err(problem) = targets::confirm(count) {
            eprintln!("portsentry: {problem}");
            return Err(Exit::Failure);
        }
    }
    Ok(targets::everything())
}

fn nothing(reasons: &[String], is_json: bool) -> Exit {
    reasons.iter().for_each(|line| eprintln!("portsentry: {line}"));
    eprintln!("portsentry: nothing was changed");
    finish(&Report::default(), is_json, Exit::Failure)
}

fn finish(report: &Report, is_json: bool, done: Exit) -> Exit {
    match report.print(is_json) {
        Exit::Success => done,
        failed => failed,
    }
}

/// Edits the blocked file. Also changes the kernel's maps, unless a running daemon follows the file.
fn do_it(
    options: &Options,
    change: &Change,
    networks: &BTreeSet<IpNet>,
    reason: Option<&str>,
    report: &mut Report,
) -> Exit {
    let path = &options.config.blocked_file;
    let mut files = Files::new(&options.config, options.modes);
    // Lines to be removed may mention `hosts.deny`. Errors in other lines don't matter here.
    drop(files.read());
    let mut edited = match edit(path, change, networks) {
        Ok(edited) => edited,
        Err(error) => {
            eprintln!("portsentry: {error}");
            return Exit::Failure;
        }
    };
    let observer = match observed::observer(&options.config) {
        Ok(observer) => observer,
        Err(exit) => return exit,
    };
    let runs = observer.as_ref().is_some_and(|observer| observer.daemon().is_some());
    let enforced = match if runs { Ok(None) } else { enter(&options.config, change, &edited) } {
        Ok(enforced) => enforced,
        Err(error) => return observed::failure(&error),
    };
    if !runs && *change == Change::Unblock {
        offline::let_go(options, &mut files, &edited.removed, reason.unwrap_or(ADMINISTRATOR));
    }
    let situation = Situation {
        change,
        runs,
        is_enforced: enforced.unwrap_or_default(),
        held: observer.as_ref().map(held).unwrap_or_default(),
    };
    edited.changed.sort_by_key(|network| !is_host(*network));
    for network in &edited.changed {
        report.change(name_of(*network), situation.changed());
    }
    for network in &edited.unchanged {
        report.leave(name_of(*network), situation.unchanged(*network, path));
    }
    if situation.has_failed(&edited.unchanged) { Exit::Failure } else { Exit::Success }
}

/// Applies the change to the kernel's maps while no daemon runs. Returns whether they are enforced, or `None` if
/// there are no maps.
fn enter(config: &Config, change: &Change, edited: &Edited) -> Result<Option<bool>, kernel::Error> {
    let Some(mut maps) = OfflineMaps::open(&config.pin_path)? else { return Ok(None) };
    let (changed, unchanged) = (edited.changed.iter(), edited.unchanged.iter());
    let prefix = config.ipv6_prefix;
    match change {
        Change::Block(remark) => {
            changed.copied().try_for_each(|network| maps.block(network, remark.until, prefix))?;
        }
        // The kernel may have entries that no file names yet.
        Change::Unblock => {
            let lines = edited.removed.iter().map(|record| &record.network);
            changed.chain(unchanged).chain(lines).copied().try_for_each(|network| {
                maps.unblock(network)?;
                maps.acquit(network, prefix)
            })?;
        }
    }
    Ok(Some(maps.is_enforced()))
}
