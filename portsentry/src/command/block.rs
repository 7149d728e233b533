//! `portsentry block` and `portsentry unblock`: send a request to the running daemon's control socket, or edit the
//! blocked file, which a daemon without a control socket follows.

mod networks;
mod offline;
mod report;

use std::{collections::BTreeSet, path::Path, time::SystemTime};

use ipnet::IpNet;
use serde::Deserialize;

use self::report::Report;
use super::{observed, options, table};
use crate::{
    cli::{Block, Cli, Unblock},
    config::{Config, block_list::is_too_much},
    control::{Code, Refusal, Request, client},
    daemon::Options,
    exit::Exit,
    host,
    instant::stamp,
    kernel::{self, Observer, OfflineMaps, Sources},
    policy::{
        is_host, name_of, network_of,
        scope::{Exempt, Exemptions},
    },
    sink::{
        Change, Edited, Files,
        annotation::{Annotation, shortened},
        blocked_file, edit,
    },
};

/// Maximum number of addresses per request; about twice as many would fit.
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
    run(cli, &change, &block.addresses, block.json, &request)
}

/// Unblocks the given addresses.
pub(super) fn unblock(cli: &Cli, unblock: &Unblock) -> Exit {
    let request = |addresses| Request::Unblock { addresses };
    run(cli, &Change::Unblock, &unblock.addresses, unblock.json, &request)
}

fn run(
    cli: &Cli,
    change: &Change,
    networks: &[IpNet],
    is_json: bool,
    request: &dyn Fn(Vec<IpNet>) -> Request,
) -> Exit {
    let options = options::salvage(cli);
    let mut report = Report::default();
    let networks = networks.iter().map(|network| canonical(*network)).collect();
    let done = carry_out(&options, change, &networks, request, &mut report);
    match report.print(is_json) {
        Exit::Success => done,
        failed => failed,
    }
}

/// Clears the bits after the prefix, and turns an IPv4-mapped address into an IPv4 one.
fn canonical(network: IpNet) -> IpNet {
    let network = network.trunc();
    if is_host(network) { network.addr().to_canonical().into() } else { network }
}

fn carry_out(
    options: &Options,
    change: &Change,
    networks: &BTreeSet<IpNet>,
    request: &dyn Fn(Vec<IpNet>) -> Request,
    report: &mut Report,
) -> Exit {
    let mut listed = BTreeSet::new();
    if *change == Change::Unblock {
        let names = |network: &IpNet| {
            let list = &options.listed;
            list.networks.contains(network) || is_host(*network) && list.names(network.addr())
        };
        listed = networks.iter().copied().filter(names).collect();
    } else {
        let refused = match refuse(networks, options) {
            Ok(refused) => refused,
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
    let unlisted = if listed.is_empty() { Exit::Success } else { networks::unlist(options, &listed, report) };
    report.begin(listed);
    let done = ask(options, change, networks, request, report)
        .unwrap_or_else(|| do_it(options, change, networks, report));
    if done == Exit::Success { unlisted } else { done }
}

/// Sends requests to the running daemon. Returns `None` if no daemon answers.
fn ask(
    options: &Options,
    change: &Change,
    networks: &BTreeSet<IpNet>,
    request: &dyn Fn(Vec<IpNet>) -> Request,
    report: &mut Report,
) -> Option<Exit> {
    #[derive(Deserialize)]
    struct Done {
        changed: Vec<String>,
        unchanged: Vec<String>,
    }
    let socket = options.config.control_socket.as_deref()?;
    let (done, not_needed) = match change {
        Change::Block(_) => ("blocked", "already blocked"),
        Change::Unblock => ("unblocked", "is not blocked"),
    };
    // Lists hosts before networks, as people expect.
    let mut networks: Vec<IpNet> = networks.iter().copied().collect();
    networks.sort_by_key(|network| !is_host(*network));
    for (turn, some) in networks.chunks(AT_ONCE).enumerate() {
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

/// Edits the blocked file. Also changes the kernel's maps, unless a running daemon follows the file.
fn do_it(options: &Options, change: &Change, networks: &BTreeSet<IpNet>, report: &mut Report) -> Exit {
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
        offline::let_go(options, &mut files, &edited.removed);
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
        Change::Unblock => changed.chain(unchanged).copied().try_for_each(|network| maps.unblock(network))?,
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
    /// The networks in the kernel's maps.
    held: BTreeSet<IpNet>,
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

    fn unchanged(&self, network: IpNet, path: &Path) -> String {
        let path = path.display();
        match self.change {
            Change::Block(_) => format!("already blocked, according to {path}"),
            Change::Unblock if self.held.contains(&network) => format!(
                "held by the kernel, but not yet in {path}: unblock it once a running daemon has written it there"
            ),
            Change::Unblock => format!("is not in {path}"),
        }
    }

    /// Whether a source that should be free is still in the kernel's maps.
    fn has_failed(&self, unchanged: &[IpNet]) -> bool {
        *self.change == Change::Unblock && unchanged.iter().any(|network| self.held.contains(network))
    }
}

fn held(observer: &Observer) -> BTreeSet<IpNet> {
    let sources =
        [Sources::Blocked, Sources::Fenced].map(|which| observer.sources(which).unwrap_or_default());
    let sources = sources.into_iter().flatten();
    sources.map(|(source, block)| network_of(source, block.prefix)).collect()
}

/// Returns a message for each of `networks` that is never blocked, with the reason.
pub(super) fn refuse(networks: &BTreeSet<IpNet>, options: &Options) -> Result<Vec<String>, String> {
    let read = host::Observer::connect().and_then(|mut observer| observer.read());
    let host = read.map_err(|problem| format!("reading this host's addresses: {problem}"))?;
    let exempt = Exemptions::new(&host, &options.ignored);
    let why = |network: &IpNet| {
        let (source, name) = (network.addr(), name_of(*network));
        if is_host(*network) && !blocked_file::is_host(source) {
            return Some(format!("{name} can't be the address of another host"));
        }
        let (holder, reason) = exempt.why(source).filter(|(holder, _)| holder.contains(network))?;
        let reason = reason_of(reason, &holder, &options.config.ignore_file);
        Some(format!("{name} is never blocked: {reason}"))
    };
    Ok(networks.iter().filter_map(|network| is_too_much(network).or_else(|| why(network))).collect())
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

    const A: IpNet = IpNet::V4(ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(192, 0, 2, 9), 32));

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
