//! `portsentry block` and `portsentry unblock`: ask the running daemon at its control socket, or edit the blocked
//! file, which a daemon without a control socket follows.

mod networks;
mod report;

use std::{collections::BTreeSet, net::IpAddr, path::Path, time::SystemTime};

use ipnet::IpNet;
use serde::Deserialize;

use self::report::Report;
use super::{observed, options, table};
use crate::{
    cli::{Block, Cli, Unblock},
    control::{Code, Refusal, Request, client},
    daemon::Options,
    exit::Exit,
    host,
    instant::stamp,
    kernel::{self, Observer, OfflineMaps, Sources},
    policy::scope::{Exempt, Exemptions},
    sink::{
        Change, Edited, Files,
        annotation::{Annotation, shortened},
        blocked_file, edit,
    },
};

/// Addresses per request, which has room for about twice as many.
const AT_ONCE: usize = 50;

/// Blocks the given addresses, or none of them if one can't be blocked.
pub(super) fn block(cli: &Cli, block: &Block) -> Exit {
    let until = block.term.and_then(|term| SystemTime::now().checked_add(term));
    let reason = block.reason.as_deref().map(shortened);
    let request = |addresses| Request::Block {
        addresses,
        seconds: block.term.map(|term| term.as_secs()),
        reason: reason.clone(),
    };
    let change =
        Change::Block(Annotation { until: until.map(|until| stamp(until).into()), reason: reason.clone() });
    run(cli, &change, (&block.addresses, block.json), &request)
}

/// Unblocks the given addresses.
pub(super) fn unblock(cli: &Cli, unblock: &Unblock) -> Exit {
    let request = |addresses| Request::Unblock { addresses };
    run(cli, &Change::Unblock, (&unblock.addresses, unblock.json), &request)
}

fn run(
    cli: &Cli,
    change: &Change,
    (addresses, is_json): (&[IpNet], bool),
    request: &dyn Fn(Vec<IpAddr>) -> Request,
) -> Exit {
    let options = match options::read(cli) {
        Ok((options, _)) => options,
        Err(lines) => {
            lines.iter().for_each(|line| eprintln!("{line}"));
            return Exit::Configuration;
        }
    };
    let mut report = Report::default();
    let done = carry_out(&options, change, addresses, request, &mut report);
    match report.print(is_json) {
        Exit::Success => done,
        failed => failed,
    }
}

fn carry_out(
    options: &Options,
    change: &Change,
    addresses: &[IpNet],
    request: &dyn Fn(Vec<IpAddr>) -> Request,
    report: &mut Report,
) -> Exit {
    let (hosts, mut networks): (BTreeSet<IpNet>, BTreeSet<IpNet>) =
        addresses.iter().partition(|network| network.prefix_len() == network.max_prefix_len());
    let mut sources: BTreeSet<IpAddr> = hosts.iter().map(IpNet::addr).collect();
    if *change == Change::Unblock {
        // A network by which sources are held is found under its first address.
        let (held, others) = networks.into_iter().partition(|network| {
            network.prefix_len() == options.config.ipv6_prefix && !options.listed.networks.contains(network)
        });
        networks = others;
        let held: BTreeSet<IpNet> = held;
        sources.extend(held.iter().map(IpNet::network));
        networks.extend(hosts.iter().filter(|host| options.listed.names(host.addr())));
    } else {
        let refused = match refuse(&sources, options) {
            Ok(refused) => [refused, networks::refused(change, &networks)].concat(),
            Err(problem) => {
                eprintln!("portsentry: {problem}");
                return Exit::Failure;
            }
        };
        if !refused.is_empty() {
            refused.iter().for_each(|line| eprintln!("portsentry: {line}"));
            eprintln!("portsentry: nothing was changed");
            return Exit::Failure;
        }
    }
    let hosts = if sources.is_empty() {
        Exit::Success
    } else {
        ask(options, change, &sources, request, report)
            .unwrap_or_else(|| do_it(options, change, &sources, report))
    };
    let networks =
        if networks.is_empty() { Exit::Success } else { networks::hold(options, change, &networks, report) };
    if hosts == Exit::Success { networks } else { hosts }
}

/// Asks the running daemon; returns `None` if none answers.
fn ask(
    options: &Options,
    change: &Change,
    sources: &BTreeSet<IpAddr>,
    request: &dyn Fn(Vec<IpAddr>) -> Request,
    report: &mut Report,
) -> Option<Exit> {
    #[derive(Deserialize)]
    struct Done {
        changed: Vec<IpAddr>,
        unchanged: Vec<IpAddr>,
    }
    let socket = options.config.control_socket.as_deref()?;
    let (done, not_needed) = match change {
        Change::Block(_) => ("blocked", "already blocked"),
        Change::Unblock => ("unblocked", "is not blocked"),
    };
    let sources: Vec<IpAddr> = sources.iter().copied().collect();
    for (turn, some) in sources.chunks(AT_ONCE).enumerate() {
        let answer = match client::ask(socket, &request(some.to_vec())) {
            // The daemon has ended meanwhile, or never ran.
            None if turn == 0 => return None,
            None => Err(Refusal::new(Code::Failed, "the daemon ended in the meantime")),
            Some(answer) => answer,
        };
        let answer = answer.and_then(|value| {
            serde_json::from_value::<Done>(value)
                .map_err(|error| Refusal::new(Code::Failed, error.to_string()))
        });
        match answer {
            Ok(Done { changed, unchanged }) => {
                changed.iter().for_each(|source| report.change(source, done));
                unchanged.iter().for_each(|source| report.leave(source, not_needed));
            }
            Err(refusal) => {
                refusal.details.iter().for_each(|line| eprintln!("portsentry: {}", table::plain(line)));
                eprintln!("portsentry: {}", table::plain(&refusal.message));
                return Some(Exit::Failure);
            }
        }
    }
    Some(Exit::Success)
}

/// Edits the blocked file, and the kernel's maps if no daemon runs that would follow the file.
fn do_it(options: &Options, change: &Change, sources: &BTreeSet<IpAddr>, report: &mut Report) -> Exit {
    let path = &options.config.blocked_file;
    let mut files = Files::new(&options.config, options.modes);
    // Lines to be removed may mention `hosts.deny`. Faults in other lines don't matter here.
    drop(files.read());
    let edited = match edit(path, change, sources) {
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
    let enforced = match if runs { Ok(None) } else { enter(&options.config.pin_path, change, &edited) } {
        Ok(enforced) => enforced,
        Err(error) => return observed::failure(&error),
    };
    if !runs {
        let problems = files.allow(&edited.removed);
        problems.iter().for_each(|problem| eprintln!("portsentry: {problem}"));
    }
    let situation = Situation {
        change,
        runs,
        is_enforced: enforced.unwrap_or_default(),
        held: observer.as_ref().map(held).unwrap_or_default(),
    };
    edited.changed.iter().for_each(|source| report.change(source, situation.changed()));
    edited.unchanged.iter().for_each(|source| report.leave(source, situation.unchanged(*source, path)));
    if situation.has_failed(&edited.unchanged) { Exit::Failure } else { Exit::Success }
}

/// Enters the change in the kernel's maps if no daemon runs that would; returns whether it is enforced, if there are
/// maps.
fn enter(pins: &Path, change: &Change, edited: &Edited) -> Result<Option<bool>, kernel::Error> {
    let Some(mut maps) = OfflineMaps::open(pins)? else { return Ok(None) };
    let (changed, unchanged) = (edited.changed.iter(), edited.unchanged.iter());
    match change {
        Change::Block(remark) => changed.copied().try_for_each(|source| maps.block(source, remark.until))?,
        // The kernel may hold sources that no file names yet.
        Change::Unblock => changed.chain(unchanged).copied().try_for_each(|source| maps.unblock(source))?,
    }
    Ok(Some(maps.is_enforced()))
}

/// The state that determines the consequences.
struct Situation<'a> {
    change: &'a Change,
    /// Whether a daemon runs.
    runs: bool,
    /// Whether the program of an ended daemon is still attached and enforces the maps.
    is_enforced: bool,
    /// The sources in the kernel's maps.
    held: BTreeSet<IpAddr>,
}

impl Situation<'_> {
    fn changed(&self) -> &'static str {
        match (self.change, self.runs, self.is_enforced) {
            (Change::Block(_), true, _) => "being blocked by the running daemon",
            (Change::Block(_), false, true) => {
                "blocked (no daemon is running; hosts.deny is updated when one starts)"
            }
            (Change::Block(_), false, false) => "recorded; a daemon will block it at its next start",
            (Change::Unblock, true, _) => "being unblocked by the running daemon",
            (Change::Unblock, false, true) => "unblocked (no daemon is running)",
            (Change::Unblock, false, false) => "removed from the blocked file (no daemon is running)",
        }
    }

    fn unchanged(&self, source: IpAddr, path: &Path) -> String {
        let path = path.display();
        match self.change {
            Change::Block(_) => format!("already blocked, according to {path}"),
            Change::Unblock if self.held.contains(&source) => format!(
                "held by the kernel, but not yet in {path}: unblock it once a running daemon has written \
                    it there"
            ),
            Change::Unblock => format!("is not in {path}"),
        }
    }

    /// Whether a source is still held that should be free.
    fn has_failed(&self, unchanged: &[IpAddr]) -> bool {
        *self.change == Change::Unblock && unchanged.iter().any(|source| self.held.contains(source))
    }
}

fn held(observer: &Observer) -> BTreeSet<IpAddr> {
    let sources =
        [Sources::Blocked, Sources::Fenced].map(|which| observer.sources(which).unwrap_or_default());
    sources.into_iter().flat_map(std::collections::BTreeMap::into_keys).collect()
}

/// Returns those of `sources` that are never blocked, each with the reason.
pub(super) fn refuse(sources: &BTreeSet<IpAddr>, options: &Options) -> Result<Vec<String>, String> {
    let read = host::Observer::connect().and_then(|mut observer| observer.read());
    let host = read.map_err(|problem| format!("reading this host's addresses: {problem}"))?;
    let exempt = Exemptions::new(&host, &options.ignored);
    let why = |source: &IpAddr| {
        if !blocked_file::is_host(*source) {
            return Some(format!("{source} can't be the address of another host"));
        }
        let (network, reason) = exempt.why(*source)?;
        let reason = reason_of(reason, &network, &options.config.ignore_file);
        Some(format!("{source} is never blocked: {reason}"))
    };
    Ok(sources.iter().filter_map(why).collect())
}

fn reason_of(reason: Exempt, network: &IpNet, ignore_file: &Path) -> String {
    match reason {
        Exempt::Own => "it is an address of this host".into(),
        Exempt::Gateway => "it is a gateway of this host".into(),
        Exempt::Resolver => "it is a name server of this host".into(),
        Exempt::Ignored => format!("{} ignores {network}", ignore_file.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9));

    const BLOCK: Change = Change::Block(Annotation { until: None, reason: None });

    fn situation(change: &Change, runs: bool, is_enforced: bool, is_held: bool) -> Situation<'_> {
        Situation { change, runs, is_enforced, held: is_held.then_some(A).into_iter().collect() }
    }

    #[test]
    fn it_says_what_will_happen() {
        for (change, runs, is_enforced, expected) in [
            (BLOCK, true, true, "being blocked by"),
            (BLOCK, false, true, "blocked (no daemon is running;"),
            (BLOCK, false, false, "a daemon will block it at its next start"),
            (Change::Unblock, true, true, "being unblocked by"),
            (Change::Unblock, false, true, "unblocked (no daemon is running)"),
            (Change::Unblock, false, false, "removed from the blocked file"),
        ] {
            let said = situation(&change, runs, is_enforced, false).changed();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn who_stays_held_is_a_failure() {
        for (change, is_held, expected) in
            [(Change::Unblock, true, true), (Change::Unblock, false, false), (BLOCK, true, false)]
        {
            assert_eq!(situation(&change, true, true, is_held).has_failed(&[A]), expected);
        }
    }

    #[test]
    fn reasons_are_told() {
        let file = Path::new("/etc/portsentry/portsentry.ignore");
        let network = "192.0.2.0/24".parse().unwrap();
        for (reason, expected) in [
            (Exempt::Own, "it is an address of this host"),
            (Exempt::Gateway, "it is a gateway of this host"),
            (Exempt::Resolver, "it is a name server of this host"),
            (Exempt::Ignored, "/etc/portsentry/portsentry.ignore ignores 192.0.2.0/24"),
        ] {
            assert_eq!(reason_of(reason, &network, file), expected);
        }
    }
}
