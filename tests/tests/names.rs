//! `RESOLVE_HOST`: names of scanners in the log, from a name server that the scanner may control.

use std::{fs, net::IpAddr, path::Path, process};

use portsentry_tests::lab::{Daemon, FAMILIES, Family, Lab, Names, Portsentry, by_way_of};
use tempfile::Builder;

/// Returns a configuration with the host's own name server.
fn resolving<'lab>(lab: &'lab Lab, portsentry: &Portsentry<'lab>) -> Daemon<'lab> {
    let resolv = lab.files().join("resolv.conf");
    fs::write(&resolv, "nameserver 127.0.0.1\n").expect("a file");
    let mount = format!("mount --bind {} /etc/resolv.conf; exec \"$@\"", resolv.display());
    portsentry.clone().with("RESOLVE_HOST", "1").start_in(by_way_of(&mount))
}

fn scan(lab: &Lab, source: IpAddr) {
    lab.nmap(source, "-sS -p 11");
}

#[test]
fn a_name_that_leads_back_is_used() {
    for (format, in_log, in_history) in [
        (
            "classic",
            "attackalert: TCP SYN/Normal scan from host: NAME/ADDRESS to TCP",
            "Host: NAME/ADDRESS Port: 11",
        ),
        (
            "revival",
            "Scan from: [ADDRESS] (NAME) protocol: [TCP]",
            "Scan from: [ADDRESS] (NAME) protocol: [TCP]",
        ),
    ] {
        let lab = Lab::new();
        let [v4, v6, liar, nameless] =
            [Family::V4, Family::V6, Family::V4, Family::V4].map(|it| lab.source(it));
        let names = Names::default()
            .with(v4, &[b"four", b"example"])
            .leading_to(&[b"four", b"example"], v4)
            .with(v6, &[b"six", b"example"])
            .leading_to(&[b"six", b"example"], v6)
            // The owner of an address can give it any name.
            .with(liar, &[b"bank", b"example"])
            .leading_to(&[b"bank", b"example"], Family::V4.bystander());
        names.serve(&lab);
        let daemon = resolving(&lab, &lab.portsentry("-stcp").with("LOG_FORMAT", format));
        for (source, name) in [
            (v4, "four.example"),
            (v6, "six.example"),
            (liar, &liar.to_string()),
            (nameless, &nameless.to_string()),
        ] {
            let spelt = |text: &str| text.replace("NAME", name).replace("ADDRESS", &source.to_string());
            scan(&lab, source);
            daemon.log().wait_for(&spelt(in_log));
            daemon.wait_until("the history follows", || {
                daemon.file("HISTORY_FILE").iter().any(|line| line.contains(&spelt(in_history)))
            });
        }
        assert_eq!(daemon.log().count("bank.example"), 0, "{format}");
    }
}

#[test]
fn a_name_never_delays_a_block() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let sources = FAMILIES.map(|family| lab.source(family));
    let names = sources.iter().fold(Names::default(), |names, source| names.silent_about(*source));
    names.serve(&lab);
    let daemon = resolving(&lab, &lab.portsentry("-stcp"));
    for source in sources {
        scan(&lab, source);
        assert!(daemon.blocked().contains(&source));
        service.assert_open_to_bystander(&lab);
        // Without an answer the log shows the address.
        daemon.log().wait_for(&format!("from host: {source}/{source} to TCP port: 11"));
        daemon
            .wait_until("hosts.deny follows", || !daemon.file_about("WRAPPER_HOSTS_DENY", source).is_empty());
    }
}

#[test]
fn nothing_but_a_name_comes_out_of_a_name_server() {
    let lab = Lab::new();
    // The command could create this file. The path is in lower case, because resolvers may lower the case of names.
    // The command without a path would create `/pwned`.
    let name = format!("pwn-{}", process::id());
    let place = Builder::new().prefix(&name).rand_bytes(0).tempdir().expect("a directory");
    let (marker, at_root) = (place.path().join("pwned"), Path::new("/pwned"));
    let touch = format!("touch {}", marker.display());
    let hostile: [Vec<u8>; 11] = [
        format!("$({touch})").into(),
        format!("`{touch}`").into(),
        format!("x;{touch}").into(),
        format!("x\n{touch}\n").into(),
        b"$(touch pwned)`touch pwned`;touch pwned".into(),
        b"a\nattackalert: Host 198.51.100.9 has been blocked".into(),
        b"\x1b]0;pwned\x07\x1b[2J".into(),
        b"a b/192.0.2.9 to TCP port: 1".into(),
        b"..%n%s%x".into(),
        b"-rf".into(),
        b"\xff\xfe\x00".into(),
    ];
    let sources = hostile.each_ref().map(|_| lab.source(Family::V4));
    let names = sources.iter().zip(&hostile).fold(Names::default(), |names, (source, label)| {
        names.with(*source, &[label, b"example"]).leading_to(&[label, b"example"], *source)
    });
    names.serve(&lab);
    let ran = place.path().join("ran");
    let command = format!("echo $TARGET$ >> {}", ran.display());
    let setup = lab.portsentry("-stcp").with("KILL_RUN_CMD", &command);
    let daemon = resolving(&lab, &setup);
    for source in sources {
        scan(&lab, source);
        daemon.log().wait_for(&format!("from host: {source}/{source} to TCP port: 11"));
        daemon.wait_until("the command has run", || {
            fs::read_to_string(&ran).unwrap_or_default().lines().any(|line| line == source.to_string())
        });
    }
    daemon.terminate();
    assert!(!marker.exists() && !at_root.exists(), "a name has been executed");
}
