//! `portsentry doctor`: checks whether PortSentry can run here, before the program is attached.

mod bound;
mod files;
mod filter;
mod finding;
mod fleet;
mod interface;
mod links;
mod notifier;
mod outgoing;
mod scans;
mod system;

use portsentry_common::settings::FencedSyns;

use self::finding::{Finding, Level};
use super::{observed, options, show, table};
use crate::{
    cli::{Cli, Doctor},
    exit::Exit,
    inspect::fence::fenced_syns,
    kernel::{self, Observer},
    policy::{
        Enforcement,
        enforcement::Strength,
        interfaces::{LeftOut, choose, missing},
        without_ports,
    },
};

/// Prints the findings. The exit code shows whether one prevents watching.
pub(super) fn run(cli: &Cli, doctor: Doctor) -> Exit {
    let (options, errors) =
        options::read(cli).map_or_else(|_| options::salvaged(cli), |(options, _)| (options, Vec::new()));
    let enforcement = Enforcement::new(&options.config, options.modes);
    let in_files = files::findings(&cli.config_file, &options.settings);
    let (lacks, config) = (without_ports(&options.config, options.modes), options.config);
    let mut findings = system::findings(&config.pin_path);
    findings.push(mode(enforcement));
    findings.extend(in_files);
    findings.extend(notifier::finding(&cli.config_file, &config));
    findings.extend(errors.into_iter().map(|error| {
        Finding::problem(
            "files",
            error,
            "`portsentry check` shows the line; a running daemon keeps the old settings",
        )
    }));
    findings.extend(lacks.into_iter().map(|lack| Finding::warning("ports", lack.what(), lack.remedy)));
    // Without permission to read the pins, PortSentry's program is indistinguishable from another.
    let pinned = Observer::open(&config.pin_path).ok().flatten();
    let running = pinned.as_ref().filter(|observer| observer.daemon().is_some());
    findings.extend(running.map(Observer::bound).and_then(Result::ok).map(|state| bound::finding(&state)));
    if let Some(way) = running.map(|observer| fenced_syns(&config, observer)) {
        findings.push(Finding::ok("fence", kernel::describe_fence(way)));
        findings.extend((way == FencedSyns::Accept).then(filter::finding).flatten());
    }
    if let Some(Ok(answers)) = running.map(Observer::answers) {
        findings.push(outgoing::in_effect(config.answers, answers));
    }
    if let Some(Ok(state)) = running.map(Observer::scans) {
        let answers = running.and_then(|observer| observer.answers().ok());
        findings.extend(scans::findings(&config, &state, answers));
    }
    if let Some(fleet) = super::fleet::ask(&config) {
        findings.extend(fleet::findings(&fleet));
    }
    let pinned_links = pinned.as_ref().map(Observer::links).unwrap_or_default();
    match links::read() {
        Ok(links) => {
            let surroundings = interface::Surroundings {
                pinned: &pinned_links,
                provisional: &pinned.as_ref().map(Observer::provisional).unwrap_or_default(),
                answers: config.challenge.then_some(config.xdp_mode),
                cpus: system::cpus(),
            };
            let there = links.iter().map(|(there, _)| (there.index, there.clone())).collect();
            let chosen = choose(&config.interfaces, &there);
            for (index, link) in links.iter().map(|(there, link)| (there.index, link)) {
                match chosen.get(&index) {
                    Some(Err(LeftOut::Unwanted)) | None => {}
                    Some(Err(reason)) => {
                        findings.push(Finding::ok(&link.name, format!("not to be watched: {reason}")));
                    }
                    Some(Ok(())) => {
                        findings.extend(interface::findings(link, &surroundings));
                        findings.extend(of_outgoing(running, link));
                    }
                }
            }
            findings.extend(missing(&config.interfaces, &there).map(|name| {
                Finding::warning(
                    name,
                    "no such interface: it will be watched once it exists",
                    "`ip link` lists the interfaces",
                )
            }));
            if !chosen.values().any(Result::is_ok) {
                findings.push(Finding::problem(
                    "kernel",
                    "no interface to watch yet: probes are not detected until there is one",
                    "name one in INTERFACES; `ip link` lists them",
                ));
            }
        }
        Err(error) => findings.push(Finding::problem(
            "kernel",
            format!("interfaces can't be read: {error}"),
            "run this in the network namespace to be watched",
        )),
    }
    let has_problem = findings.iter().any(|finding| finding.level == Level::Problem);
    let text = if doctor.json { observed::json(&findings) } else { render(&findings) };
    match show::print(&text) {
        Exit::Success if has_problem => Exit::Failure,
        exit => exit,
    }
}

/// Returns the finding on the outgoing packets of an interface that runs PortSentry's program.
fn of_outgoing(running: Option<&Observer>, link: &links::Link) -> Option<Finding> {
    let running = running.filter(|running| running.links().contains(&link.index))?;
    running.outgoing(link.index).ok().map(|found| outgoing::on_interface(&link.name, &found))
}

fn mode(enforcement: Enforcement) -> Finding {
    let strength = enforcement.strength();
    match strength {
        Strength::Observing => {
            Finding::warning("mode", enforcement.to_string(), Enforcement::how_to_change(strength))
        }
        _ => Finding::ok("mode", enforcement.in_full()),
    }
}

fn render(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.about.chars().count()).max().unwrap_or(0);
    let lines = findings.iter().map(|Finding { about, level, what, remedy }| {
        let remedy =
            remedy.as_ref().map(|remedy| format!("\n{:10}{:width$}-> {}", "", "", table::plain(remedy)));
        let line = format!("{:8}  {about:width$}  {what}", level.name());
        table::plain(&line) + &remedy.unwrap_or_default() + "\n"
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_with_what_to_do_below() {
        let findings = [
            Finding::ok("kernel", "type information is there"),
            Finding::warning("eth0", "LRO is on", "switch it off"),
            Finding::problem("eth0", "occupied", "free it"),
        ];
        assert_eq!(
            render(&findings),
            "ok        kernel  type information is there\n\
             warning   eth0    LRO is on\n                -> switch it off\n\
             problem   eth0    occupied\n                -> free it\n"
        );
    }

    #[test]
    fn programs_read_levels_in_small_letters() {
        let value: serde_json::Value =
            serde_json::from_str(&observed::json(&[Finding::problem("eth0", "a", "b")])).unwrap();
        let expected = serde_json::json!([{"about": "eth0", "level": "problem", "what": "a", "remedy": "b"}]);
        assert_eq!(value, expected);
    }
}
