//! `block` locks no administrator out by mistake, and `unblock` frees what it names.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr},
    process::{Command, Stdio},
};

use portsentry_tests::lab::{Daemon, Family, Lab, Portsentry, Said, binary};

/// An SSH server as far as its name goes: it accepts one connection, says so, and keeps it.
const SERVER: &str = "import socket,time\ns=socket.create_server(('',2222))\nprint('listens',flush=True)\n\
    c,_=s.accept()\nprint('accepted',flush=True)\ntime.sleep(120)";
const CLIENT: &str = "import socket,sys,time\ns=socket.create_connection((sys.argv[1],2222),\
    source_address=(sys.argv[2],0))\nprint('connected',flush=True)\ntime.sleep(120)";

/// Runs a command, with a text on its standard input.
fn said(mut command: Command, input: &str) -> Said {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // A command that refuses its arguments reads nothing.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let ended = child.wait_with_output().expect("it ends");
    let [out, errors] = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
    Said { out, errors, code: ended.status.code().expect("no signal") }
}

/// Runs `portsentry WORDS` with a text on its standard input.
fn say(setup: &Portsentry<'_>, words: &str, input: &str) -> Said {
    let mut command = setup.lab().host.command(binary());
    command.arg("-c").arg(setup.config_path()).args(words.split_whitespace());
    said(command, input)
}

fn assert_refused(said: &Said, text: &str) {
    assert_eq!(said.code, 1, "{}{}", said.out, said.errors);
    assert!(said.errors.contains(text) && said.errors.contains("--force"), "{}", said.errors);
    assert!(said.errors.ends_with("nothing was changed\n"), "{}", said.errors);
}

/// The network of 16 addresses that holds `address`.
fn around(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { panic!("an IPv4 address") };
    format!("{}/28", Ipv4Addr::from(u32::from(address) & !15))
}

#[test]
fn the_peer_of_an_ssh_session_is_not_blocked_by_mistake() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let peer = lab.source(Family::V4);
    let sshd = lab.program("sshd", fs::read("/usr/bin/python3").expect("a program"));
    let start = |mut command: Command, script: &str, arguments: &[String]| {
        let command = command.args(["-c", script]).args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        assert!(lines.next().is_some_and(|line| line.is_ok()), "it says that it is ready");
        (child, lines)
    };
    let (mut server, mut said) = start(lab.host.command(&sshd), SERVER, &[]);
    let arguments = [Family::V4.host().to_string(), peer.to_string()];
    let (mut client, _said) = start(lab.scanner.command("python3"), CLIENT, &arguments);
    assert_eq!(said.next().expect("a line").expect("text"), "accepted");

    assert_refused(&say(&setup, &format!("block {peer}"), ""), "is the peer of an SSH session on this host");
    assert_refused(
        &say(&setup, &format!("block {}", around(peer)), ""),
        &format!("holds {peer}, the peer of"),
    );
    assert_refused(&say(&setup, "block -", &format!("198.51.100.9\n{peer}\n")), "the peer of");
    assert!(daemon.blocked().is_empty());
    let forced = say(&setup, &format!("block --force {peer}"), "");
    assert_eq!((forced.code, daemon.blocked()), (0, vec![peer]), "{}", forced.errors);
    for child in [&mut server, &mut client] {
        child.kill().expect("it ends");
        child.wait().expect("it has ended");
    }
}

#[test]
fn ones_own_session_is_known_by_its_environment_even_behind_sudo() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let peer = "198.51.100.7";
    for (variable, script) in [
        ("SSH_CONNECTION=198.51.100.7 50000 192.0.2.1 22", "exec \"$@\""),
        ("SSH_CLIENT=198.51.100.7 50000 22", "exec \"$@\""),
        // As sudo does it.
        ("SSH_CONNECTION=198.51.100.7 50000 192.0.2.1 22", "env -i \"$@\"; exit $?"),
    ] {
        let run = |words: &[&str]| {
            let mut command = lab.host.command("env");
            command.args([variable, "sh", "-c", script, "sh"]).arg(binary());
            said(
                {
                    command.arg("-c").arg(setup.config_path()).args(words);
                    command
                },
                "",
            )
        };
        assert_refused(&run(&["block", peer]), "198.51.100.7 is the peer of your own SSH session");
        assert_refused(&run(&["block", "198.51.100.0/24"]), "holds 198.51.100.7, the peer of your own");
        assert!(daemon.blocked().is_empty());
    }
    let gateway = "198.51.100.1";
    lab.host
        .ip(&format!("route add 198.51.100.0/24 dev eth0\nroute add 203.0.113.0/24 via {gateway} dev eth0"));
    assert_refused(
        &say(&setup, "block 198.51.100.0/24", ""),
        &format!("holds {gateway}, a gateway of this host"),
    );
    // It is exempt in any case.
    let said = say(&setup, &format!("block --force {gateway}"), "");
    assert!(said.code == 1 && said.errors.contains("is never blocked"), "{}", said.errors);
    let said = say(&setup, "block --force 198.51.100.0/24", "");
    assert_eq!(said.code, 0, "{}", said.errors);
}

#[test]
fn unblock_frees_what_it_names() {
    const NETWORK: &str = "198.51.100.0/24";
    let lab = Lab::new();
    for socket in ["on", "off", "no daemon"] {
        let mut setup = lab.portsentry("-stcp");
        if socket == "off" {
            setup = setup.with("CONTROL_SOCKET", "off");
        }
        let mut daemon = Some(setup.start());
        let blocked = |words: &str| {
            let said = say(&setup, words, "");
            assert_eq!(said.code, 0, "{socket}: {words}: {}", said.errors);
        };
        let listed = || -> Vec<String> {
            let list = setup.say("list --json --sort address").json();
            let entries = list.as_array().expect("a list");
            entries.iter().filter_map(|entry| Some(entry["address"].as_str()?.to_owned())).collect()
        };
        let wait = |daemon: &Option<Daemon<'_>>, expected: &[&str]| match daemon {
            // A line counts as removed once the daemon has written it itself.
            Some(daemon) => daemon.wait_until(&format!("{socket}: {expected:?}"), || {
                listed() == expected
                    && daemon.file("BLOCKED_FILE").iter().all(|line| line.contains(" Host: "))
            }),
            None => assert_eq!(listed(), expected, "{socket}"),
        };
        blocked(&format!("block {NETWORK}"));
        blocked("block 198.51.100.9 198.51.100.10 203.0.113.9");
        wait(&daemon, &["198.51.100.0/24", "198.51.100.9", "198.51.100.10", "203.0.113.9"]);
        if socket == "no daemon" {
            daemon.take().expect("a daemon").kill();
        }

        // An address that only its network holds.
        let said = say(&setup, "unblock 198.51.100.77", "");
        assert_eq!(said.code, 1, "{socket}: {}", said.out);
        for text in [NETWORK, "portsentry unblock 198.51.100.0/24", "IGNORE_FILE"] {
            assert!(said.out.contains(text), "{socket}: {}", said.out);
        }
        let said = say(&setup, "unblock --json 198.51.100.9", "");
        assert_eq!(
            (said.code, &said.json()["still_in"]["198.51.100.9"]),
            (1, &NETWORK.into()),
            "{}",
            said.out
        );
        wait(&daemon, &["198.51.100.0/24", "198.51.100.10", "203.0.113.9"]);

        // A wider network, which has no entry itself.
        let said = say(&setup, "unblock 198.51.0.0/16", "");
        assert_eq!(said.code, 0, "{socket}: {}{}", said.out, said.errors);
        wait(&daemon, &["203.0.113.9"]);
        assert!(fs::read_to_string(setup.setting("BLOCKED_FILE")).is_ok_and(|text| !text.contains("198.51")));

        blocked("block 198.51.100.9 2001:db8:77::/48");
        let said = say(&setup, "unblock --all", "");
        assert_eq!(said.code, 1, "{socket}: {}", said.out);
        assert!(said.errors.contains("--yes confirms it"), "{socket}: {}", said.errors);
        wait(&daemon, &["198.51.100.9", "203.0.113.9", "2001:db8:77::/48"]);
        let said = say(&setup, "unblock --all --yes", "");
        assert_eq!(said.code, 0, "{socket}: {}{}", said.out, said.errors);
        wait(&daemon, &[]);
        setup.say("down");
    }
}

#[test]
fn a_list_is_read_from_standard_input() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let _daemon = setup.start();
    let words = ["block", "-", "--for", "2h", "--reason", "a list of mine"];
    let run = |input: &str| {
        let mut command = lab.host.command(binary());
        command.arg("-c").arg(setup.config_path()).args(words);
        said(command, input)
    };
    let said = run("198.51.100.9\nhost.example\n");
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.errors.contains("standard input, line 2: \"host.example\""), "{}", said.errors);
    assert_eq!(setup.say("list --json").json(), serde_json::json!([]));

    let said = run("# mine\n198.51.100.9 # one\n203.0.113.0/24\n2001:db8:77::/48\n");
    assert_eq!(said.code, 0, "{}{}", said.out, said.errors);
    let list = setup.say("list --json").json();
    let entries = list.as_array().expect("a list");
    assert_eq!(entries.len(), 3, "{list}");
    for entry in entries {
        assert_eq!(entry["reason"], "a list of mine", "{entry}");
        assert!(entry["until"].is_string(), "{entry}");
    }
    let said = say(&setup, "unblock -", "198.51.100.9\n203.0.113.0/24\n");
    assert_eq!(said.code, 0, "{}{}", said.out, said.errors);
    assert_eq!(setup.say("list --json").json().as_array().map(Vec::len), Some(1));
    // A thousand at a time.
    let many: Vec<String> =
        (0..1000).map(|number| format!("198.18.{}.{}", number / 250, number % 250 + 1)).collect();
    assert_eq!(run(&many.join("\n")).code, 0);
    assert_eq!(setup.say("list --json").json().as_array().map(Vec::len), Some(1001));
    let said = say(&setup, "unblock 198.18.0.0/15", "");
    assert_eq!(said.out, "198.18.0.0/15: unblocked, with 1000 entries in it\n", "{}", said.errors);
}
