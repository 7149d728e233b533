//! The daemon's half of a fleet, with a companion that speaks at its socket for other gateways: honest, hostile and
//! broken ones.

mod retold;

use std::{
    collections::BTreeSet,
    env, fs,
    io::Write,
    net::{IpAddr, Ipv4Addr},
    process::Command,
    time::{Duration, Instant},
};

use portsentry_tests::lab::{
    Companion, Daemon, FAMILIES, Family, Lab, Portsentry, Reach,
    companion::{block, connect, line, now},
};
use serde_json::{Value, json};

/// An unprivileged user.
const NOBODY: u32 = 65_534;
const SERVICE: u16 = 8080;
const HOUR: u64 = 3_600_000;

fn wait_for_blocked(daemon: &Daemon<'_>, source: IpAddr) {
    daemon.wait_until(&format!("{source} is blocked"), || daemon.blocked().contains(&source));
}

fn wait_for_free(daemon: &Daemon<'_>, source: IpAddr) {
    daemon.wait_until(&format!("{source} is free"), || {
        !daemon.blocked().contains(&source) && !daemon.fenced().contains(&source)
    });
}

/// Returns what `portsentry peers` reports about a gateway.
fn peer(setup: &Portsentry<'_>, gateway: &str) -> Value {
    let report = setup.say("peers --json").json();
    let peers = report["peers"].as_array().cloned().unwrap_or_default();
    peers.into_iter().find(|peer| peer["gateway"] == gateway).unwrap_or_default()
}

/// Returns the addresses of the lifts in the state that a companion was told.
fn lifts(companion: &Companion) -> Vec<Value> {
    let lifts = companion.state.iter().filter(|told| told["word"] == "lift");
    lifts.map(|told| told["addresses"].clone()).collect()
}

/// Waits until the daemon has heard everything that was said before.
fn wait_until_heard(daemon: &Daemon<'_>, companion: &mut Companion) {
    let last = IpAddr::from([198, 51, 100, 254]);
    companion.block("last", &[last]);
    wait_for_blocked(daemon, last);
    companion.lift("last", last);
    wait_for_free(daemon, last);
}

fn sources(count: u32) -> Vec<IpAddr> {
    (0..count).map(|number| Ipv4Addr::from(0x0b00_0000 + number).into()).collect()
}

/// Has the source prove itself at a trap.
fn prove(lab: &Lab, source: IpAddr) {
    lab.nmap(source, "-sT -p 11");
}

fn challenging<'lab>(lab: &'lab Lab, peers: &str) -> Portsentry<'lab> {
    let setup = lab.portsentry("-stcp").with("BLOCK_UNPROVEN", "0").with("CHALLENGE", "1");
    setup.with("XDP_MODE", "generic").in_fleet(peers)
}

#[test]
fn a_peers_block_is_enforced_and_is_in_no_file() {
    let lab = Lab::new();
    let service = lab.serve_tcp(SERVICE);
    let setup = lab.portsentry("-stcp").in_fleet("*");
    let daemon = setup.start();
    let mut companion = Companion::join(&setup.share_socket());
    for family in FAMILIES {
        let source = lab.source(family);
        assert!(service.answers(&lab.scanner, source, Reach::Expected));
        companion.block("gw2", &[source]);
        wait_for_blocked(&daemon, source);
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} is dropped");
        let listed = setup.say("list --json --origin peer").json();
        let entry =
            listed.as_array().and_then(|all| all.iter().find(|entry| entry["address"] == json!(source)));
        let entry = entry.unwrap_or_else(|| panic!("{source} isn't in {listed}"));
        assert_eq!(
            [&entry["gateway"], &entry["proof"], &entry["port"], &entry["by"]],
            [&json!("gw2"), &json!("cookie"), &json!(23), &json!("peer")]
        );
        assert_eq!(setup.say("list --json --origin own").json(), json!([]));
        let why = setup.say(&format!("why {source}")).out;
        for part in ["gateway   gw2\n", "proof     completed handshake\n", "not in the blocked file"] {
            assert!(why.contains(part), "{part}: {why}");
        }
        daemon
            .log()
            .wait_for(&format!("Host {source} is blocked: gateway gw2 blocks it (completed handshake)"));
        companion.lift("gw3", source);
        wait_for_free(&daemon, source);
        assert!(service.answers(&lab.scanner, source, Reach::Expected), "{source} is lifted");
        for file in ["BLOCKED_FILE", "HISTORY_FILE", "WRAPPER_HOSTS_DENY", "EVIDENCE_FILE"] {
            assert_eq!(daemon.file_about(file, source), [""; 0], "{file}");
        }
    }
    assert_eq!(daemon.terminate().code, Some(0));
}

#[test]
fn exempt_addresses_and_networks_are_never_held() {
    let lab = Lab::new();
    let ignored = lab.source(Family::V4);
    let setup = lab.portsentry("-stcp").ignoring(ignored).in_fleet("*").with("PEER_RATE", "10000");
    let gateway = Family::V4.member(99);
    lab.route_to_nowhere("203.0.113.0/24");
    let daemon = setup.start();
    let mut companion = Companion::join(&setup.share_socket());
    let exempt: Vec<IpAddr> = [Family::V4.host(), Family::V6.host(), gateway, ignored].into();
    let private = [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "127.0.0.1",
        "fe80::1",
        "fd00::1",
        "224.0.0.1",
        "::",
    ];
    let private: Vec<IpAddr> = private.map(|address| address.parse().expect("an address")).into();
    for _ in 0..3 {
        companion.block("gw2", &[exempt.clone(), private.clone()].concat());
    }
    wait_until_heard(&daemon, &mut companion);
    assert_eq!(daemon.blocked(), [] as [IpAddr; 0]);
    assert_eq!(peer(&setup, "gw2")["refused"]["address"], 3 * private.len());
    // A block that stands ends as soon as its address is exempt.
    let source = lab.source(Family::V4);
    companion.block("gw2", &[source]);
    wait_for_blocked(&daemon, source);
    fs::write(lab.files().join("portsentry.ignore"), format!("{ignored}\n{source}\n")).expect("a file");
    wait_for_free(&daemon, source);
    // A whole network is no word: it ends the connection.
    companion.say(json!({"word": "block", "gateway": "gw2", "blocks": [
        {"address": "203.0.113.0/24", "since": now(), "proof": "cookie"}]}));
    assert_eq!(companion.hear(), None);
    assert!(daemon.blocked().is_empty());
}

#[test]
fn a_flood_holds_its_gateway_until_it_is_released_and_the_others_go_on() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").in_fleet("*").with("PEER_RATE", "20").with("MAX_PER_PEER", "50");
    let daemon = setup.start();
    let mut companion = Companion::join(&setup.share_socket());
    let all = sources(2000);
    for some in all.chunks(10) {
        companion.block("gw2", some);
    }
    daemon.log().wait_for("gateway gw2 is held, because it exceeds PEER_RATE tenfold");
    daemon.wait_until("its blocks are suspended", || daemon.blocked().is_empty());
    let honest = lab.source(Family::V4);
    companion.block("gw3", &[honest]);
    wait_for_blocked(&daemon, honest);
    let report = peer(&setup, "gw2");
    assert_eq!((&report["held"], &report["in_force"]), (&json!("rate"), &json!(0)));
    assert!(report["blocks"].as_u64() <= Some(50), "{report}");
    assert_eq!(setup.say("peers release gw2").code, 0);
    daemon.wait_until("its blocks are in force again", || daemon.blocked().len() > 1);
    let held: BTreeSet<IpAddr> = daemon.blocked().into_iter().collect();
    assert!(held.len() <= 51, "the quota, and the honest one's: {held:?}");
    assert_eq!(setup.say("peers forget gw2").code, 0);
    daemon.wait_until("only the honest one's is left", || daemon.blocked() == [honest]);
    assert_eq!(setup.say("peers hold gw3").code, 0);
    wait_for_free(&daemon, honest);
    assert_eq!(setup.say("peers hold stranger").code, 1);
}

#[test]
fn peers_never_take_more_than_half_of_the_map() {
    let lab = Lab::new();
    let limits = [("MAX_BLOCKED", "200"), ("PEER_RATE", "10000"), ("MAX_PER_PEER", "80")];
    let setup = lab.portsentry("-stcp").in_fleet("*");
    let setup = limits.into_iter().fold(setup, |setup, (key, value)| setup.with(key, value));
    let daemon = setup.start();
    let mut companion = Companion::join(&setup.share_socket());
    let all = sources(300);
    for (gateway, some) in ["gw2", "gw3", "gw4"].into_iter().zip(all.chunks(100)) {
        companion.block(gateway, some);
    }
    daemon.wait_until("half of the map is full", || daemon.blocked().len() == 100);
    daemon.block_source(Family::V4);
    assert_eq!(daemon.blocked().len(), 101);
}

#[test]
fn many_blocks_enter_and_survive_the_daemon() {
    let measured = env::var("PEER_BLOCKS").ok().map(|text| text.parse().expect("PEER_BLOCKS is a number"));
    let count: u32 = measured.unwrap_or(20_000);
    let lab = Lab::new();
    let limits = [("MAX_BLOCKED", "250000"), ("MAX_PER_PEER", "100000"), ("MAX_PEER_BLOCKED", "120000")];
    let setup = lab.portsentry("-stcp").in_fleet("*");
    let setup = limits.into_iter().fold(setup, |setup, (key, value)| setup.with(key, value));
    let daemon = setup.start();
    let mut companion = Companion::join(&setup.share_socket());
    let now = now();
    let sources = sources(count);
    let lines = sources.chunks(1000).map(|some| {
        let blocks: Vec<Value> = some.iter().map(|source| block(*source, now, now + HOUR)).collect();
        line(json!({"word": "block", "gateway": "gw2", "state": true, "blocks": blocks}))
    });
    let lines: Vec<String> = lines.collect();
    let begun = Instant::now();
    lines.iter().for_each(|line| companion.say_line(line));
    daemon.wait_until("all are in force", || peer(&setup, "gw2")["in_force"] == count);
    let took = begun.elapsed();
    println!("{count} blocks entered within {took:?}");
    assert!(measured.is_none() || took <= Duration::from_secs(1), "{took:?}");
    daemon.kill();
    let daemon = setup.start();
    daemon.log().wait_for(&format!("{count} blocks of other gateways stand"));
    assert_eq!(peer(&setup, "gw2")["in_force"], count);
    assert_eq!(daemon.file("BLOCKED_FILE").iter().filter(|line| line.contains("Blocked")).count(), 0);
    assert_eq!(setup.say("peers forget gw2").code, 0);
    assert_eq!(daemon.blocked().len(), 0);
}

#[test]
fn proven_blocks_and_lifts_are_told_to_the_fleet() {
    let lab = Lab::routed();
    let setup = challenging(&lab, "*");
    let daemon = setup.start();
    let mut companion = Companion::join(&setup.share_socket());
    assert_eq!(
        (&companion.state[0]["word"], &companion.state[0]["gateway"]),
        (&json!("hello"), &json!("gw1"))
    );
    let first = lab.source(Family::V4);
    prove(&lab, first);
    let told = companion.hear().expect("a word");
    assert_eq!(
        [
            &told["word"],
            &told["gateway"],
            &told["blocks"][0]["address"],
            &told["blocks"][0]["proof"],
            &told["blocks"][0]["port"]
        ],
        [&json!("block"), &json!("gw1"), &json!(first), &json!("cookie"), &json!(11)]
    );
    let second = lab.source(Family::V6);
    prove(&lab, second);
    assert_eq!(companion.hear().expect("a word")["blocks"][0]["address"], json!(second));
    // An administrator's block isn't shared unless that is asked for, and a companion that joins hears all again.
    assert_eq!(setup.say("block 198.51.100.9").code, 0);
    let mut companion = Companion::join(&setup.share_socket());
    let blocks = companion.state.iter().filter(|told| told["word"] == "block");
    let blocks: BTreeSet<String> = blocks
        .flat_map(|told| told["blocks"].as_array().into_iter().flatten())
        .map(|block| block["address"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(blocks, [first, second].map(|source| source.to_string()).into());
    assert_eq!(setup.say(&format!("unblock --here {first}")).code, 0);
    // Neither a whole network nor a private address means the same to another gateway.
    for private in ["11.0.0.0/24", "10.1.2.3"] {
        assert_eq!(setup.say(&format!("block {private}")).code, 0);
        assert_eq!(setup.say(&format!("unblock {private}")).code, 0);
    }
    assert_eq!(setup.say(&format!("unblock {second}")).code, 0);
    // Lists that the companion serves forget also what is released only here.
    let heard = || companion.hear().expect("a word");
    let told = std::iter::repeat_with(heard).find(|told| told["word"] != "released").expect("a word");
    assert_eq!(
        (&told["word"], &told["addresses"]),
        (&json!("lift"), &json!([second])),
        "the other only here"
    );
    wait_for_free(&daemon, first);
    assert_eq!(lifts(&Companion::join(&setup.share_socket())), [json!([second])], "it is told no lift later");
    let mut companion = Companion::join(&setup.share_socket());
    // A replay of a peer's older block doesn't return.
    let said =
        json!({"word": "block", "gateway": "gw2", "blocks": [block(second, now() - HOUR, now() + HOUR)]});
    companion.say(said);
    wait_until_heard(&daemon, &mut companion);
    wait_for_free(&daemon, second);
}

#[test]
fn a_peer_neither_shortens_nor_replaces_an_own_block_but_succeeds_it() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").in_fleet("*");
    let daemon = setup.start();
    let mut companion = Companion::join(&setup.share_socket());
    let source = lab.source(Family::V4);
    assert_eq!(setup.say(&format!("block --for 15s {source}")).code, 0);
    let before = setup.entry("list --json", source).expect("it is listed");
    companion.block("gw2", &[source]);
    wait_until_heard(&daemon, &mut companion);
    assert_eq!(setup.entry("list --json", source), Some(before.clone()));
    daemon.wait_until("the peer's block succeeds", || {
        setup.entry("list --json", source).is_some_and(|entry| entry["by"] == "peer")
    });
    // An administrator's block replaces the peer's.
    assert_eq!(setup.say(&format!("block {source}")).code, 0);
    assert_eq!(setup.entry("list --json", source).expect("it is listed")["by"], "own");
    assert_eq!(setup.say(&format!("unblock {source}")).code, 0);
    wait_for_free(&daemon, source);
}

#[test]
fn the_fleets_allow_list_ends_standing_blocks() {
    let lab = Lab::routed();
    let setup = challenging(&lab, "*");
    let daemon = setup.start();
    let mut companion = Companion::join(&setup.share_socket());
    let (own, other) = (lab.source(Family::V4), IpAddr::from([198, 51, 100, 7]));
    prove(&lab, own);
    wait_for_blocked(&daemon, own);
    companion.block("gw2", &[other]);
    wait_for_blocked(&daemon, other);
    assert_eq!(setup.say("allow 198.51.100.0/24").code, 0);
    wait_for_free(&daemon, other);
    let allow = |network: &str, allowed| json!({"word": "allow", "gateway": "gw3", "network": network, "at": now(), "allowed": allowed});
    companion.say(allow(&own.to_string(), true));
    wait_for_free(&daemon, own);
    daemon.log().wait_for(&format!("Host {own} is no longer"));
    companion.say(allow("198.51.100.0/24", false));
    companion.block("gw2", &[other]);
    wait_for_blocked(&daemon, other);
}

#[test]
fn a_broken_companion_harms_nothing() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").in_fleet("*");
    let daemon = setup.start();
    let path = setup.share_socket();
    let endless = vec![b'x'; 1 << 20];
    let deep = vec![b'['; 100_000];
    for garbage in [&b"\n"[..], b"{}\n", b"\xff\xfe\n", b"{\"v\":2,\"word\":\"beat\"}\n", &deep, &endless] {
        let mut stream = connect(&path);
        // The daemon may end the connection before it has read everything.
        let _ = stream.write_all(garbage);
        let mut rest = Vec::new();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = std::io::Read::read_to_end(&mut stream, &mut rest);
    }
    daemon.log().wait_for("the connection at SHARE_SOCKET ended: ");
    // One that never reads, and one that never says anything.
    let _silent = connect(&path);
    let script = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.settimeout(20)\ntry:\n s.connect(sys.argv[1])\n \
                  print(len(s.recv(1)))\nexcept OSError:\n print(0)";
    let user = NOBODY.to_string();
    let ended = Command::new("setpriv")
        .args(["--reuid", &user, "--regid", &user, "--clear-groups", "/usr/bin/python3", "-c", script])
        .arg(&path)
        .output()
        .expect("setpriv of util-linux");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "0\n", "another user is refused");
    daemon.block_source(Family::V4);
    let mut companion = Companion::join(&path);
    wait_until_heard(&daemon, &mut companion);
    let is_joined = || setup.say("peers --json").json()["companion"].clone();
    assert_eq!(is_joined(), true);
    drop(companion);
    daemon.wait_until("the companion is known to have left", || is_joined() == false);
    assert_eq!(daemon.terminate().code, Some(0));
}

#[test]
fn a_socket_that_cannot_be_opened_is_an_error_and_the_daemon_runs() {
    let lab = Lab::new();
    let events = lab.files().join("events.json");
    let setup = lab.portsentry("-stcp").in_fleet("*").with("JSON_LOG", &events.display().to_string());
    let path = setup.share_socket();
    fs::create_dir_all(&path).expect("a directory in the socket's place");
    let daemon = setup.start();
    daemon.log().wait_for("ERROR: SHARE_SOCKET ");
    let is_of_socket = |event: &Value| {
        event["message"].as_str().is_some_and(|message| message.contains("this gateway shares nothing"))
    };
    let of_socket = || {
        let text = fs::read_to_string(&events).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).find(is_of_socket)
    };
    daemon.wait_until("its event", || of_socket().is_some());
    let event = of_socket().expect("the event");
    assert_eq!((&event["event"]["action"], &event["log"]["level"]), (&json!("error"), &json!("error")));
    daemon.block_source(Family::V4);
    assert_eq!(daemon.terminate().code, Some(0));
}
