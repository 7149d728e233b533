//! Metrics and health over HTTP, during real scans and with hostile clients.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use portsentry_common::counter::COUNTERS;
use portsentry_tests::{
    lab::{Companion, Daemon, Family, INTERFACE, Lab, Portsentry, by_way_of},
    mmdb::countries,
};

pub const ADDRESS: &str = "127.0.0.1:9911";
/// Longer than the daemon's time limits for a client and for the keeper.
const PATIENCE: Duration = Duration::from_secs(20);

fn setup<'lab>(lab: &'lab Lab, flags: &str) -> Portsentry<'lab> {
    lab.portsentry(flags).with("METRICS_LISTEN", ADDRESS)
}

fn connect(lab: &Lab) -> std::io::Result<TcpStream> {
    let address: SocketAddr = ADDRESS.parse().expect("an address");
    let stream = lab.host.enter(|| TcpStream::connect_timeout(&address, PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Returns an answer's status and text, or `None` if nothing listens.
fn get(lab: &Lab, path: &str) -> Option<(u16, String)> {
    let mut stream = connect(lab).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, text) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, text.into()))
}

pub fn metrics(lab: &Lab) -> String {
    get(lab, "/metrics").map(|(_, text)| text).unwrap_or_default()
}

/// Returns the value of one sample.
fn value(text: &str, sample: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

fn wait_for(daemon: &Daemon<'_>, sample: &str, expected: f64) {
    let is_there = || value(&metrics(daemon.lab()), sample).is_some_and(|it| (it - expected).abs() < 0.5);
    daemon.wait_until(&format!("{sample} is {expected}"), is_there);
}

fn wait_for_health(daemon: &Daemon<'_>, status: u16, text: &str) {
    let is_so =
        || get(daemon.lab(), "/healthz").is_some_and(|(code, said)| code == status && said.contains(text));
    daemon.wait_until(&format!("/healthz says {status} {text}"), is_so);
}

#[test]
fn sources_without_room_in_smaller_maps_are_counted() {
    let lab = Lab::new();
    let setup = setup(&lab, "-stcp");
    let daemon = setup.start();
    for _ in 0..3 {
        let source = lab.source(Family::V4);
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
    }
    daemon.terminate();
    let daemon = setup.with("MAX_BLOCKED", "1").start();
    wait_for(&daemon, "portsentry_refused_sources_total{reason=\"blocked_full\"}", 2.0);
}

#[test]
fn a_scan_shows_in_the_metrics() {
    let lab = Lab::new();
    let daemon = setup(&lab, "-stcp -sudp").with("KILL_RUN_CMD", "false $TARGET$").start();
    wait_for_health(&daemon, 200, "ok\n");
    let before = metrics(&lab);
    for sample in [
        "portsentry_probes_total{kind=\"xmas\"}",
        "portsentry_dropped_packets_total{reason=\"blocked\"}",
        "portsentry_blocked_sources{family=\"ipv4\"}",
        "portsentry_blocked_sources{family=\"ipv6\"}",
    ] {
        assert_eq!(value(&before, sample), Some(0.0), "{sample}\n{before}");
    }
    let [first, second, third] = [lab.source(Family::V4), lab.source(Family::V6), lab.source(Family::V4)];
    lab.nmap(first, "-sX -p 11");
    lab.nmap(second, "-sX -p 11");
    lab.nmap(third, "-sU -p 69");
    [first, second, third].iter().for_each(|source| daemon.wait_for_block(*source));
    lab.nmap(first, "-sX -p 15,79,80");
    for (sample, expected) in [
        ("portsentry_probes_total{kind=\"xmas\"}", 2.0),
        ("portsentry_probes_total{kind=\"udp\"}", 1.0),
        ("portsentry_dropped_packets_total{reason=\"probe\"}", 3.0),
        ("portsentry_blocked_sources{family=\"ipv4\"}", 2.0),
        ("portsentry_blocked_sources{family=\"ipv6\"}", 1.0),
        ("portsentry_entered_sources_total{state=\"blocked\"}", 3.0),
        ("portsentry_actions_total{action=\"kill_hosts_deny\",result=\"done\"}", 3.0),
        ("portsentry_actions_total{action=\"kill_run_cmd\",result=\"failed\"}", 3.0),
    ] {
        wait_for(&daemon, sample, expected);
    }
    // The metrics equal the kernel's counters.
    #[expect(clippy::cast_precision_loss, reason = "these are small numbers")]
    let dropped = daemon.counter("dropped") as f64;
    assert!(dropped >= 3.0);
    wait_for(&daemon, "portsentry_dropped_packets_total{reason=\"blocked\"}", dropped);
    // Unblocks one source.
    let rest = daemon.file_about("BLOCKED_FILE", second).join("\n") + "\n";
    fs::write(daemon.setup().path("BLOCKED_FILE"), rest).expect("an administrator's edit");
    wait_for(&daemon, "portsentry_blocked_sources{family=\"ipv4\"}", 0.0);
    wait_for(&daemon, "portsentry_lifted_sources_total", 2.0);
    let text = metrics(&lab);
    let attached = format!("portsentry_interface_attached{{interface=\"{INTERFACE}\"}}");
    assert_eq!(value(&text, &attached), Some(1.0), "{text}");
    assert!(text.lines().filter(|line| line.contains("_total{")).count() >= COUNTERS.len());
}

#[test]
fn the_documents_and_the_dashboards_metrics_are_served() {
    let lab = Lab::new();
    let country = lab.files().join("country.mmdb");
    fs::write(&country, countries(&[("192.0.2.0/24", "DE")])).expect("a file");
    let lists = lab.files().join("lists");
    fs::create_dir(&lists).expect("a directory");
    fs::write(lists.join("drop.netset"), "203.0.113.0/24\n").expect("a list");
    let setup = setup(&lab, "-stcp").with("GEOIP_COUNTRY", &country.display().to_string());
    let setup = setup.with("BLOCK_LISTS", &lists.display().to_string()).in_fleet("*");
    let daemon = setup.start();
    daemon.wait_until("it answers", || !metrics(&lab).is_empty());
    // The second address is private, which no gateway may name.
    let mut companion = Companion::join(&setup.share_socket());
    companion.block("gw2", &["198.51.100.7", "10.0.0.1"].map(|text| text.parse().expect("an address")));
    companion.report();
    wait_for(&daemon, "portsentry_share_servers_connected", 1.0);
    wait_for(&daemon, "portsentry_peer_sources{gateway=\"gw2\"}", 1.0);
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    wait_for(&daemon, "portsentry_actions_total{action=\"kill_hosts_deny\",result=\"done\"}", 1.0);
    let text = metrics(&lab);
    let is_served = |name: &str| {
        text.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
    };
    let dashboard = include_str!("../../etc/grafana-portsentry.json");
    let document = include_str!("../../docs/metrics.md");
    let name = regex::Regex::new(r"\b(?:portsentry|process)_[a-z0-9_]+").expect("a regular expression");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let expressions = dashboard.lines().filter(|line| line.contains("\"expr\""));
    let mut count = 0;
    for found in rows.chain(expressions).flat_map(|line| name.find_iter(line)) {
        assert!(is_served(found.as_str()), "{}\n{text}", found.as_str());
        count += 1;
    }
    assert!(count > 50);
}

#[test]
fn counts_outlive_a_reload_and_an_invalid_configuration_shows() {
    let lab = Lab::new();
    let setup = setup(&lab, "-stcp");
    let daemon = setup.start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    let probes = "portsentry_probes_total{kind=\"syn\"}";
    wait_for(&daemon, probes, 1.0);
    daemon.signal(Signal::SIGHUP);
    // The test queries it throughout, and it is always present and healthy.
    while daemon.log().count("Configuration reloaded") == 0 {
        assert_eq!(get(&lab, "/healthz"), Some((200, "ok\n".into())));
    }
    wait_for(&daemon, probes, 1.0);
    wait_for(&daemon, "portsentry_blocked_sources{family=\"ipv4\"}", 1.0);
    wait_for(&daemon, "portsentry_actions_total{action=\"kill_hosts_deny\",result=\"done\"}", 1.0);
    assert_eq!(value(&metrics(&lab), "portsentry_config_last_reload_successful"), Some(1.0));
    setup.clone().with("TCP_PORTS", "1,x").write();
    daemon.signal(Signal::SIGHUP);
    wait_for(&daemon, "portsentry_config_last_reload_successful", 0.0);
    // A new address replaces this one. Without the setting nothing listens.
    setup.clone().without("METRICS_LISTEN").write();
    daemon.signal(Signal::SIGHUP);
    daemon.wait_until("no listener", || {
        connect(&lab).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    setup.write();
    daemon.signal(Signal::SIGHUP);
    wait_for_health(&daemon, 200, "ok");
    assert_eq!(daemon.terminate().code, Some(0));
}

#[test]
fn without_an_interface_it_is_not_well() {
    let lab = Lab::new();
    let daemon = setup(&lab, "-stcp -i ALL_NLO").start();
    wait_for_health(&daemon, 200, "ok");
    lab.host.ip(&format!("link delete {INTERFACE}"));
    wait_for_health(&daemon, 503, "attached to no interface");
    wait_for(&daemon, "portsentry_healthy", 0.0);
    lab.plug_in_second(&lab.scanner);
    wait_for_health(&daemon, 200, "ok");
}

#[test]
fn a_keeper_that_hangs_is_not_well() {
    let lab = Lab::new();
    let pipe = lab.files().join("pipe");
    // Standard output is a pipe, and nothing reads it after the line that the daemon is active.
    let stuck = format!(
        "mkfifo {0}; exec 3<>{0}; sed -u '/now active and listening/q' <{0} & exec \"$@\" >{0}",
        pipe.display()
    );
    let daemon = setup(&lab, "-stcp").with("BLOCK_TCP", "0").start_in(by_way_of(&stuck));
    wait_for_health(&daemon, 200, "ok");
    let probe =
        |number| format!("IP(src='10.9.8.{number}', dst='{}')/TCP(dport=[11,15,79,80])", Family::V4.host());
    lab.scapy(&(1..255).map(probe).collect::<Vec<_>>());
    wait_for_health(&daemon, 503, "no heartbeat from the thread that writes the files for");
    assert!(value(&metrics(&lab), "portsentry_keeper_age_seconds").is_some_and(|age| age > 9.0));
    daemon.kill();
}

#[test]
fn a_port_that_is_taken_holds_nothing_up() {
    let lab = Lab::new();
    let taken = lab.host.enter(|| TcpListener::bind(ADDRESS)).expect("a free port");
    let daemon = setup(&lab, "-stcp").start();
    daemon.log().wait_for("ERROR: METRICS_LISTEN 127.0.0.1:9911: Address already in use");
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    drop(taken);
    wait_for_health(&daemon, 200, "ok");
    daemon.log().wait_for("Metrics are at http://127.0.0.1:9911/metrics");
    assert_eq!(daemon.log().count("Address already in use"), 1);
}

#[test]
fn slow_and_oversize_clients_harm_nobody() {
    let lab = Lab::new();
    let daemon = setup(&lab, "-stcp").start();
    wait_for_health(&daemon, 200, "ok");
    // Its files stay open from the first block on.
    let first = lab.source(Family::V4);
    lab.nmap(first, "-sS -p 11");
    daemon.wait_for_block(first);
    let open = value(&metrics(&lab), "process_open_fds").expect("a number");
    // Far more clients than allowed, each with an endless request.
    let slow: Vec<TcpStream> = (0..300)
        .map(|number| {
            let mut client = connect(&lab).expect("the system takes the connection");
            if number % 3 > 0 {
                client.write_all(b"GET /metrics HTTP/1.1\r\nX: ").expect("a beginning");
            }
            client
        })
        .collect();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    let begin = Instant::now();
    daemon.wait_for_block(source);
    assert!(begin.elapsed() < Duration::from_secs(5), "the block is logged as soon as ever");
    let begin = Instant::now();
    assert_eq!(get(&lab, "/healthz"), Some((200, "ok\n".into())));
    assert!(begin.elapsed() < Duration::from_secs(1), "a proper request doesn't wait for them");
    for mut client in slow {
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        // The daemon disconnected the oldest clients.
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 408 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    // The daemon cuts off an endless request, whether or not the client reads the answer.
    let mut long = connect(&lab).expect("a connection");
    let header = [b'x'; 4096];
    let mut sent = 0;
    while long.write_all(&header).is_ok() {
        sent += header.len();
        assert!(sent < 64 << 20, "it reads and reads");
    }
    let mut oversize = connect(&lab).expect("a connection");
    oversize.write_all(b"GET /metrics HTTP/1.1\r\nX: ").expect("a beginning");
    oversize.write_all("x".repeat(20_000).as_bytes()).expect("more than fits");
    let mut answer = String::new();
    oversize.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    daemon.wait_until("no connection is left over", || {
        value(&metrics(&lab), "process_open_fds").is_some_and(|now| now <= open + 1.0)
    });
}

#[test]
fn an_address_for_everybody_is_refused_and_another_hosts_warned_of() {
    let lab = Lab::new();
    let refused = lab.portsentry("-stcp").with("METRICS_LISTEN", "0.0.0.0:9911").fail();
    assert_eq!(refused.code, Some(3));
    let text = refused.text();
    assert!(
        text.contains("this listens on every address of this host") && text.contains("portsentry.conf:"),
        "{text}"
    );
    let daemon = lab.portsentry("-stcp").with("METRICS_LISTEN", "192.0.2.1:9911").start();
    daemon.log().wait_for("this is not a loopback address, so other hosts can read the metrics");
    daemon.log().wait_for("Metrics are at http://192.0.2.1:9911/metrics");
}
