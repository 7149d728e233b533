//! Blocks that a daemon takes over from the files, or from maps of another version.

use std::{fs, net::IpAddr};

use portsentry_tests::lab::{FAMILIES, Family, Lab, Portsentry, Reach, classic_record, dump, remove_pins};

/// Blocks sources and stops the daemon, so that only the files name them.
fn leave_files(lab: &Lab, setup: &Portsentry<'_>) -> [IpAddr; 2] {
    let daemon = setup.start();
    let sources = FAMILIES.map(|family| lab.source(family));
    for source in sources {
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
    }
    daemon.terminate();
    remove_pins(&lab.pins());
    sources
}

#[test]
fn blocks_are_taken_over_from_the_blocked_file() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let sources = leave_files(&lab, &setup);
    let daemon = setup.start();
    daemon.assert_holds_once(&sources);
    for source in sources {
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
        assert_eq!(daemon.lines_about(source), [""; 0], "that isn't news");
    }
}

#[test]
fn a_line_taken_out_while_no_daemon_ran_lifts_the_block() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let [lifted, held] = [lab.source(Family::V4), lab.source(Family::V4)];
    for source in [lifted, held] {
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
    }
    let lines = daemon.file("BLOCKED_FILE");
    daemon.kill();
    let kept: Vec<_> = lines.iter().filter(|line| !line.contains(&lifted.to_string())).cloned().collect();
    fs::write(setup.setting("BLOCKED_FILE"), kept.join("\n") + "\n").expect("an administrator's edit");
    let daemon = setup.start();
    assert_eq!(daemon.blocked(), [held]);
    assert!(service.answers(&lab.scanner, lifted, Reach::Expected));
    assert!(!service.answers(&lab.scanner, held, Reach::Unexpected));
    daemon.wait_until("hosts.deny follows", || daemon.file_about("WRAPPER_HOSTS_DENY", lifted).is_empty());
    let history = daemon.file_about("HISTORY_FILE", lifted);
    assert!(
        history.len() == 2 && history[1].contains(" Lifted # because "),
        "history is history: {history:?}"
    );
}

#[test]
fn the_files_of_1_2s_modes_are_taken_over() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp -sudp");
    let [by_tcp, by_udp] = [lab.source(Family::V4), lab.source(Family::V4)];
    for (suffix, source, protocol) in [("stcp", by_tcp, "TCP"), ("sudp", by_udp, "UDP")] {
        let path = format!("{}.{suffix}", setup.setting("BLOCKED_FILE"));
        let line =
            format!("1795389179 - 11/22/2026 23:12:59 Host: {source}/{source} Port: 1 {protocol} Blocked\n");
        fs::write(path, line).expect("a file of 1.2's");
    }
    let daemon = setup.start();
    let mut blocked = daemon.blocked();
    blocked.sort_unstable();
    assert_eq!(blocked, [by_tcp, by_udp]);
    for (source, protocol) in [(by_tcp, "TCP"), (by_udp, "UDP")] {
        daemon
            .wait_until("the blocked file shows it", || daemon.file_about("BLOCKED_FILE", source).len() == 1);
        assert!(classic_record(
            &daemon.file_about("BLOCKED_FILE", source)[0],
            source,
            (1, protocol, "Blocked")
        ));
    }
}

/// Creates a map of another version, with a permanent block of `source`.
fn leave_map(lab: &Lab, name: &str, source: IpAddr, value_size: usize) {
    let octets = match source {
        IpAddr::V4(source) => source.octets().to_vec(),
        IpAddr::V6(source) => source.octets().to_vec(),
    };
    let path = lab.pins().join(name).display().to_string();
    let words = |octets: &[u8]| octets.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
    let create = format!(
        "map create {path} type hash key {} value {value_size} entries 1000 name {name}",
        octets.len()
    );
    let mut value = vec![0; value_size];
    // `port` and `protocol` of a `Block`, if there are any.
    value.splice(
        32.min(value_size)..,
        [11, 0, 6].into_iter().chain([0; 64]).take(value_size.saturating_sub(32)),
    );
    let update = format!("map update pinned {path} key {} value {}", words(&octets), words(&value));
    for command in [create, update] {
        lab.host.run("bpftool", &command.split(' ').collect::<Vec<_>>());
    }
}

#[test]
fn blocks_in_maps_of_another_version_stay_in_force() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let [shorter, longer] = FAMILIES.map(|family| lab.source(family));
    fs::create_dir_all(lab.pins()).expect("a directory of pins");
    leave_map(&lab, "BLOCKED_V4", shorter, 32);
    leave_map(&lab, "BLOCKED_V6", longer, 56);
    leave_map(&lab, "SIGHTS", longer, 8);
    let daemon = setup.start();
    assert!(!lab.pins().join("SIGHTS").exists(), "the map's earlier name is gone");
    for source in [shorter, longer] {
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} gets through");
        daemon.wait_until("it is recorded", || daemon.file_about("BLOCKED_FILE", source).len() == 1);
    }
    assert!(daemon.file_about("BLOCKED_FILE", longer)[0].contains("Port: 11 TCP Blocked"));
    service.assert_open_to_bystander(&lab);
}

/// Returns the remaining duration of the kernel's block of `source`, in seconds.
fn held_seconds(lab: &Lab, source: IpAddr) -> u64 {
    let IpAddr::V4(source) = source else { unreachable!("an IPv4 source") };
    let entries = dump(&lab.pins().join("BLOCKED_V4"));
    let entry = entries
        .iter()
        .find(|entry| entry["formatted"]["key"]["octets"] == serde_json::json!(source.octets()));
    let value = &entry.expect("the block")["formatted"]["value"];
    let nanoseconds = |name: &str| value[name].as_u64().expect("a time");
    // A new block starts at a tick of the clock, a restored one at a whole second.
    (nanoseconds("until_ns") - nanoseconds("since_ns") + 500_000_000) / 1_000_000_000
}

#[test]
fn a_returning_source_stays_blocked_for_longer() {
    let lab = Lab::new();
    let settings = [("BLOCK_TIME", "1"), ("BLOCK_TIME_FACTOR", "60"), ("MAX_BLOCK_TIME", "600")];
    let setup = settings.iter().fold(lab.portsentry("-stcp"), |setup, (key, value)| setup.with(key, value));
    let daemon = setup.start();
    let [source, other] = [lab.source(Family::V4), lab.source(Family::V4)];
    lab.nmap(source, "-sS -p 11");
    daemon.log().wait_for(&format!("Host {source} is no longer blocked: its time is over"));
    lab.nmap(source, "-sS -p 11");
    daemon.log().wait_for(&format!("Host {source} reoffended (block 2): blocked for 60 s"));
    daemon.wait_until("the history has both", || daemon.file_about("HISTORY_FILE", source).len() == 3);
    assert_eq!(held_seconds(&lab, source), 60);
    daemon.kill();
    let daemon = setup.start();
    assert_eq!(held_seconds(&lab, source), 60);
    // A reboot leaves only the files.
    daemon.terminate();
    remove_pins(&lab.pins());
    let daemon = setup.start();
    assert_eq!(held_seconds(&lab, source), 60);
    // Removing the line unblocks the source, but the history keeps its block.
    fs::write(setup.setting("BLOCKED_FILE"), "").expect("an administrator's edit");
    daemon.log().wait_for(&format!("Host {source} is no longer blocked"));
    lab.nmap(source, "-sS -p 11");
    daemon.log().wait_for(&format!("Host {source} reoffended (block 3): blocked for 600 s"));
    lab.nmap(other, "-sS -p 11");
    daemon.log().wait_for(&format!("Host {other} is no longer blocked: its time is over"));
    assert!(!daemon.log().lines().iter().any(|line| line.contains(&format!("Host {other} reoffended"))));
}
