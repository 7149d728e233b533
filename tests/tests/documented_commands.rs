//! Runs the commands of the documents in order, on a Debian machine with the package installed. Compares the output
//! with the text shown, except for numbers.

use std::{
    thread,
    time::{Duration, Instant},
};

use portsentry_tests::{
    document::{self, Command, TYPED},
    lab::{Family, INTERFACE, Lab, Machine},
};

/// Files and journal are written a moment after the event.
const PATIENCE: Duration = Duration::from_secs(20);
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// Path of the package in the documents.
const PACKAGE: &str = concat!("/tmp/portsentry-xdp_", env!("CARGO_PKG_VERSION"), "-1_amd64.deb");
/// Preconditions of documents that don't cover the installation: blocking and metrics are on, and Debian's libwrap0
/// is installed, as on most machines.
const SETTINGS: &str = r#"
: >> /etc/hosts.deny
sed -i 's/^BLOCK_\(TCP\|UDP\)=.*/BLOCK_\1="1"/; s/^#\(METRICS_LISTEN\)/\1/' /etc/portsentry/portsentry.conf
systemctl restart portsentry || { journalctl --sync; journalctl --unit portsentry --output cat --no-pager; false; }
portsentry block 203.0.113.0/24
"#;
/// Earlier scanners: one that completed handshakes, and one that did not.
const PROVEN: [&str; 2] = ["192.0.2.9", "2001:db8::9"];
const UNPROVEN: [&str; 2] = ["192.0.2.10", "2001:db8::a"];

/// Returns a machine before the administrator's first step.
fn fresh(lab: &Lab) -> Machine {
    let machine = lab.boot();
    machine.run("dpkg --purge --force-depends portsentry portsentry-xdp || :; rm -rf /etc/portsentry");
    machine.bring_package(1, PACKAGE);
    machine
}

/// Returns a machine on which portsentry blocks, with a blocked source, a fenced source, and a blocked network.
fn at_work(lab: &Lab) -> Machine {
    let machine = fresh(lab);
    machine.run(&format!("dpkg --install {PACKAGE}"));
    machine.run(SETTINGS);
    for (addresses, scan) in [(PROVEN, "-sT -p 79,109"), (UNPROVEN, "-sS -p 79")] {
        for address in addresses {
            let bits = if address.contains(':') { "128 nodad" } else { "32" };
            lab.scanner.ip(&format!("address add {address}/{bits} dev {INTERFACE}"));
            lab.nmap(address.parse().expect("an address"), scan);
        }
    }
    machine
}

/// Returns the commands of a document that this test runs.
fn commands(path: &str) -> Vec<Command> {
    document::commands(&document::read(path), |program| TYPED.contains(&program))
}

/// Runs a command repeatedly until it prints the text shown. `run` runs one on the machine.
fn follow(
    (lab, machine): (&Lab, &Machine),
    path: &str,
    command: &Command,
    are_words_shown: bool,
    run: &mut dyn FnMut(&str) -> Result<String, String>,
) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = if command.program() == "nmap" {
            let words: Vec<_> = command.line.split_whitespace().skip(1).collect();
            Ok(lab.scanner.run("nmap", &words))
        } else {
            run(&command.line)
        };
        let lacks = |text: &str| {
            let words = command.words().filter(|word| are_words_shown && !text.contains(*word));
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        let problem = match &said {
            Ok(text) | Err(text) if said.is_err() == command.is_refused() => {
                let lacks = lacks(text);
                (!lacks.is_empty()).then(|| format!("{text}\nlacks {lacks:?}"))
            }
            Ok(text) | Err(text) => Some(text.clone()),
        };
        let Some(problem) = problem else { return };
        if Instant::now() > deadline {
            let journal = machine.try_run("journalctl --unit portsentry --output short-precise --lines 40");
            panic!("{path}: {}\n{problem}\n{}", command.line, journal.unwrap_or_else(|error| error));
        }
        thread::sleep(BETWEEN_TRIES);
    }
}

/// Runs the commands of a document in order.
fn read(path: &str, machine: impl FnOnce(&Lab) -> Machine, least: usize, are_words_shown: bool) {
    let commands = commands(path);
    assert!(commands.len() >= least, "{path} has only {commands:#?}");
    let lab = Lab::new();
    let machine = machine(&lab);
    // Every real machine's interface has traffic.
    let _traffic = lab.keep_sending(lab.source(Family::V4));
    for command in &commands {
        follow((&lab, &machine), path, command, are_words_shown, &mut |line| machine.try_run(line));
    }
}

#[test]
fn the_kernels_side_can_be_looked_into() {
    read("docs/bpftool.md", at_work, 12, true);
}

#[test]
fn the_first_hour_goes_as_told() {
    read("docs/first-hour.md", fresh, 20, true);
}

/// Types the commands into a terminal. `setup` asks its questions there.
#[test]
fn the_first_hour_goes_as_told_when_it_is_typed() {
    const PATH: &str = "docs/first-hour.md";
    const ANSWERS: [(&str, &str); 2] = [("those shown as watched: ", ""), ("within 5 min? [y/N] ", "y")];
    let lab = Lab::new();
    let machine = fresh(&lab);
    let _traffic = lab.keep_sending(lab.source(Family::V4));
    let mut shell = machine.shell();
    let mut typed = Vec::new();
    let mut run = |line: &str| {
        let line = if line == "portsentry setup --yes" { "portsentry setup" } else { line };
        let answers = if line == "portsentry setup" { &ANSWERS[..] } else { &[] };
        typed.push(line.to_owned());
        shell.run(line, answers, Duration::from_mins(2))
    };
    for command in &commands(PATH) {
        follow((&lab, &machine), PATH, command, true, &mut run);
    }
    assert!(typed.iter().any(|line| line == "portsentry setup"), "{typed:?}");
}

#[test]
fn a_gateways_commands_do_what_is_said() {
    read("docs/gateway.md", at_work, 8, true);
}

/// The output shown there is an example with other hosts and times.
#[test]
fn the_commands_of_all_other_documents_work() {
    const READ: [&str; 3] = ["docs/first-hour.md", "docs/gateway.md", "docs/bpftool.md"];
    let others = document::paths().into_iter().filter(|path| !READ.contains(&path.as_str()));
    let others = others.filter(|path| !commands(path).is_empty());
    let others: Vec<_> = others.collect();
    assert!(others.iter().any(|path| path == "docs/commands.md"), "{others:?}");
    for path in others {
        read(&path, at_work, 1, false);
    }
}
