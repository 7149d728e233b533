//! The parts of the manual pages that the command line's definition doesn't have: files, examples and references.

use clap_mangen::roff::{Roff, bold, italic, roman};

/// A command and its effect.
type Example = (&'static str, &'static str);

/// Examples by command; those of the program itself have an empty name. A test parses each.
const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "",
        &[
            ("portsentry setup", "Arm PortSentry step by step, once it has observed for some days."),
            ("portsentry -stcp -sudp", "Watch TCP_PORTS and UDP_PORTS in the background, as 1.2 does."),
            ("portsentry -i eth0 -l stdout", "Watch one interface in the foreground."),
            ("portsentry list", "List blocked and fenced sources."),
            ("portsentry unblock 192.0.2.9", "Let a source in again."),
        ],
    ),
    (
        "run",
        &[
            ("portsentry run -stcp -audp", "Watch TCP_PORTS, and every UDP port below ADVANCED_PORTS_UDP."),
            ("portsentry run -c /tmp/try.conf -l stdout", "Try another configuration in the foreground."),
        ],
    ),
    (
        "check",
        &[
            ("portsentry check", "Validate the configuration with the service's flags."),
            ("portsentry -atcp check", "Validate it with other flags."),
            ("portsentry check --strict", "For automation: exit with status 3 on warnings, too."),
        ],
    ),
    (
        "list",
        &[
            (
                "portsentry list --state blocked --network 192.0.2.0/24",
                "List blocked sources in this network, and blocked networks that contain it.",
            ),
            ("portsentry list --json | jq -r '.[].address'", "Print the addresses alone."),
        ],
    ),
    (
        "status",
        &[(
            "portsentry status > /dev/null || echo detached",
            "Check in a script whether PortSentry enforces.",
        )],
    ),
    ("why", &[("portsentry why 192.0.2.9", "Explain why a source is blocked, with its packets.")]),
    (
        "explain",
        &[
            (
                "portsentry explain 192.0.2.9 8443",
                "Say whether a client would be fenced if it connected to port 8443.",
            ),
            ("portsentry explain 192.0.2.9 53/udp --json", "The same for a datagram, for a script."),
        ],
    ),
    (
        "top",
        &[
            ("portsentry top", "Follow sources and counters until q is pressed."),
            ("portsentry top --once --json", "Print the figures of one second, for a script."),
        ],
    ),
    (
        "block",
        &[
            (
                "portsentry block 192.0.2.9 --for 2h --reason 'guesses passwords'",
                "Block a source for two hours.",
            ),
            ("portsentry block 2001:db8:bad::/48", "Block a network for good."),
            (
                "portsentry block - --for 7days < addresses.txt",
                "Block a list, with one address or network a line.",
            ),
        ],
    ),
    (
        "unblock",
        &[
            ("portsentry unblock 192.0.2.9 2001:db8::9", "Let two sources in again."),
            ("portsentry unblock 192.0.2.0/24", "Unblock a network, and all sources in it."),
            ("portsentry unblock --all --yes", "Unblock everything without a question."),
        ],
    ),
    (
        "served",
        &[
            ("portsentry served", "List the ports of other hosts that have answered or refused."),
            ("portsentry served --network 192.0.2.0/24 --json", "List those of one network, for programs."),
        ],
    ),
    (
        "peers",
        &[
            ("portsentry peers", "List the other gateways of the fleet."),
            ("portsentry peers hold gw2", "Ignore what a gateway says, and suspend its blocks."),
            ("portsentry peers release gw2", "Hear it again."),
            ("portsentry peers forget gw2", "Forget what it said, and release its blocks."),
        ],
    ),
    ("allow", &[("portsentry allow 192.0.2.0/24", "Exempt a network in the whole fleet.")]),
    (
        "notify",
        &[
            ("portsentry notify --check", "Validate notify.conf."),
            ("portsentry notify --test", "Send a test message to every channel."),
        ],
    ),
    (
        "share",
        &[
            (
                "portsentry share init --gateway gw1 gw2 gw3 --server nats1 nats2 nats3",
                "Make the keys and files of a fleet of three gateways and three servers.",
            ),
            (
                "portsentry share --file fleet/administrator/share.conf create",
                "Create the fleet's state on the servers.",
            ),
            ("portsentry share --check", "Validate share.conf and the keys."),
        ],
    ),
    ("forget", &[("portsentry forget 192.0.2.9 --port 8443", "Forget what one port has answered.")]),
    (
        "history",
        &[
            ("portsentry history --since 2h", "Print the blocks and fences of the last two hours."),
            ("portsentry history --address 192.0.2.9 --json", "Print the past of one source, for programs."),
        ],
    ),
    ("lists", &[("portsentry lists", "Print the block lists, with their entries and hits.")]),
    (
        "report",
        &[
            ("portsentry report", "Report on the last seven days."),
            (
                "portsentry report --since 30d --html /var/lib/portsentry/report.html",
                "Write a page about the last month, for a browser or for printing.",
            ),
        ],
    ),
    (
        "events",
        &[
            ("portsentry events --follow", "Follow what happens, until interrupted."),
            (
                "portsentry events --follow --json --action block | jq -r .source.ip",
                "Print the address of each source that is blocked, as it is.",
            ),
        ],
    ),
    (
        "reload",
        &[(
            "portsentry check && portsentry reload",
            "Validate a changed configuration, and put it into effect.",
        )],
    ),
    (
        "down",
        &[("portsentry down", "End all enforcement; the blocked file keeps the blocks for the next start.")],
    ),
    (
        "doctor",
        &[(
            "portsentry doctor",
            "Look for problems before the first start, and after a new kernel or network card.",
        )],
    ),
    (
        "setup",
        &[
            ("portsentry setup", "Arm PortSentry; answer its questions, log in once more, then confirm."),
            (
                "portsentry setup --yes --ignore 192.0.2.3 --confirm-within 10m",
                "Arm it without questions, and roll back after ten minutes unless confirmed.",
            ),
            ("portsentry setup --yes --confirmed --interfaces eth0", "Arm it by automation, for good."),
        ],
    ),
    (
        "confirm",
        &[
            ("portsentry confirm", "Keep the configuration, once a new login has worked."),
            ("portsentry confirm --roll-back", "Return to the configuration before setup."),
        ],
    ),
    (
        "review",
        &[(
            "portsentry review --since 7days",
            "Look for false positives among the sources of the last week.",
        )],
    ),
    (
        "completions",
        &[(
            "portsentry completions bash > /etc/bash_completion.d/portsentry",
            "Install completions without the package.",
        )],
    ),
    ("man", &[("portsentry man unblock | man -l -", "Read a page without the package.")]),
];

/// A file, its meaning, and the commands that use it.
type File = (&'static str, &'static str, &'static [&'static str]);

/// The files, where the shipped configuration has them. The program's own page has all.
const FILES: &[File] = &[
    ("/etc/portsentry/portsentry.conf", "Settings: portsentry.conf(5).", &["*"]),
    (
        "/etc/portsentry/portsentry.conf.d/*.conf",
        "Drop-ins: read after it, in the order of their names. Each setting has the value of the last file that sets it.",
        &["run", "check", "reload", "setup", "doctor"],
    ),
    (
        "/etc/portsentry/portsentry.ignore",
        "Sources that are never fenced or blocked (IGNORE_FILE): one address or network a line, then a comment.",
        &["run", "check", "reload", "setup", "review", "why", "explain"],
    ),
    ("/etc/default/portsentry", "Modes and further flags of the service.", &["run", "check"]),
    (
        "/etc/hosts.deny",
        "Blocked sources, with KILL_HOSTS_DENY (WRAPPER_HOSTS_DENY).",
        &["run", "block", "unblock"],
    ),
    (
        "/var/lib/portsentry/portsentry.blocked",
        "Blocked and fenced sources (BLOCKED_FILE). Removing a line lifts the block, adding one blocks.",
        &["run", "block", "unblock", "down"],
    ),
    (
        "/var/lib/portsentry/portsentry.history",
        "All blocks, fences and releases (HISTORY_FILE).",
        &["run", "history", "report", "why", "block", "unblock"],
    ),
    (
        "/var/lib/portsentry/portsentry.evidence",
        "The packets that led to them (EVIDENCE_FILE).",
        &["run", "why", "review", "history", "report"],
    ),
    (
        "/run/portsentry/control.sock",
        "The daemon's socket for commands (CONTROL_SOCKET).",
        &[
            "run", "block", "unblock", "reload", "status", "list", "lists", "top", "history", "report",
            "why", "events",
        ],
    ),
    (
        "/sys/fs/bpf/portsentry",
        "The kernel program's maps and links (PIN_PATH). Removing links/ in it ends enforcement at once.",
        &["run", "list", "status", "explain", "top", "down", "doctor"],
    ),
    (
        "/etc/portsentry/portsentry.conf.unconfirmed",
        "The configuration before setup, until it is confirmed.",
        &["setup", "confirm"],
    ),
];

/// Returns the sections that follow the options on the page of `verb`, the program's own if it is empty.
pub(super) fn sections(verb: &str) -> String {
    let mut page = Roff::new();
    let files: Vec<&File> = FILES
        .iter()
        .filter(|(_, _, of)| verb.is_empty() || of.contains(&"*") || of.contains(&verb))
        .collect();
    page.control("SH", ["FILES"]);
    for (path, meaning, _) in files {
        page.control("TP", []).text([italic(*path)]).text([roman(*meaning)]);
    }
    page.control("SH", ["EXAMPLES"]);
    let examples = EXAMPLES.iter().find(|(name, _)| *name == verb).map_or(&[][..], |(_, examples)| examples);
    for (command, effect) in examples {
        page.control("TP", []).text([bold(*command)]).text([roman(*effect)]);
    }
    page.control("SH", ["SEE ALSO"]);
    let mut see = vec![bold("portsentry.conf"), roman("(5)")];
    if !verb.is_empty() {
        see.extend([roman(", "), bold("portsentry"), roman("(8)")]);
    }
    see.push(roman(", /usr/share/doc/portsentry-xdp/"));
    page.text(see);
    page.to_roff()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::{cli::Cli, config::Config};

    #[test]
    fn examples_are_valid_command_lines() {
        for (verb, examples) in EXAMPLES {
            for (command, effect) in *examples {
                assert!(effect.ends_with('.'), "{command}: {effect}");
                let lines = command.split([';', '|', '&', '>', '<']).map(str::trim);
                let ours: Vec<_> = lines.filter(|line| line.starts_with("portsentry")).collect();
                assert!(ours.last().is_some_and(|line| line.contains(verb)), "{verb}: {command}");
                for line in ours {
                    let words = shell_words::split(line).unwrap();
                    let read = Cli::read(words.into_iter().map(OsString::from));
                    assert!(read.is_ok(), "{command}: {}", read.unwrap_err());
                }
            }
        }
    }

    #[test]
    fn every_command_has_examples() {
        for verb in super::super::verbs() {
            let has = EXAMPLES.iter().any(|(name, examples)| *name == verb && !examples.is_empty());
            assert!(has, "gen_docs/manual.rs has no example of {verb}");
        }
        for (name, _) in EXAMPLES {
            assert!(name.is_empty() || super::super::verbs().iter().any(|verb| verb == name), "{name}");
        }
    }

    #[test]
    fn files_are_where_the_shipped_configuration_has_them() {
        let (shipped, _) = Config::parse(include_str!("../../../../etc/portsentry.conf"), "shipped").unwrap();
        let evidence = shipped.evidence_file.unwrap();
        let socket = shipped.control_socket.unwrap();
        for path in [
            &shipped.ignore_file,
            &shipped.blocked_file,
            &shipped.history_file,
            &shipped.wrapper_hosts_deny,
            &shipped.pin_path,
            &evidence,
            &socket,
        ] {
            assert!(FILES.iter().any(|(file, ..)| path.as_os_str() == *file), "{}", path.display());
        }
    }
}
