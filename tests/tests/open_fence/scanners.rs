//! Real scanners against an open fence: their output about a served port, a closed one and a trap.

use std::{
    env, fs,
    net::IpAddr,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use portsentry_tests::lab::{Daemon, Family, INTERFACE, Lab, Wire, hardware_address};
use regex::Regex;

use super::{CLOSED, EXCLUDED, GREETING, PATIENCE, SERVICE, TRAP, Way, connect, fence, in_each_way};

/// Returns the number of ports that nmap scans, from 1 on: `OPEN_FENCE_PORTS`, by default 1,000. All 65,535 take
/// five minutes, because a source gets 250 answers a second.
fn ports() -> u16 {
    let text = env::var("OPEN_FENCE_PORTS").unwrap_or_else(|_| "1000".into());
    text.parse().unwrap_or_else(|error| panic!("OPEN_FENCE_PORTS={text}: {error}"))
}

/// Returns a new, fenced source of the scanner.
fn fenced_source(lab: &Lab, daemon: &Daemon<'_>) -> IpAddr {
    let source = lab.source(Family::V4);
    fence(daemon, &Wire::open(&lab.scanner), source);
    source
}

#[test]
fn nmap_finds_every_port_open() {
    in_each_way(|way, lab, daemon, _| {
        let source = fenced_source(lab, daemon);
        // By default it asks silent ports again.
        let found = lab.nmap(source, &format!("-sS -p 1-{} --max-retries 10", ports()));
        let state = Regex::new(r"(\d+)/(\w+)/tcp").expect("a pattern");
        let states = state.captures_iter(&found).map(|it| it.extract::<2>().1);
        let others: Vec<_> = states.filter(|[_, state]| *state != "open").collect();
        assert_eq!(others, [[EXCLUDED.to_string().as_str(), "closed"]], "{way:?}");
        let open = usize::from(ports()) - 1;
        assert_eq!(found.matches("/open/tcp").count(), open, "{way:?}: {found}");
        assert!(daemon.blocked().is_empty(), "half a handshake proves nothing");
    });
}

/// nmap's system detection, masscan, zmap and p0f report the same about a served port as about every other.
#[test]
fn no_program_tells_a_served_port_from_another() {
    in_each_way(|way, lab, daemon, _| {
        thread::scope(|scope| {
            let programs: [(&str, Scan); 4] =
                [("nmap -O", fingerprint), ("masscan", by_masscan), ("zmap", by_zmap), ("p0f", by_p0f)];
            for (program, scan) in programs {
                scope.spawn(move || {
                    // masscan and zmap send SYNs without options: where services answer, such SYNs get no answer.
                    let is_silent = way == Way::Forward && ["masscan", "zmap"].contains(&program);
                    let said = [SERVICE, CLOSED, TRAP].map(|port| {
                        // A busy machine may lose a frame, and these programs ask only once.
                        let mut tries = (0..3).map(|_| scan(lab, fenced_source(lab, daemon), port));
                        tries.find(|said| is_silent || !said.is_empty()).unwrap_or_default()
                    });
                    assert_eq!(said[0].is_empty(), is_silent, "{way:?}: {program} of a service");
                    assert_eq!(said[1..], [said[0].clone(), said[0].clone()], "{way:?}: {program}");
                });
            }
        });
        assert!(daemon.blocked().is_empty(), "{:#?}", daemon.log().lines());
    });
}

/// Returns a program's output about a port, without the port's number.
type Scan = fn(&Lab, IpAddr, u16) -> String;

/// Returns the tests of nmap's fingerprint, except those computed from sequence numbers, which are random.
fn fingerprint(lab: &Lab, source: IpAddr, port: u16) -> String {
    let found = lab.nmap(source, &format!("-sS -O -d -p {port},{EXCLUDED} -oN -"));
    let tests = Regex::new(r"(?m)^(?:OPS|WIN|ECN|T[1-7]|U1|IE)\(.*").expect("a pattern");
    tests.find_iter(&found).map(|it| it.as_str()).collect::<Vec<_>>().join("\n")
}

fn by_masscan(lab: &Lab, source: IpAddr, port: u16) -> String {
    let found = lab.masscan(source, &format!("-p{port} --wait 1"));
    found
        .replace(&port.to_string(), "PORT")
        .lines()
        .filter(|line| line.contains("open"))
        .map(str::trim)
        .collect()
}

fn by_zmap(lab: &Lab, source: IpAddr, port: u16) -> String {
    let (source, port) = (source.to_string(), port.to_string());
    let (host, router) = (Family::V4.host().to_string(), hardware_address(1));
    let words = ["-q", "-p", &port, "-S", &source, "-i", INTERFACE, "-b", "/dev/null", "-G", &router];
    let fields = ["--output-fields=saddr,ttl,window,classification,success", "-r", "100", "-c", "1"];
    let mut zmap = lab.scanner.command("zmap");
    zmap.args(words).args(fields).args(["-o", "-", &host]);
    // It sometimes aborts because of an assertion about its own tree of targets.
    let found = zmap.output().expect("`zmap` of the Debian package zmap").stdout;
    String::from_utf8_lossy(&found).lines().filter(|line| line.starts_with(&host)).collect()
}

/// Returns the signature of the answer to an ordinary client.
fn by_p0f(lab: &Lab, source: IpAddr, port: u16) -> String {
    let file = lab.files().join(format!("p0f-{port}"));
    let mut p0f = lab.scanner.command("p0f");
    p0f.args(["-i", INTERFACE, "-o"]).arg(&file).arg(format!("port {port} and host {source}"));
    let p0f =
        p0f.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("`p0f` of the Debian package p0f");
    let _ends = Ends(p0f);
    let signature = Regex::new(r"mod=syn\+ack.*raw_sig=(\S+)").expect("a pattern");
    // It doesn't report when it is ready.
    for _ in 0..20 {
        drop(connect(lab, source, port, PATIENCE));
        thread::sleep(Duration::from_millis(250));
        let text = fs::read_to_string(&file).unwrap_or_default();
        if let Some(found) = signature.captures(&text) {
            return found[1].to_owned();
        }
    }
    String::new()
}

/// Ends when dropped.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // It may already have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Scans that complete handshakes are blocked before they reach a service.
#[test]
fn connect_scans_are_blocked_and_read_no_banner() {
    in_each_way(|way, lab, daemon, _| {
        let scan = |words: &str| {
            let source = fenced_source(lab, daemon);
            let scan = format!("{words} -r -p 1000-1023,{SERVICE} --host-timeout 10s -oN -");
            let found = lab.nmap(source, &scan);
            assert!(daemon.blocked().contains(&source), "{way:?} {words}: {found}");
            let greeting = String::from_utf8_lossy(GREETING);
            assert!(!found.contains(greeting.trim()), "{way:?} {words}: {found}");
            let lines = daemon.log().lines_about(source);
            let connected = lines.iter().filter(|line| line.contains("Connect from host")).count();
            assert_eq!(connected, 2, "{way:?} {words}: {lines:#?}");
        };
        thread::scope(|scope| {
            scope.spawn(|| scan("-sT --script banner"));
            scan("-A");
        });
    });
}
