//! `portsentry setup` and `portsentry confirm`. `setup` shows the relevant facts about this host, proposes
//! addresses to ignore and ports to leave out, and arms PortSentry. Without a confirmation in time the
//! configuration is rolled back, so that no administrator stays locked out.

mod forwarded;
mod pending;
mod plan;
mod survey;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{self, BufRead, IsTerminal, Write as _},
    net::IpAddr,
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail};
use ipnet::IpNet;
use portsentry_common::classify::Protocol;

use self::{
    pending::Pending,
    plan::{Plan, exposed, ignoring, network_of_peer, watched},
    survey::Survey,
};
use super::{block, options, reload, show, table};
use crate::{
    cli::{Cli, Confirm, Setup, Target, Unblock},
    config::Config,
    daemon::Options,
    exit::Exit,
    inspect::{
        self,
        select::{Maker, Selection},
    },
    instant::Time,
    policy::{is_host, name_of},
    sink,
};

/// Surveys the host, asks questions, and arms PortSentry.
pub(super) fn run(cli: &Cli, setup: &Setup) -> Exit {
    if setup.wait_for_confirmation {
        return ended(wait(cli));
    }
    if !setup.yes && !io::stdin().is_terminal() {
        eprintln!("portsentry: setup asks questions, and standard input is no terminal: use --yes");
        return Exit::Usage;
    }
    let options = match options::read(cli) {
        Ok((options, _)) => options,
        Err(lines) => {
            lines.iter().for_each(|line| eprintln!("{line}"));
            eprintln!("portsentry: nothing was changed; mend the configuration first");
            return Exit::Configuration;
        }
    };
    ended(arm(cli, setup, &options))
}

/// Keeps the configuration that is waiting for confirmation, or rolls it back at once.
pub(super) fn confirm(cli: &Cli, confirm: Confirm) -> Exit {
    let keep = || {
        let path = pending::path(&cli.config_file);
        let Some(pending) = Pending::read(&path)? else {
            eprintln!("portsentry: no configuration waits for confirmation");
            return Ok(Exit::Failure);
        };
        if confirm.roll_back {
            roll_back(cli, &path, &pending)?;
            return Ok(show::print("rolled back: the configuration is as it was\n"));
        }
        pending::remove(&path)?;
        Ok(show::print("confirmed: the configuration stays\n"))
    };
    ended(keep())
}

/// Rolls back an unconfirmed configuration that no process waits for, as after a restart of the machine. The daemon
/// calls it before it reads its configuration.
pub(super) fn roll_back_abandoned(cli: &Cli) {
    let roll_back = || {
        let path = pending::path(&cli.config_file);
        let Some(pending) = Pending::read(&path)? else { return Ok(()) };
        if pending::is_awaited(&path)? { Ok(()) } else { roll_back(cli, &path, &pending) }
    };
    if let Err(error) = roll_back() {
        eprintln!("portsentry: the configuration that nobody confirmed can't be rolled back: {error:#}");
    }
}

fn ended(result: anyhow::Result<Exit>) -> Exit {
    result.unwrap_or_else(|error| {
        eprintln!("portsentry: {error:#}");
        Exit::Failure
    })
}

fn arm(cli: &Cli, setup: &Setup, options: &Options) -> anyhow::Result<Exit> {
    let config = &options.config;
    let path = pending::path(&cli.config_file);
    if Pending::read(&path)?.is_some() && pending::is_awaited(&path)? {
        bail!(
            "a configuration waits for confirmation already: run `portsentry confirm`, or wait until it is rolled back"
        );
    }
    roll_back_abandoned(cli);
    let file = &cli.config_file;
    let text = read(file)?;
    let survey = Survey::take(&config.interfaces)?;
    show::print(&describe(&survey, config));
    let plan = propose(setup, options, &text, &survey)?;
    if plan.is_empty() {
        return Ok(show::print("Nothing to change: PortSentry is armed already.\n"));
    }
    show::print(&show_plan(&plan, file, &config.ignore_file));
    let overridden = plan.overridden(&options.settings);
    if !overridden.is_empty() {
        bail!(
            "nothing was changed, because drop-ins override {}; change their lines:\n{}",
            file.display(),
            overridden.join("\n")
        );
    }
    if let Err(report) = Config::parse(&plan.apply(&text), &file.to_string_lossy()) {
        bail!("{report}the configuration would be wrong; nothing was changed");
    }
    for peer in exposed(&survey, &plan.all_ignored(&options.ignored)) {
        eprintln!("warning: {peer} is logged in, and a scan from there may block it");
    }
    let minutes = setup.confirm_within.as_secs().div_ceil(60);
    let question = if setup.confirmed {
        "Arm now?".to_owned()
    } else {
        format!("Arm now, and roll back unless you run `portsentry confirm` within {minutes} min?")
    };
    if !setup.yes && !asks(&question, false)? {
        return Ok(show::print("Nothing was changed.\n"));
    }
    ignore(&config.ignore_file, &plan.ignored)?;
    let pending = Pending {
        settings: plan.settings.clone(),
        armed: Time::now(),
        seconds: setup.confirm_within.as_secs(),
    };
    if !setup.confirmed && !plan.settings.is_empty() {
        pending.write(&path)?;
        if let Err(error) = pending::start(file, &path) {
            pending::remove(&path)?;
            return Err(error.context("nothing was armed"));
        }
    }
    let written = sink::update(file, sink::MODE, |old| {
        Some(plan.apply(std::str::from_utf8(old.unwrap_or_default()).ok()?).into_bytes())
    });
    written.with_context(|| format!("writing {}", file.display()))?;
    match reload(config, Vec::new()) {
        Ok(true) => {}
        Ok(false) => {
            show::print("No daemon is running: the configuration is in effect once it starts.\n");
        }
        Err(problem) => {
            roll_back(cli, &path, &pending)?;
            bail!("{problem}; the configuration was set back");
        }
    }
    let then = if setup.confirmed || plan.settings.is_empty() {
        "Armed.\n".to_owned()
    } else {
        format!(
            "Armed. Log in once more from where you work, then run `portsentry confirm`;\n\
             without it the configuration is rolled back in {minutes} min.\n"
        )
    };
    Ok(show::print(&then))
}

/// Composes the changes from the flags and, in a terminal, from answers.
fn propose(setup: &Setup, options: &Options, text: &str, survey: &Survey) -> anyhow::Result<Plan> {
    let config = &options.config;
    let mut plan = Plan { ignored: setup.ignore.iter().map(IpNet::trunc).collect(), ..Plan::default() };
    plan.ignored.retain(|network| !options.ignored.contains(network));
    let known = plan.all_ignored(&options.ignored);
    let networks: BTreeMap<IpNet, IpAddr> =
        exposed(survey, &known).into_iter().map(|peer| (network_of_peer(peer), peer)).collect();
    for (network, peer) in networks {
        let question = if is_host(network) {
            format!("Never block {peer}, which is logged in?")
        } else {
            format!("Never block {network}? {peer} is logged in, and a client's address in it changes.")
        };
        if setup.yes || asks(&question, true)? {
            plan.ignored.insert(network);
        }
    }
    let forwarded = watched(survey, config);
    if !forwarded.is_empty() {
        let question = format!("Leave the forwarded ports {} out of the traps?", ports(&forwarded));
        if setup.yes || asks(&question, true)? {
            plan.leave_out(text, config, &forwarded);
        }
    }
    let interfaces = match &setup.interfaces {
        Some(interfaces) => Some(interfaces.clone()),
        None if setup.yes => None,
        None => answer("Interfaces to watch, separated by commas; empty for those shown as watched")?,
    };
    if let Some(interfaces) = interfaces {
        plan.watch(text, &interfaces);
    }
    plan.arm(text, config, &options.settings);
    Ok(plan)
}

fn describe(survey: &Survey, config: &Config) -> String {
    let mut text = String::new();
    let mut say = |about: &str, what: &str| {
        // Writing to a string never fails.
        let _ = writeln!(text, "{about:<12} {what}");
    };
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let services = survey.services.iter().filter(|((_, of), _)| *of == protocol);
        let services = services.map(|((port, _), program)| match program {
            Some(program) => format!("{port} ({program})"),
            None => port.to_string(),
        });
        let services = services.collect::<Vec<_>>().join(", ");
        say(
            "services",
            &format!("{}: {}", protocol.name(), if services.is_empty() { "none" } else { &services }),
        );
    }
    let traps = watched(survey, config);
    if !survey.forwarded.is_empty() {
        say("forwarded", &ports(&survey.forwarded));
    }
    if !traps.is_empty() {
        say("", &format!("of these are traps: {}", ports(&traps)));
    }
    for peer in &survey.logins {
        say("logged in", &peer.to_string());
    }
    for (interface, chosen) in &survey.interfaces {
        match chosen {
            Ok(()) => say("watched", interface),
            Err(reason) => say("not watched", &format!("{interface}: {reason}")),
        }
    }
    table::plain_lines(&text)
}

fn show_plan(plan: &Plan, file: &Path, ignore_file: &Path) -> String {
    let mut text = String::new();
    if !plan.ignored.is_empty() {
        let _ = writeln!(text, "{}:", ignore_file.display());
        plan.ignored.iter().for_each(|network| {
            let _ = writeln!(text, "  + {}", name_of(*network));
        });
    }
    if !plan.settings.is_empty() {
        let _ = writeln!(text, "{}:", file.display());
    }
    for setting in &plan.settings {
        let old = setting.old.as_ref().map_or_else(|| "not set".into(), |old| format!("\"{old}\""));
        let _ = writeln!(text, "  {}: {old} -> \"{}\"", setting.key, setting.new);
    }
    text
}

fn ports(ports: &BTreeSet<(u16, Protocol)>) -> String {
    ports.iter().map(|(port, protocol)| format!("{port}/{}", protocol.name())).collect::<Vec<_>>().join(", ")
}

/// Asks for yes or no. The end of the input means no.
fn asks(question: &str, default: bool) -> anyhow::Result<bool> {
    let choice = if default { "[Y/n]" } else { "[y/N]" };
    loop {
        print!("{question} {choice} ");
        io::stdout().flush().context("writing to the terminal")?;
        match line()?.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("") => return Ok(default),
            Some("y" | "yes") => return Ok(true),
            None | Some("n" | "no") => return Ok(false),
            Some(_) => println!("Answer y or n."),
        }
    }
}

/// Asks for a line. Returns `None` if it is empty.
fn answer(question: &str) -> anyhow::Result<Option<String>> {
    print!("{question}: ");
    io::stdout().flush().context("writing to the terminal")?;
    Ok(line()?.filter(|line| !line.is_empty()))
}

fn line() -> anyhow::Result<Option<String>> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line).context("reading from the terminal")?;
    Ok((read > 0).then(|| line.trim().to_owned()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let content = sink::read(path)?.with_context(|| format!("{} is missing", path.display()))?;
    String::from_utf8(content).with_context(|| format!("{} is not UTF-8", path.display()))
}

fn ignore(file: &Path, networks: &BTreeSet<IpNet>) -> anyhow::Result<()> {
    if networks.is_empty() {
        return Ok(());
    }
    let comment = "added by portsentry setup";
    let written = sink::update(file, sink::MODE, |old| {
        let text = String::from_utf8_lossy(old.unwrap_or_default());
        Some(ignoring(&text, networks, comment).into_bytes())
    });
    written.with_context(|| format!("writing {}", file.display()))
}

/// Makes a running daemon reload its files. Returns whether there is one.
fn reload(config: &Config, problems: Vec<String>) -> Result<bool, String> {
    match reload::ask(config, problems) {
        None => Ok(false),
        Some(Ok(_)) => Ok(true),
        Some(Err(refusal)) => Err([&[refusal.message][..], &refusal.details].concat().join("\n")),
    }
}

/// Runs the process that rolls back in time.
fn wait(cli: &Cli) -> anyhow::Result<Exit> {
    let path = pending::path(&cli.config_file);
    if let Some(pending) = pending::wait(&path)? {
        roll_back(cli, &path, &pending)?;
    }
    Ok(Exit::Success)
}

/// Restores the old configuration. Releases the sources blocked or fenced since it was armed, except those that an
/// administrator blocked.
fn roll_back(cli: &Cli, path: &Path, pending: &Pending) -> anyhow::Result<()> {
    pending.restore(&cli.config_file)?;
    pending::remove(path)?;
    let (options, problems) = options::salvaged(cli);
    let config = options.config;
    // If the daemon refuses, it keeps its blocks and fences. These sources are released nevertheless.
    let reloaded = reload(&config, problems);
    let held = inspect::held::read(&config, &Selection::default(), usize::MAX).map(|held| held.sources);
    let since = |source: &inspect::held::Listed| {
        source.by == Maker::Own && source.since >= before(pending.armed) && source.port.is_some()
    };
    let addresses: Vec<_> = held?.into_iter().filter(since).map(|source| source.address).collect();
    if !addresses.is_empty() {
        let addresses = addresses.into_iter().map(Target::Network).collect();
        block::unblock(
            cli,
            &Unblock {
                addresses,
                all: false,
                yes: false,
                reason: Some("setup was rolled back".into()),
                here: true,
                json: false,
            },
        );
    }
    reloaded.map(drop).map_err(anyhow::Error::msg)
}

/// Returns the previous second, because times of blocks are whole seconds.
fn before(time: Time) -> Time {
    Time(time.0.checked_sub(Duration::from_secs(1)).unwrap_or(time.0))
}
