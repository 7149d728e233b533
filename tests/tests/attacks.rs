//! Attacks on the daemon itself: spoofed sources, replaced files, names with terminal control characters.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
};

use portsentry_tests::{
    frames::{FIN, SYN, tcp, udp},
    lab::{Daemon, FAMILIES, Family, Lab, Portsentry, Reach, Wire, by_way_of},
};

/// The documented exit code for an invalid configuration.
const CONFIGURATION: i32 = 3;
const RESOLVER: [&str; 2] = ["192.0.2.53", "2001:db8::53"];
const IGNORED: [&str; 2] = ["198.51.100.7", "2001:db8:1::7"];

/// Addresses that an attacker might spoof, and that must never be blocked.
fn untouchable(family: Family) -> Vec<IpAddr> {
    let others: &[&str] = match family {
        Family::V4 => &[
            "127.0.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.5",
            "239.1.2.3",
            "255.255.255.255",
            // The network's broadcast addresses (RFC 919, and the older form).
            "192.0.2.255",
            "192.0.2.0",
            "192.0.2.3",
        ],
        Family::V6 => &["::1", "::", "ff02::1", "ff0e::5", "::ffff:192.0.2.77", "2001:db8::3"],
    };
    let at = usize::from(family == Family::V6);
    let named = [RESOLVER[at], IGNORED[at]];
    let parsed = named.iter().chain(others).map(|text| text.parse().expect("an address"));
    [family.host()].into_iter().chain(parsed).collect()
}

#[test]
fn no_forged_packet_blocks_who_must_never_be() {
    let lab = Lab::new();
    // The bystander is the gateway.
    for family in FAMILIES {
        let version = if family == Family::V6 { "-6 " } else { "" };
        lab.host.run(
            "ip",
            &format!("{version}route add default via {}", family.bystander()).split(' ').collect::<Vec<_>>(),
        );
    }
    let service = lab.serve_tcp(8080);
    let resolvers = RESOLVER.map(|resolver| format!("nameserver {resolver}\n")).concat();
    let file = lab.files().join("resolv.conf");
    fs::write(&file, resolvers).expect("a file");
    let daemon = lab
        .portsentry("-stcp -sudp -v")
        .ignoring(IGNORED[0])
        .ignoring(format!("{}/48", IGNORED[1]))
        .start_in(by_way_of(&format!("mount --bind {} /etc/resolv.conf; exec \"$@\"", file.display())));
    let wire = Wire::open(&lab.scanner);
    for source in FAMILIES.into_iter().flat_map(untouchable) {
        let from = SocketAddr::new(source, 40_000).to_string();
        let family = Family::of(source);
        for port in [1, 7, 11, 79] {
            let to = SocketAddr::new(family.host(), port).to_string();
            for packet in [tcp(SYN), tcp(FIN), tcp(SYN).vlan(7), udp()] {
                wire.send(&packet.from(&from).to(&to));
            }
        }
    }
    daemon.settle();
    assert!(daemon.counter("ignored") > 0 && daemon.counter("implausible") > 0, "they were seen");
    // Only the source that ended `settle` is blocked.
    let blocked = daemon.blocked();
    assert_eq!(blocked.len(), 1, "{blocked:?}");
    assert!(daemon.fenced().is_empty());
    for source in FAMILIES.into_iter().flat_map(untouchable) {
        for file in ["BLOCKED_FILE", "HISTORY_FILE", "WRAPPER_HOSTS_DENY"] {
            assert!(daemon.file_about(file, source).is_empty(), "{source} stands in {file}");
        }
    }
    service.assert_open_to_bystander(&lab);
}

/// Starts the daemon after `change` to the configuration file. The output must contain `texts`.
fn assert_refused(setup: &Portsentry<'_>, texts: &[&str], change: &dyn Fn(&Path)) {
    let ended = setup.fail_in(|command| {
        change(&setup.config_path());
        command
    });
    assert_eq!(ended.code, Some(CONFIGURATION), "{}", ended.text());
    for text in texts {
        assert!(ended.text().contains(text), "{text} isn't in:\n{}", ended.text());
    }
}

#[test]
fn files_that_others_could_exchange_are_refused() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let mode = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    let files = lab.files();
    assert_refused(&setup, &["below", "world-writable", "chmod o-w"], &|_| mode(files, 0o777));
    assert_refused(&setup, &["below", "belongs to user 65534", "chown root"], &|_| {
        mode(files, 0o755);
        chown(files, Some(65534), None).expect("root gives it away");
    });
    chown(files, Some(0), None).expect("root takes it back");
    let ignore = files.join("portsentry.ignore");
    assert_refused(&setup, &["portsentry.ignore is world-writable"], &|_| mode(&ignore, 0o666));
    fs::remove_file(&ignore).expect("it is ours");
    assert_refused(&setup, &["portsentry.ignore belongs to user 65534"], &|_| {
        chown(&ignore, Some(65534), None).expect("root gives it away");
    });
    fs::remove_file(&ignore).expect("it is there");
    // A symbolic link in a world-writable directory, to a valid file.
    let open = files.join("open");
    fs::create_dir(&open).expect("a directory");
    mode(&open, 0o777);
    fs::write(files.join("fine"), "").expect("a file");
    symlink(files.join("fine"), open.join("link")).expect("a link");
    let linked = setup.clone().with("IGNORE_FILE", &open.join("link").display().to_string());
    assert_refused(&linked, &["open/link is below", "world-writable"], &|_| {});
    setup.start();
}

fn block(daemon: &Daemon<'_>) -> IpAddr {
    let source = daemon.lab().source(Family::V4);
    daemon.lab().nmap(source, "-sS -p 11");
    daemon.wait_until("it is blocked", || daemon.blocked().contains(&source));
    source
}

#[test]
fn files_that_are_exchanged_while_it_runs_lead_nowhere() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let service = lab.serve_tcp(8080);
    let precious = lab.files().join("precious");
    fs::write(&precious, "root:x:0:0\n").expect("a file");
    let daemon = setup.start();
    let first = block(&daemon);
    daemon.wait_for_block(first);
    for (file, name) in [
        ("HISTORY_FILE", "portsentry.history"),
        ("BLOCKED_FILE", "portsentry.blocked"),
        ("WRAPPER_HOSTS_DENY", "hosts.deny"),
    ] {
        let path = setup.path(file);
        fs::remove_file(&path).expect("it is there");
        symlink(&precious, &path).expect("a link");
        std::os::unix::fs::lchown(&path, Some(65534), None).expect("somebody else's link");
        let source = block(&daemon);
        let said = |line: &String| line.contains("ERROR: ") && line.contains(name);
        daemon.wait_until("it is refused", || daemon.log().lines().iter().any(said));
        assert_eq!(fs::read_to_string(&precious).expect("it is there"), "root:x:0:0\n");
        assert!(daemon.blocked().contains(&first), "it unblocks no source");
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
    }
    // The daemon doesn't follow a symbolic link at the temporary file's path either.
    let beside = setup.path("BLOCKED_FILE").with_file_name(".portsentry.blocked.portsentry-new");
    symlink(&precious, &beside).expect("a link");
    for file in ["HISTORY_FILE", "BLOCKED_FILE", "WRAPPER_HOSTS_DENY"] {
        fs::remove_file(setup.path(file)).expect("the link");
    }
    let last = block(&daemon);
    daemon.wait_until("the files are whole again", || {
        let named = |file| daemon.file_about(file, last).len() == 1;
        ["HISTORY_FILE", "BLOCKED_FILE", "WRAPPER_HOSTS_DENY"].into_iter().all(named)
    });
    assert_eq!(fs::read_to_string(&precious).expect("it is there"), "root:x:0:0\n");
    assert!(daemon.file_about("BLOCKED_FILE", first).len() == 1);
}

#[test]
fn a_blocked_file_that_everybody_may_write_to_lifts_and_blocks_nobody() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let source = block(&daemon);
    daemon.wait_for_block(source);
    daemon.wait_until("it is written", || daemon.file_about("BLOCKED_FILE", source).len() == 1);
    let path = setup.path("BLOCKED_FILE");
    // A real attacker first makes the file writable, and then writes to it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("it is ours");
    fs::write(&path, format!("{}\n", Family::V4.bystander())).expect("anybody may");
    let said = |line: &String| line.contains("portsentry.blocked is world-writable");
    daemon.wait_until("it is told", || daemon.log().lines().iter().any(said));
    daemon.settle();
    assert!(daemon.blocked().contains(&source) && !daemon.blocked().contains(&Family::V4.bystander()));
    fs::remove_file(&path).expect("the administrator sees to it");
    daemon.wait_until("it is written anew", || daemon.file_about("BLOCKED_FILE", source).len() == 1);
}

#[test]
fn the_name_of_an_interface_reaches_no_terminal() {
    const NAME: &str = "\u{1b}[2Jx\u{202e}y";
    let lab = Lab::new();
    lab.host.run("ip", &["link", "add", NAME, "type", "veth", "peer", "name", "quiet"]);
    lab.host.run("ip", &["link", "set", NAME, "up"]);
    let daemon = lab.portsentry("-stcp -i ALL").start();
    daemon.settle();
    let text = daemon.log().lines().join("\n");
    assert!(text.contains("\\u{1b}[2Jx"), "it is watched, and told in words: {text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    let said = daemon.setup().say("doctor").out;
    assert!(said.contains("[2Jx") && !said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
}
