//! `portsentry check`: validates the configuration, and prints its meaning.

mod machine;
mod service;

use std::fmt::Write;

use portsentry_common::classify::Protocol;

use serde::Serialize;

use super::{observed, options, show};
use crate::{
    cli::{Check, Cli},
    config::{Config, Interfaces, PortSet, Response, Setting, Values, ignore},
    daemon::{Options, watches_nothing},
    exit::Exit,
    modes::Modes,
    policy::{Enforcement, kills},
};

/// The output for programs.
#[derive(Debug, Default, Serialize)]
struct Checked {
    file: String,
    is_right: bool,
    errors: Vec<String>,
    warnings: Vec<String>,
    means: Vec<Fact>,
    settings: Vec<Setting>,
}

/// A fact about the configuration.
#[derive(Debug, Serialize)]
struct Fact {
    about: &'static str,
    what: String,
}

/// Prints what would be watched, blocked and run: by the service, unless the command line has flags of its own.
pub(super) fn run(cli: &Cli, check: Check) -> Exit {
    let file = |cli: &Cli| cli.config_file.display().to_string();
    let service = match service::command_line(cli) {
        Ok(service) => service,
        Err(problem) => return refuse(file(cli), vec![problem], check.json),
    };
    let cli = service.as_ref().map_or(cli, |(service, _)| service);
    let (options, mut warnings) = match options::read(cli) {
        Ok(read) => read,
        Err(errors) => return refuse(file(cli), errors, check.json),
    };
    warnings.extend(machine::lacks(&options.config).into_iter().map(|lack| format!("warning: {lack}")));
    let nothing = watches_nothing(&options.config, options.modes);
    if check.strict && !(warnings.is_empty() && nothing.is_none()) {
        warnings.extend(nothing.map(|nothing| format!("warning: {nothing}")));
        return refuse(file(cli), warnings, check.json);
    }
    let mut means = facts(&options);
    let place = means.iter().rposition(|fact| fact.about == "interfaces").map_or(0, |place| place + 1);
    let interfaces = machine::interfaces(&options.config);
    means.splice(place..place, interfaces.into_iter().map(|what| Fact { about: "interfaces", what }));
    if let Some((_, flags)) = &service {
        means.insert(0, Fact { about: "service", what: flags.clone() });
    }
    if check.json {
        let warnings = warnings.into_iter().chain(nothing.map(str::to_owned)).collect();
        let settings = options.settings.set;
        let checked =
            Checked { file: file(cli), is_right: true, warnings, means, settings, ..Checked::default() };
        return show::print(&observed::json(&checked));
    }
    warnings.iter().for_each(|warning| eprintln!("{warning}"));
    show::print(&describe(&file(cli), nothing, &means))
}

fn refuse(file: String, errors: Vec<String>, is_json: bool) -> Exit {
    if !is_json {
        errors.iter().for_each(|line| eprintln!("{line}"));
        return Exit::Configuration;
    }
    match show::print(&observed::json(&Checked { file, errors, ..Checked::default() })) {
        Exit::Success => Exit::Configuration,
        exit => exit,
    }
}

fn describe(file: &str, nothing: Option<&str>, facts: &[Fact]) -> String {
    let mut text = match nothing {
        Some(nothing) => format!("{file}: valid, but {nothing}. Effective configuration:\n"),
        None => format!("{file}: OK. Effective configuration:\n"),
    };
    for Fact { about, what } in facts {
        // Writing to a string never fails.
        let _ = writeln!(text, "  {about:<12} {what}");
    }
    text
}

fn facts(options: &Options) -> Vec<Fact> {
    let Options { config, modes, ignored, listed, settings, .. } = options;
    let mut facts = Vec::new();
    let mut say = |about, what| facts.push(Fact { about, what });
    for (what, ports) in watched(config, *modes) {
        say(
            "watched",
            format!("{what} {}", if ports.is_empty() { "no port".into() } else { ports.to_string() }),
        );
    }
    say(
        "interfaces",
        match &config.interfaces {
            Interfaces::All => "all".into(),
            Interfaces::AllButLoopback => "all but loopback".into(),
            Interfaces::Named(names) => names.join(", "),
        },
    );
    for network in &config.protected_networks {
        say("protected", network.to_string());
    }
    for network in ignored {
        say("ignored", network.to_string());
    }
    let ignored_too = ignore::static_file(&config.ignore_file);
    if ignored_too.exists() {
        say("ignored", format!("by {}, which is read, too", ignored_too.display()));
    }
    if !listed.is_empty() {
        let (hosts, networks) = (listed.hosts.len(), listed.networks.len());
        let list = config.block_list.display();
        say("blocked", format!("{hosts} hosts and {networks} networks, which {list} names"));
    }
    say("mode", Enforcement::new(config, *modes).in_full());
    let hit = config.scan_trigger.max(1);
    for (protocol, response) in [(Protocol::Tcp, config.block_tcp), (Protocol::Udp, config.block_udp)] {
        let then = match response {
            Response::LogOnly => "log only",
            Response::Block if config.block_unproven => {
                "block its source in the kernel, and run the actions below"
            }
            Response::Block => {
                "fence its source in the kernel, or block it if it is proven, and run the actions below"
            }
            Response::CommandOnly => "run KILL_RUN_CMD only",
        };
        say("on a probe", format!("{} number {hit} of a source: {then}", protocol.name()));
    }
    for (what, argv) in actions(config, *modes) {
        say("action", format!("{what}: {argv}"));
    }
    kills::when(config, *modes).into_iter().for_each(|when| say("action", when.to_owned()));
    let outputs: Vec<String> =
        [config.log_output].iter().chain(&config.also_log).map(ToString::to_string).collect();
    say("log", format!("{} lines to {}", config.log_format, outputs.join(" and ")));
    if let Some(log) = config.targets.json_log() {
        say("events", format!("as JSON to {log}"));
    }
    if let Some(address) = config.metrics_listen {
        say("metrics", format!("http://{address}/metrics and http://{address}/healthz"));
    }
    say("history", config.history_file.display().to_string());
    say("blocked", config.blocked_file.display().to_string());
    say("maps", config.pin_path.display().to_string());
    // Without drop-ins, the configuration file has all of them.
    if !settings.drop_ins().is_empty() {
        settings.drop_ins().iter().for_each(|file| say("drop-in", file.clone()));
        settings.set.iter().for_each(|setting| say("setting", setting.to_string()));
    }
    facts
}

fn watched(config: &Config, modes: Modes) -> Vec<(&'static str, PortSet)> {
    [
        (modes.is_listed(Protocol::Tcp), "TCP", config.ports_tcp.clone()),
        (modes.is_listed(Protocol::Udp), "UDP", config.ports_udp.clone()),
        (modes.is_advanced(Protocol::Tcp), "TCP", config.advanced_tcp()),
        (modes.is_advanced(Protocol::Udp), "UDP", config.advanced_udp()),
    ]
    .into_iter()
    .filter(|(is_on, _, _)| *is_on)
    .map(|(_, what, ports)| (what, ports))
    .collect()
}

/// Returns the actions in the order in which they run, for an example source.
fn actions(config: &Config, modes: Modes) -> Vec<(&'static str, String)> {
    let mode = modes.name(Protocol::Tcp, config.log_format);
    let target = std::net::IpAddr::from([192, 0, 2, 9]).into();
    let values = Values { target, port: 111, mode, proof: "", reason: "", until: None, id: None };
    let shown = |argv: Vec<String>| format!("{argv:?}");
    let command = config.kill_run_cmd.as_ref().map(|it| ("KILL_RUN_CMD", shown(it.argv(&values))));
    let deny = config.kill_hosts_deny.as_ref().map(|it| {
        let line = it.render(&values);
        ("KILL_HOSTS_DENY", format!("{line:?} into {}", config.wrapper_hosts_deny.display()))
    });
    let route = config.kill_route.as_ref().map(|it| ("KILL_ROUTE", shown(it.argv(&values))));
    let order = if config.kill_run_cmd_first { [command, deny, route] } else { [deny, route, command] };
    let undo = config.undoes_route().map(|it| ("KILL_ROUTE_LIFT", shown(it.argv(&values))));
    let lift = config.kill_run_cmd_lift.as_ref().map(|it| ("KILL_RUN_CMD_LIFT", shown(it.argv(&values))));
    order.into_iter().chain([undo, lift]).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{BlockList, Settings},
        modes::Mode,
    };

    #[test]
    fn it_says_what_is_watched_and_run() {
        let text = "TCP_PORTS=\"1,11\"\nBLOCK_TCP=\"1\"\nSCAN_TRIGGER=\"2\"\nKILL_RUN_CMD_FIRST=\"1\"\n\
                    KILL_RUN_CMD=\"/bin/page $TARGET$ $PORT$\"\nKILL_HOSTS_DENY=\"ALL: $TARGET$\"\n\
                    JSON_LOG=\"-\"\nLOG_OUTPUT=\"journald\"\nMETRICS_LISTEN=\"127.0.0.1:9911\"\n";
        let (mut config, _) = Config::parse(text, "test").unwrap();
        config.log_format = crate::config::LogFormat::Classic;
        let modes = [Mode::Stcp].into_iter().collect();
        let ignored = vec!["127.0.0.0/8".parse().unwrap()];
        let options = Options {
            config,
            modes,
            ignored,
            listed: BlockList::default(),
            debug: false,
            warnings: vec![],
            settings: Settings::default(),
        };
        let said = describe("test", None, &facts(&options));
        for line in [
            "  watched      TCP 1,11\n",
            "  ignored      127.0.0.0/8\n",
            "  on a probe   TCP number 2 of a source: fence its source in the kernel",
            "  action       KILL_RUN_CMD: [\"/bin/page\", \"192.0.2.9\", \"111\"]\n  action       \
                KILL_HOSTS_DENY: \
             \"ALL: 192.0.2.9\" into /etc/hosts.deny\n",
            "  log          classic lines to journald\n  events       as JSON to stdout\n  metrics      \
                http://127.0.0.1:9911/metrics ",
        ] {
            assert!(said.contains(line), "{line}\n{said}");
        }
    }
}
