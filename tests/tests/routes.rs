//! Blocks as blackhole routes, which a real BIRD carries from one gateway to another.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr},
    os::unix::net::UnixListener,
    path::PathBuf,
    thread,
    time::Instant,
};

use portsentry_tests::{
    document,
    lab::{
        Bird, Daemon, Family, Lab, Portsentry, Reach, Share,
        companion::{block, now},
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;

const SERVICE: u16 = 8080;
/// The lines of docs/fleet.md.
const OUT: &str = "ROUTES_OUT=\"80\"\n";
const IN: &str = "ROUTES_IN=\"81\"\n";
/// The configuration of docs/fleet.md that announces blackholes.
const ANNOUNCE: &str = "protocol kernel blocked4 {
    kernel table 80;
    learn;
    scan time 5;
    ipv4 { import all; export none; };
}
protocol bgp neighbour {
    local 10.88.0.1 as 65001;
    neighbor 10.88.0.2 as 65002;
    ipv4 {
        import none;
        export filter {
            if dest != RTD_BLACKHOLE then reject;
            bgp_community.add((65535, 666));
            accept;
        };
    };
}
";
/// The one that accepts them.
const ACCEPT: &str = "protocol kernel blackholes4 {
    kernel table 81;
    scan time 5;
    ipv4 { import none; export where dest = RTD_BLACKHOLE; };
}
protocol bgp neighbour {
    local 10.88.0.2 as 65002;
    neighbor 10.88.0.1 as 65001;
    ipv4 {
        import filter {
            if (65535, 666) !~ bgp_community || net.len != 32 then reject;
            dest = RTD_BLACKHOLE;
            accept;
        };
        export none;
    };
}
";

/// Returns the destinations of a table's blackholes.
fn blackholes(lab: &Lab, table: &str) -> Vec<String> {
    let lines = |family: &str| {
        let shown = lab.host.command("ip").args([family, "route", "show", "table", table]).output();
        String::from_utf8(shown.expect("`ip`").stdout).expect("UTF-8")
    };
    let text = lines("-4") + &lines("-6");
    let mut found: Vec<String> = text
        .lines()
        .filter_map(|line| Some(line.strip_prefix("blackhole ")?.split(' ').next()?.to_owned()))
        .collect();
    found.sort();
    found
}

fn wait_for_routes(daemon: &Daemon<'_>, table: &str, expected: &[&str]) {
    daemon.wait_until(&format!("table {table} has {expected:?}"), || {
        blackholes(daemon.lab(), table) == expected
    });
}

fn sharing<'lab>(lab: &'lab Lab, name: &str) -> Portsentry<'lab> {
    let setup =
        lab.portsentry("-stcp").in_fleet("routes").with("SHARE_BLOCKS", "all").with("GATEWAY_NAME", name);
    setup.with("PEER_RATE", "5000").with("IPV6_PREFIX", "64").with("KILL_HOSTS_DENY", "")
}

/// Returns the lines of a file for a companion that announces.
fn lines(files: &TempDir) -> String {
    let path = files.path().display();
    format!("{OUT}STATE_DIRECTORY=\"{path}\"\nROUTES_SOCKET=\"{path}/routes.sock\"\n")
}

fn files() -> TempDir {
    TempDir::with_prefix("portsentry-routes-").expect("a directory")
}

#[test]
fn blocks_are_routes_until_they_are_lifted_and_nothing_else_is_touched() {
    let lab = Lab::new();
    let setup = sharing(&lab, "gw1");
    let daemon = setup.start();
    lab.host
        .ip("route add blackhole 198.51.100.1 table 80\nroute add blackhole 198.51.100.2 table 80 proto 80");
    let files = files();
    let mut share = Share::start(&lab.host, &setup.share_socket(), &lines(&files));
    share.log().wait_for("routes-out: ");
    let mut routes = share.routes(&lab.host);
    assert_eq!(setup.say("block 203.0.113.9 2001:db8:7::/64").code, 0);
    // A route of an earlier run that is no block any more is removed; others' routes stay.
    wait_for_routes(&daemon, "80", &["198.51.100.1", "2001:db8:7::/64", "203.0.113.9"]);
    share.log().wait_for("routes-out: works again (2 routes)");
    assert_eq!(setup.say("unblock --here 203.0.113.9").code, 0);
    wait_for_routes(&daemon, "80", &["198.51.100.1", "2001:db8:7::/64"]);
    assert_eq!(setup.say("block --for 3s 203.0.113.10").code, 0);
    wait_for_routes(&daemon, "80", &["198.51.100.1", "2001:db8:7::/64", "203.0.113.10"]);
    // The end doesn't take a companion.
    share.kill();
    wait_for_routes(&daemon, "80", &["198.51.100.1", "2001:db8:7::/64"]);
    share.restart(&lab.host);
    routes.kill();
    assert_eq!(setup.say("unblock 2001:db8:7::/64").code, 0);
    assert_eq!(setup.say("block 203.0.113.11").code, 0);
    let routes = share.routes(&lab.host);
    wait_for_routes(&daemon, "80", &["198.51.100.1", "203.0.113.11"]);
    routes.signal("TERM");
    wait_for_routes(&daemon, "80", &["198.51.100.1"]);
}

#[test]
fn a_blackhole_that_is_lifted_here_stays_lifted_when_its_router_restarts() {
    let lab = Lab::new();
    let setup = sharing(&lab, "gw1");
    let daemon = setup.start();
    let routes = |verb: &str| {
        lab.host.ip(&["203.0.113.9", "203.0.113.10"]
            .map(|it| format!("route {verb} blackhole {it} table 81\n"))
            .concat());
    };
    let (first, second): (IpAddr, IpAddr) = ([203, 0, 113, 9].into(), [203, 0, 113, 10].into());
    let are_blocked = |expected: &[IpAddr]| {
        daemon.wait_until(&format!("blocked are {expected:?}"), || {
            let mut blocked = daemon.blocked();
            blocked.sort();
            blocked == expected
        });
    };
    routes("add");
    let files = files();
    let heard = format!("{IN}STATE_DIRECTORY=\"{}\"\n", files.path().display());
    let mut share = Share::start(&lab.host, &setup.share_socket(), &heard);
    are_blocked(&[first, second]);
    assert_eq!(setup.say("unblock --here 203.0.113.9").code, 0);
    are_blocked(&[second]);
    routes("delete");
    are_blocked(&[]);
    // The companion's own restart changes nothing.
    share.kill();
    share.restart(&lab.host);
    routes("add");
    are_blocked(&[second]);
    let why = setup.say("why --json 203.0.113.9").out;
    assert!(why.contains("lifted"), "{why}");
}

#[test]
fn a_block_at_one_gateway_is_dropped_at_another_by_bgp() {
    let labs = [Lab::new(), Lab::new()];
    let [first, second] = &labs;
    first.host.ip(&format!("link add bgp type veth peer name bgp netns {}", second.host.name()));
    for (lab, address) in [(first, "10.88.0.1/30"), (second, "10.88.0.2/30")] {
        lab.host.ip(&format!("address add {address} dev bgp\nlink set bgp up"));
    }
    let service = second.serve_tcp(SERVICE);
    let setups = [sharing(first, "gw1"), sharing(second, "gw2")];
    let daemons = [setups[0].start(), setups[1].start()];
    let files = files();
    let share = Share::start(&first.host, &setups[0].share_socket(), &lines(&files));
    let _routes = share.routes(&first.host);
    let heard = format!("{IN}NEWS_RATE=\"5000\"\nSTATE_DIRECTORY=\"{}\"\n", files.path().display());
    let _other = Share::start(&second.host, &setups[1].share_socket(), &heard);
    let device = "protocol device { scan time 5; }\n";
    let _birds = [
        Bird::start(&first.host, &format!("router id 10.88.0.1;\n{device}{ANNOUNCE}")),
        Bird::start(&second.host, &format!("router id 10.88.0.2;\n{device}{ACCEPT}")),
    ];
    let source = second.source(Family::V4);
    assert!(service.answers(&second.scanner, source, Reach::Expected));
    let told = Instant::now();
    assert_eq!(setups[0].say(&format!("block {source}")).code, 0);
    let is_blocked = || daemons[1].blocked().contains(&source);
    daemons[1].wait_until("it is blocked there", is_blocked);
    println!("blocked at the other gateway after {:?}, with BIRD's start", told.elapsed());
    assert!(!service.answers(&second.scanner, source, Reach::Unexpected));
    let why = setups[1].say(&format!("why {source}")).out;
    assert!(why.contains("routes"), "{why}");
    assert_eq!(setups[0].say(&format!("unblock {source}")).code, 0);
    daemons[1].wait_until("it is withdrawn", || !is_blocked());
    assert!(service.answers(&second.scanner, source, Reach::Expected));
    let told = Instant::now();
    assert_eq!(setups[0].say(&format!("block {source}")).code, 0);
    daemons[1].wait_until("it is blocked there again", is_blocked);
    println!("blocked at the other gateway after {:?}", told.elapsed());
    assert_eq!(setups[0].say(&format!("unblock {source}")).code, 0);
    drop(share);
    // The test itself tells a companion of ten thousand blocks, because they take a daemon a minute.
    let many: Vec<IpAddr> =
        (0..10_000_u32).map(|number| Ipv4Addr::from(0x0b00_0000 + number).into()).collect();
    let lines = lines(&files);
    let told = Instant::now();
    let share = Share::start(&first.host, &daemon_of(&files, "many", &many), &lines);
    let count = || daemons[1].blocked().len();
    daemons[1].wait_until("all are blocked there", || count() == many.len());
    println!("{} blocks are dropped at the other gateway after {:?}", many.len(), told.elapsed());
    drop(share);
    let told = Instant::now();
    let _share = Share::start(&first.host, &daemon_of(&files, "none", &[]), &lines);
    daemons[1].wait_until("all are withdrawn", || count() == 0);
    println!("all are withdrawn after {:?}", told.elapsed());
}

/// Returns the socket of a daemon that blocks these sources, and says nothing more.
fn daemon_of(files: &TempDir, name: &str, sources: &[IpAddr]) -> PathBuf {
    let socket = files.path().join(name);
    let listener = UnixListener::bind(&socket).expect("a socket");
    let blocks: Vec<Value> = sources.iter().map(|source| block(*source, now(), now() + 3_600_000)).collect();
    let mut words = vec![json!({"word": "hello", "gateway": "gw1", "version": "test"})];
    words.extend(
        blocks
            .chunks(200)
            .map(|some| json!({"word": "block", "gateway": "gw1", "state": true, "said": 1, "blocks": some})),
    );
    words.push(json!({"word": "synced"}));
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a companion");
        for mut word in words {
            word["v"] = 1.into();
            stream.write_all(format!("{word}\n").as_bytes()).expect("the companion reads");
        }
        // Until the companion ends.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    socket
}

#[test]
fn the_document_has_these_lines() {
    let text = document::read("docs/fleet.md");
    for lines in [OUT, IN, ANNOUNCE, ACCEPT] {
        assert!(text.contains(lines), "docs/fleet.md lacks:\n{lines}");
    }
}
