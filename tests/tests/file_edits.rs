//! An administrator's edits of the daemon's files while it runs.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use portsentry_tests::lab::{FAMILIES, Family, Lab, Reach};

#[test]
fn a_line_taken_out_of_the_blocked_file_lets_its_host_in() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").start();
    let [lifted, held] = FAMILIES.map(|family| daemon.block_source(family));
    let path = daemon.setup().path("BLOCKED_FILE");
    fs::write(&path, daemon.file_about("BLOCKED_FILE", held).join("\n") + "\n")
        .expect("an administrator's edit");
    daemon.log().wait_for(&format!("adminalert: Host {lifted} is no longer blocked"));
    assert_eq!(daemon.blocked(), [held]);
    assert!(service.answers(&lab.scanner, lifted, Reach::Expected));
    assert!(!service.answers(&lab.scanner, held, Reach::Unexpected));
    daemon.wait_until("hosts.deny follows", || daemon.file_about("WRAPPER_HOSTS_DENY", lifted).is_empty());
    assert_eq!(daemon.file_about("WRAPPER_HOSTS_DENY", held).len(), 1);
    assert_eq!(daemon.file_about("BLOCKED_FILE", held).len(), 1);
    // Its count starts again.
    lab.nmap(lifted, "-sS -p 15");
    daemon.wait_until("it is blocked again", || daemon.blocked().contains(&lifted));
    daemon.wait_until("its history has all", || daemon.file_about("HISTORY_FILE", lifted).len() == 3);
}

#[test]
fn a_line_added_to_the_blocked_file_blocks_its_host() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").start();
    let before = daemon.block_source(Family::V4);
    let added = FAMILIES.map(|family| lab.source(family));
    assert!(added.iter().all(|source| service.answers(&lab.scanner, *source, Reach::Expected)));
    let mut lines = daemon.file("BLOCKED_FILE");
    lines.extend(added.map(|source| source.to_string()));
    // An administrator can't lock out the host itself.
    lines.push(Family::V4.host().to_string());
    fs::write(daemon.setup().path("BLOCKED_FILE"), lines.join("\n") + "\n").expect("an administrator's edit");
    for source in added {
        daemon.log().wait_for(&format!("Host {source} is blocked: its line in the blocked file"));
        daemon.wait_for_block(source);
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
    }
    let host = Family::V4.host();
    daemon.log().wait_for(&format!("the blocked file names {host}, which is never blocked"));
    let mut expected = [&[before], &added[..]].concat();
    let mut blocked = daemon.blocked();
    expected.sort_unstable();
    blocked.sort_unstable();
    assert_eq!(blocked, expected);
    daemon.wait_until("the file is put right", || daemon.file_about("BLOCKED_FILE", host).is_empty());
    assert_eq!(daemon.file("BLOCKED_FILE").len(), 3);
}

#[test]
fn other_peoples_lines_in_hosts_deny_survive() {
    const THEIRS: &str = "# mine\nsshd: 198.51.100.0/24\nALL: 192.0.2.9 : DENY";
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let path = setup.path("WRAPPER_HOSTS_DENY");
    fs::write(&path, THEIRS).expect("somebody's file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).expect("somebody's mode");
    std::os::unix::fs::chown(&path, Some(12), Some(34)).expect("somebody's file");
    let daemon = setup.start();
    let source = daemon.block_source(Family::V4);
    let with_ours = format!("{THEIRS}\nALL: {source} : DENY\n");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), with_ours);
    fs::write(daemon.setup().path("BLOCKED_FILE"), "").expect("an administrator's edit");
    daemon.wait_until("our line goes", || {
        fs::read_to_string(&path).is_ok_and(|text| text == format!("{THEIRS}\n"))
    });
    let metadata = fs::metadata(&path).expect("it is there");
    assert_eq!((metadata.mode() & 0o777, metadata.uid(), metadata.gid()), (0o604, 12, 34));
}

#[test]
fn a_line_of_ours_in_hosts_deny_that_was_there_before_survives() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let source = lab.source(Family::V4);
    let theirs = format!("ALL: {source} : DENY\n");
    fs::write(setup.path("WRAPPER_HOSTS_DENY"), &theirs).expect("an administrator's line");
    let daemon = setup.start();
    lab.nmap(source, "-sS -p 11");
    daemon.wait_until("the blocked file notes it", || {
        daemon.file_about("BLOCKED_FILE", source).iter().any(|line| line.ends_with(" # denied before"))
    });
    // The change survives a restart.
    daemon.terminate();
    let daemon = setup.start();
    let other = daemon.block_source(Family::V6);
    fs::write(setup.path("BLOCKED_FILE"), "").expect("an administrator's edit");
    daemon.log().wait_for(&format!("Host {source} is no longer blocked"));
    daemon.wait_until("our line goes", || daemon.file_about("WRAPPER_HOSTS_DENY", other).is_empty());
    assert_eq!(daemon.file("WRAPPER_HOSTS_DENY"), [theirs.trim()]);
    assert!(service.answers(&lab.scanner, source, Reach::Expected));
}

#[test]
fn a_source_that_becomes_ignored_is_let_in() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").start();
    let [freed, held] = FAMILIES.map(|family| daemon.block_source(family));
    let path = daemon.setup().path("IGNORE_FILE");
    fs::write(&path, format!("{freed}/32")).expect("an administrator's edit");
    daemon.log().wait_for(&format!("Host {freed} is no longer blocked"));
    assert_eq!(daemon.blocked(), [held]);
    assert!(service.answers(&lab.scanner, freed, Reach::Expected));
    lab.nmap(freed, "-sS -p 11,15");
    daemon.settle();
    assert!(!daemon.blocked().contains(&freed));
    // An invalid file has no effect.
    fs::write(&path, "192.0.2.0/33\n").expect("an administrator's mistake");
    daemon.log().wait_for("the ignored networks are unchanged");
    lab.nmap(freed, "-sS -p 11,15");
    daemon.settle();
    assert!(!daemon.blocked().contains(&freed));
}
