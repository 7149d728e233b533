//! The block list: hosts and networks from an administrator or a third party.

use std::{fs, net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use portsentry_tests::lab::{Daemon, FAMILIES, Family, Lab, Portsentry, Reach, Service, dump};

fn listing<'lab>(lab: &'lab Lab, text: &str) -> (Portsentry<'lab>, PathBuf) {
    let path = lab.files().join("portsentry.blocklist");
    fs::write(&path, text).expect("a list");
    (lab.portsentry("-stcp").with("BLOCK_LIST", &path.display().to_string()), path)
}

fn is_open(service: &Service, lab: &Lab, source: IpAddr, reach: Reach) -> bool {
    service.answers(&lab.scanner, source, reach)
}

fn networks(daemon: &Daemon<'_>) -> usize {
    dump(&daemon.pins().join("BLOCKED_NETWORKS")).len()
}

#[test]
fn a_listed_source_is_blocked_while_it_is_listed() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let hosts = FAMILIES.map(|family| lab.source(family));
    let networked = FAMILIES.map(|family| lab.source(family));
    let ignored = lab.source(Family::V4);
    let text = format!(
        "# a third-party list\n{}\n{} ; why\n{}/30\n{}/126\n{ignored}\n",
        hosts[0], hosts[1], networked[0], networked[1]
    );
    let (setup, path) = listing(&lab, &text);
    let setup = setup.ignoring(ignored);
    let daemon = setup.start();
    for source in hosts.into_iter().chain(networked) {
        assert!(!is_open(&service, &lab, source, Reach::Unexpected), "{source} is listed");
    }
    assert!(is_open(&service, &lab, ignored, Reach::Expected), "who is ignored is never blocked");
    // No other file repeats the list.
    for file in ["BLOCKED_FILE", "WRAPPER_HOSTS_DENY", "HISTORY_FILE"] {
        assert_eq!(daemon.file(file), [""; 0], "{file}");
    }
    let daemon = {
        daemon.kill();
        setup.start()
    };
    for source in hosts.into_iter().chain(networked) {
        assert!(!is_open(&service, &lab, source, Reach::Unexpected), "{source} is listed still");
    }
    fs::write(&path, format!("{}\n", hosts[1])).expect("a list");
    daemon.log().wait_for("reloaded: it blocks 1 hosts and 0 networks");
    assert!(!is_open(&service, &lab, hosts[1], Reach::Unexpected));
    for source in [hosts[0], networked[0], networked[1]] {
        assert!(is_open(&service, &lab, source, Reach::Expected), "{source} isn't listed any more");
    }
    fs::write(&path, "0.0.0.0/0\n").expect("a list");
    daemon.log().wait_for("0.0.0.0/0 is too large to block");
    daemon.log().wait_for("the block list is unchanged");
    assert!(is_open(&service, &lab, hosts[0], Reach::Expected));
}

#[test]
fn a_command_blocks_and_unblocks_networks() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let (setup, path) = listing(&lab, "");
    let daemon = setup.start();
    let command = |verb: &str, network: &str| {
        let mut command = lab.host.command(portsentry_tests::lab::binary());
        command.arg("-c").arg(setup.config_path()).args([verb, network]);
        let done = command.output().expect("it runs");
        let text = [done.stdout, done.stderr].concat();
        (done.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let sources = FAMILIES.map(|family| lab.source(family));
    let named = [format!("{}/28", sources[0]), format!("{}/124", sources[1])];
    for (held, (source, network)) in sources.into_iter().zip(&named).enumerate() {
        let (code, said) = command("block", network);
        assert!(code == Some(0) && said.contains(": blocked\n"), "{said}");
        daemon.wait_until("the kernel follows", || networks(&daemon) > held);
        assert!(!is_open(&service, &lab, source, Reach::Unexpected));
    }
    let shown = named.clone().map(|network| network.parse::<IpNet>().expect("a network").trunc().to_string());
    let listed = setup.say("list --sort address --json").json();
    let addresses: Vec<_> =
        listed.as_array().expect("a list").iter().map(|held| held["address"].clone()).collect();
    assert_eq!(addresses, shown.clone().map(serde_json::Value::from), "{listed}");
    assert!(setup.say("status").out.contains("networks     2 blocked\n"));
    let why = setup.say(&format!("why {}", sources[0])).out;
    assert!(
        why.contains("blocked: all its packets") && why.contains(&format!("network   {}", shown[0])),
        "{why}"
    );
    for network in ["0.0.0.0/0", "::/0", "10.0.0.0/7"] {
        let (code, said) = command("block", network);
        assert!(
            code == Some(1) && said.contains("is too large to block") && said.contains("nothing was changed"),
            "{said}"
        );
    }
    daemon.kill();
    for (source, network) in sources.into_iter().zip(&named) {
        let (code, said) = command("unblock", network);
        assert!(code == Some(0) && said.contains("unblocked (no daemon is running)"), "{said}");
        assert!(is_open(&service, &lab, source, Reach::Expected));
    }
    assert_eq!(fs::read_to_string(path).expect("the list"), "");
}

#[test]
fn a_listed_scanner_is_listed_again_when_its_block_is_lifted() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let (setup, path) = listing(&lab, "");
    let daemon = setup.start();
    let scanner = lab.source(Family::V4);
    lab.nmap(scanner, "-sS -p 11");
    daemon.wait_for_block(scanner);
    daemon.wait_until("the blocked file follows", || !daemon.file_about("BLOCKED_FILE", scanner).is_empty());
    fs::write(&path, format!("{scanner}\n")).expect("a list");
    daemon.log().wait_for("reloaded: it blocks 1 hosts");
    fs::write(setup.path("BLOCKED_FILE"), "").expect("the blocked file");
    daemon.log().wait_for(&format!("Host {scanner} is no longer blocked"));
    assert!(!is_open(&service, &lab, scanner, Reach::Unexpected), "the list names it");
    fs::write(&path, "").expect("a list");
    daemon.wait_until("the list lets go", || is_open(&service, &lab, scanner, Reach::AtOnce));
}

#[test]
fn a_hundred_thousand_hosts_are_blocked_and_taken_over() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let listed = lab.source(Family::V6);
    let both = |number: u32| format!("198.18.{}.{}\n2001:db8:9:{number:x}::1\n", number >> 8, number & 0xff);
    let text: String = (0..50_000).map(both).collect();
    let (setup, path) = listing(&lab, &format!("{text}{listed}\n"));
    let setup = setup.with("MAX_BLOCKED", "60000");
    let daemon = setup.start();
    assert!(!is_open(&service, &lab, listed, Reach::Unexpected));
    daemon.kill();
    let daemon = setup.start();
    assert!(!is_open(&service, &lab, listed, Reach::Unexpected));
    fs::write(&path, text).expect("a list");
    daemon.log().wait_for("reloaded: it blocks 100000 hosts");
    assert!(is_open(&service, &lab, listed, Reach::Expected));
}

#[test]
fn a_list_that_finds_no_room_says_what_to_raise() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let source = lab.source(Family::V4);
    let (setup, _) =
        listing(&lab, "198.18.0.1\n198.18.0.2\n198.18.0.3\n10.0.0.0/16\n10.1.0.0/16\n10.2.0.0/16\n");
    let daemon = setup.with("MAX_BLOCKED", "2").with("MAX_NETWORKS", "2").start();
    daemon
        .log()
        .wait_for("ERROR: map BLOCKED_V4 is full with 2 entries; raise MAX_BLOCKED, or unblock sources");
    daemon
        .log()
        .wait_for("ERROR: map BLOCKED_NETWORKS is full with 2 entries; raise MAX_NETWORKS, or list fewer");
    assert_eq!(
        (daemon.blocked().len(), networks(&daemon)),
        (2, 2),
        "as many are blocked as there is room for"
    );
    assert!(is_open(&service, &lab, source, Reach::Expected));
}

/// The state of the list `name`, as `portsentry lists` prints it.
fn state(setup: &Portsentry<'_>, name: &str) -> serde_json::Value {
    let lists = setup.say("lists --json").json();
    lists.as_array().expect("a list").iter().find(|list| list["name"] == name).cloned().unwrap_or_default()
}

#[test]
fn each_list_of_a_directory_has_a_name_a_count_and_hits() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let directory = lab.files().join("lists");
    fs::create_dir(&directory).expect("a directory");
    let write = |name: &str, text: &str| {
        // As the notifier writes: at once, so that no reader sees a part.
        let new = directory.join(".new");
        fs::write(&new, text).expect("a list");
        fs::rename(new, directory.join(name)).expect("a list");
    };
    let [fire, spam] = [lab.source(Family::V4), lab.source(Family::V4)];
    write("fire.netset", &format!("# a netset\n{fire}\n198.51.100.0/24\n"));
    let (setup, _) = listing(&lab, "203.0.113.77\n");
    let setup = setup.with("BLOCK_LISTS", &directory.display().to_string());
    let daemon = setup.start();
    assert!(!is_open(&service, &lab, fire, Reach::Unexpected), "{fire} is listed");
    assert!(is_open(&service, &lab, spam, Reach::Expected));
    // A new list, in another format.
    write(
        "drop.json",
        &format!("{{\"cidr\":\"{spam}/32\",\"sblid\":\"SBL1\"}}\n{{\"type\":\"metadata\",\"records\":1}}\n"),
    );
    daemon.log().wait_for("Block lists reloaded: drop (1 hosts, 0 networks)");
    assert!(!is_open(&service, &lab, spam, Reach::Unexpected));
    let fires = state(&setup, "fire");
    assert_eq!(
        (&fires["hosts"], &fires["networks"], &fires["in_force"]),
        (&1.into(), &1.into(), &2.into()),
        "{fires}"
    );
    assert!(fires["dropped"].as_u64() > Some(0), "{fires}");
    assert_eq!(state(&setup, "BLOCK_LIST")["hosts"], 1);
    let why = setup.say(&format!("why {spam}")).out;
    assert!(why.contains("lists     drop\n"), "{why}");
    assert_eq!(setup.say("why --json 198.51.100.9").json()["lists"], serde_json::json!(["fire"]));
    // The last good content stays, and the error is reported.
    write("drop.json", "{\"cidr\":\"0.0.0.0/0\"}\n");
    daemon.log().wait_for("block list drop: ");
    assert!(!is_open(&service, &lab, spam, Reach::Unexpected), "the last valid content stays");
    assert!(state(&setup, "drop")["problem"].as_str().is_some_and(|it| it.contains("too large")));
    // A list that is removed lets go.
    fs::remove_file(directory.join("drop.json")).expect("a list");
    daemon.log().wait_for("Block lists reloaded: drop (removed)");
    assert!(is_open(&service, &lab, spam, Reach::Expected));
    assert!(!is_open(&service, &lab, fire, Reach::Unexpected), "the other list stays");
}

#[test]
fn no_list_blocks_own_gateway_or_ignored_addresses() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let directory = lab.files().join("lists");
    fs::create_dir(&directory).expect("a directory");
    let [honest, listed, gateway] = [(); 3].map(|()| lab.source(Family::V4));
    lab.host.ip(&format!("route add 203.0.113.0/24 via {gateway} dev eth0"));
    let own = Family::V4.host();
    // Once by a network that contains all of them, once by themselves.
    for (name, text) in
        [("wide", format!("{listed}/25\n")), ("single", format!("{honest}\n{own}\n{gateway}\n{listed}\n"))]
    {
        fs::write(directory.join("a.txt"), text).expect("a list");
        let setup =
            lab.portsentry("-stcp").with("BLOCK_LISTS", &directory.display().to_string()).ignoring(honest);
        let daemon = setup.start();
        assert!(!is_open(&service, &lab, listed, Reach::Unexpected), "{name}: the list is in force");
        assert!(is_open(&service, &lab, honest, Reach::Expected), "{name}: it is ignored");
        assert!(is_open(&service, &lab, gateway, Reach::Expected), "{name}: it is a gateway");
        assert!(daemon.blocked().iter().all(|source| ![honest, own, gateway].contains(source)), "{name}");
        drop(daemon);
    }
}
