//! The KILL commands: selection, order, arguments, and log lines.

use std::{fs, net::IpAddr, path::PathBuf};

use portsentry_tests::lab::{Daemon, FAMILIES, Family, Lab, Reach};

/// Creates a script in the lab. It appends its name, its arguments, and the number of the first argument's lines in
/// `hosts.deny` to a file, and then runs `more`.
fn script(lab: &Lab, name: &str, more: &str) -> PathBuf {
    let files = lab.files().display();
    let text = format!(
        "#!/bin/sh\nprintf '%s' {name} >> {files}/ran.part\nfor word; do printf ' [%s]' \"$word\" >> {files}/ran.part; \
         done\nprintf ' denied: %s\\n' \"$(grep -c -F \"$1\" {files}/hosts.deny 2>&1)\" >> {files}/ran.part\n\
         cat {files}/ran.part >> {files}/ran; rm {files}/ran.part\n{more}\n"
    );
    let deny = lab.files().join("hosts.deny");
    if !deny.exists() {
        fs::write(deny, "").expect("an empty file");
    }
    lab.program(name, text)
}

fn scan(daemon: &Daemon<'_>, family: Family, words: &str) -> IpAddr {
    let source = daemon.lab().source(family);
    daemon.lab().nmap(source, words);
    source
}

#[test]
fn actions_are_taken_in_the_documented_order() {
    for (first, expected) in [
        ("0", ["route [@] denied: 1", "command [@] [11] [stcp] denied: 1"]),
        ("1", ["command [@] [11] [stcp] denied: 0", "route [@] denied: 1"]),
    ] {
        let lab = Lab::new();
        let (route, command) = (script(&lab, "route", ""), script(&lab, "command", ""));
        let daemon = lab
            .portsentry("-stcp")
            .with("KILL_ROUTE", &format!("{} $TARGET$", route.display()))
            .with("KILL_RUN_CMD", &format!("{} $TARGET$ $PORT$ $MODE$", command.display()))
            .with("KILL_RUN_CMD_FIRST", first)
            .start();
        for family in FAMILIES {
            let source = scan(&daemon, family, "-sS -p 11");
            let target = source.to_string();
            let [route_line, command_line] = [
                format!(
                    "attackalert: Host {source} has been blocked via dropped route using command: \"{} {source}\"",
                    route.display()
                ),
                format!(
                    "attackalert: External command run for host: {source} using command: \"{} {source} 11 stcp\"",
                    command.display()
                ),
            ];
            daemon.log().wait_for(&route_line);
            daemon.log().wait_for(&command_line);
            daemon.wait_for_block(source);
            let lines: Vec<_> = lab.recorded().into_iter().filter(|line| line.contains(&target)).collect();
            assert_eq!(
                lines,
                expected.map(|line| line.replace('@', &target)),
                "KILL_RUN_CMD_FIRST=\"{first}\""
            );
        }
    }
}

#[test]
fn the_mode_is_named_as_its_family_names_it() {
    let lab = Lab::new();
    let command = script(&lab, "command", "");
    for (flags, format, words, mode) in [
        ("-stcp", "classic", "-sS -p 11", "stcp"),
        ("-sudp", "classic", "-sU -p 69", "sudp"),
        ("-atcp", "classic", "-sS -p 425", "atcp"),
        ("-audp", "classic", "-sU -p 425", "audp"),
        ("-tcp", "classic", "-sT -p 11", "tcp"),
        ("-udp", "classic", "-sU -p 69", "udp"),
        ("--stealth", "revival", "-sS -p 11", "stealth"),
        ("--connect", "revival", "-sT -p 11", "connect"),
    ] {
        let daemon = lab
            .portsentry(flags)
            .with("LOG_FORMAT", format)
            .with("KILL_RUN_CMD", &format!("{} $TARGET$ $MODE$", command.display()))
            .start();
        let source = scan(&daemon, Family::V4, words);
        let expected = format!("command [{source}] [{mode}] ");
        daemon.wait_until(&expected, || lab.recorded().iter().any(|line| line.starts_with(&expected)));
        daemon.terminate();
    }
}

#[test]
fn response_2_runs_the_command_and_nothing_else() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let (route, command) = (script(&lab, "route", ""), script(&lab, "command", ""));
    let daemon = lab
        .portsentry("-stcp -sudp")
        .with("BLOCK_TCP", "2")
        .with("KILL_ROUTE", &format!("{} $TARGET$", route.display()))
        .with("KILL_RUN_CMD", &format!("{} $TARGET$", command.display()))
        .start();
    let source = scan(&daemon, Family::V4, "-sS -p 11");
    daemon.log().wait_for(&format!("External command run for host: {source}"));
    daemon.settle();
    let about: Vec<_> =
        lab.recorded().into_iter().filter(|line| line.contains(&source.to_string())).collect();
    assert_eq!(about, [format!("command [{source}] denied: 0")]);
    assert!(!daemon.blocked().contains(&source));
    assert_eq!(daemon.file_about("WRAPPER_HOSTS_DENY", source), [""; 0]);
    assert!(service.answers(&lab.scanner, source, Reach::Expected));
    // UDP has its own setting.
    let source = scan(&daemon, Family::V4, "-sU -p 69");
    daemon.wait_for_block(source);
    daemon.log().wait_for(&format!("Host {source} has been blocked via dropped route"));
}

#[test]
fn a_failed_command_is_reported_as_failed() {
    let lab = Lab::new();
    let failing = script(&lab, "failing", "echo 'no such table' >&2; exit 3");
    let missing = lab.files().join("missing");
    let daemon = lab
        .portsentry("-stcp")
        .with("KILL_ROUTE", &format!("{} $TARGET$", failing.display()))
        .with("KILL_RUN_CMD", &format!("{} $TARGET$", missing.display()))
        .start();
    let source = scan(&daemon, Family::V4, "-sS -p 11");
    daemon.log().wait_for(&format!(
        "adminalert: ERROR: KILL_ROUTE for host {source}: \"{} {source}\" failed with exit status: 3, saying \"no such table\"",
        failing.display()
    ));
    daemon.log().wait_for(&format!(
        "adminalert: ERROR: KILL_RUN_CMD for host {source}: \"{} {source}\" could not be started: No such file or directory",
        missing.display()
    ));
    daemon.wait_for_block(source);
    let lines = daemon.log().lines();
    assert!(
        !lines.iter().any(|line| line.contains("via dropped route") || line.contains("External command run"))
    );
}

#[test]
fn a_route_to_a_dead_host_is_made() {
    // An unused address.
    let dead = Family::V4.member(250);
    let lab = Lab::new();
    let command = format!("ip route add $TARGET$ via {dead}");
    let daemon = lab.portsentry("-stcp").with("KILL_ROUTE", &command).start();
    let source = lab.source(Family::V4);
    let route = || lab.host.run("ip", &["route", "get", &source.to_string()]);
    assert!(!route().contains("via"), "{}", route());
    lab.nmap(source, "-sS -p 11");
    let made = command.replace("$TARGET$", &source.to_string());
    daemon.log().wait_for(&format!(
        "attackalert: Host {source} has been blocked via dropped route using command: \"{made}\""
    ));
    assert!(route().starts_with(&format!("{source} via {dead} dev eth0 ")), "{}", route());
}

#[test]
fn a_slow_command_holds_nothing_up() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    // It waits for a writer that never comes.
    let pipe = lab.files().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let slow = script(&lab, "slow", &format!("exec cat {}", pipe.display()));
    let daemon = lab.portsentry("-stcp").with("KILL_ROUTE", &format!("{} $TARGET$", slow.display())).start();
    for number in 0..20 {
        let source = scan(&daemon, FAMILIES[number % 2], "-sS -p 11");
        daemon.wait_for_block(source);
        assert!(!service.answers(&lab.scanner, source, Reach::AtOnce));
    }
    let begin = std::time::Instant::now();
    assert_eq!(daemon.terminate().code, Some(0), "commands that hang don't keep it from ending");
    assert!(begin.elapsed().as_secs() < 15, "it took {:?} to end", begin.elapsed());
    let left = lab.host.run("sh", &["-c", &format!("pgrep -f -c '^cat {}' || :", pipe.display())]);
    assert_eq!(left.trim(), "0", "no command is left running");
}

#[test]
fn a_shell_is_there_for_what_only_a_shell_can_do() {
    let lab = Lab::new();
    let (one, two) = (script(&lab, "one", ""), script(&lab, "two", ""));
    let daemon = lab
        .portsentry("-stcp")
        .with("KILL_ROUTE", &format!("{} $TARGET$ && {} $TARGET$ 'a b'", one.display(), two.display()))
        .start();
    let source = scan(&daemon, Family::V6, "-sS -p 11");
    daemon.log().wait_for("has been blocked via dropped route using command");
    let lines = lab.recorded();
    assert!(lines[0].starts_with(&format!("one [{source}] ")), "{lines:?}");
    assert!(lines[1].starts_with(&format!("two [{source}] [a b] ")), "{lines:?}");
}
