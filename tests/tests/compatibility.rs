//! Files, flags and log lines of both PortSentrys, and the log watchers written for them.

use std::net::IpAddr;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use portsentry_tests::{
    document,
    lab::{Daemon, FAMILIES, Family, Lab, Reach, classic_record},
};
use regex::Regex;

const DEBIAN: &str = include_str!("../../portsentry/testdata/debian-1.2.conf");
const REVIVAL: &str = include_str!("../../portsentry/testdata/revival-2.conf");

/// fail2ban's `<HOST>`, for addresses.
const HOST: &str =
    r"(?:::f{4,6}:)?(?P<host>(?:\d{1,3}\.){3}\d{1,3}|(?:[0-9a-fA-F]{1,4}::?|::){1,7}[0-9a-fA-F]{1,4})";

/// Filters used in practice: fail2ban's own for 1.2's history, and one for 2.x's history.
const FILTERS: [&str; 3] = [
    r"^\d* - \d{2}\/\d{2}\/\d{4} \d{2}:\d{2}:\d{2} Host: <HOST>",
    r"/<HOST> Port\: [0-9]+ (TCP|UDP) Blocked$",
    r"^[^ ]* Scan from: \[<HOST>\]",
];

/// Returns the addresses that fail2ban would ban for these lines.
fn banned(lines: &[String]) -> Vec<IpAddr> {
    banned_by(&FILTERS, lines)
}

fn banned_by(filters: &[&str], lines: &[String]) -> Vec<IpAddr> {
    let filters = filters.iter().map(|filter| Regex::new(&filter.replace("<HOST>", HOST)).expect("a filter"));
    let filters: Vec<_> = filters.collect();
    let found = lines.iter().flat_map(|line| filters.iter().filter_map(|filter| filter.captures(line)));
    let mut banned: Vec<IpAddr> = found.map(|found| found["host"].parse().expect("an address")).collect();
    banned.sort_unstable();
    banned.dedup();
    banned
}

/// Returns the filter that the document shows for this file.
fn documented_filter(path: &str) -> String {
    let text = document::read("docs/coming-from-psad-and-fail2ban.md");
    let block = document::block_below(&text, path).expect("a file");
    let filter = block.lines().find_map(|line| line.trim().strip_prefix("failregex = "));
    filter.expect("a filter").into()
}

/// Returns a line as a syslog file holds it.
fn in_syslog_file(line: &str) -> String {
    format!("Nov 22 23:12:59 host portsentry[4711]: {line}")
}

/// Returns a line with one word before it. The second filter expects the time there, as in 2.x's history.
fn behind_a_time(line: &str) -> String {
    format!("2026-11-22T23:40:12.990+0000 {line}")
}

#[test]
fn log_watchers_ban_who_is_blocked_and_nobody_else() {
    for format in ["classic", "revival"] {
        let lab = Lab::new();
        let [ignored_v4, ignored_v6] = FAMILIES.map(|family| lab.source(family));
        let daemon = lab
            .portsentry("-stcp -sudp -v")
            .with("LOG_FORMAT", format)
            .with("SCAN_TRIGGER", "2")
            .ignoring(ignored_v4)
            .ignoring(ignored_v6)
            .start();
        let mut blocked = Vec::new();
        for (family, ignored) in FAMILIES.into_iter().zip([ignored_v4, ignored_v6]) {
            let [untriggered, by_tcp, by_udp] = [lab.source(family), lab.source(family), lab.source(family)];
            lab.nmap(ignored, "-sS -p 1,7,11");
            lab.nmap(untriggered, "-sS -p 11");
            lab.nmap(untriggered, "-sA -p 15");
            lab.nmap(by_tcp, "-sS -p 11,15");
            lab.nmap(by_udp, "-sU -p 7,69");
            blocked.extend([by_tcp, by_udp]);
        }
        daemon.settle();
        for source in &blocked {
            daemon.wait_for_block(*source);
        }
        blocked.sort_unstable();
        // The source whose probe ended the wait is blocked, too.
        let is_known = |address: &IpAddr| blocked.contains(address);
        let (in_history, others): (Vec<_>, Vec<_>) =
            banned(&daemon.file("HISTORY_FILE")).into_iter().partition(is_known);
        assert_eq!(in_history, blocked, "{format}");
        assert!(others.iter().all(|other| daemon.blocked().contains(other)), "{format}: {others:?}");
        let lines = daemon.log().lines();
        let kept = lines.iter().flat_map(|line| [line.clone(), in_syslog_file(line), behind_a_time(line)]);
        let (of_the_log, others): (Vec<_>, Vec<_>) =
            banned(&kept.collect::<Vec<_>>()).into_iter().partition(is_known);
        // No filter used in practice matches 1.2's log lines.
        let expected = if format == "revival" { &blocked[..] } else { &[] };
        assert_eq!(of_the_log, expected, "{format}");
        assert!(others.iter().all(|other| daemon.blocked().contains(other)), "{format}: {others:?}");
    }
}

#[test]
fn log_watchers_ban_nobody_whose_address_may_be_forged() {
    let documented = documented_filter("/etc/fail2ban/filter.d/portsentry-2.local");
    for (format, filter) in [("classic", FILTERS[1]), ("revival", documented.as_str())] {
        let lab = Lab::new();
        let settings = lab.portsentry("-stcp").with("LOG_FORMAT", format).with("BLOCK_UNPROVEN", "0");
        let daemon = settings.with("CHALLENGE", "1").start();
        for family in FAMILIES {
            let [fenced, proven] = [lab.source(family), lab.source(family)];
            lab.nmap(fenced, "-sS -p 11");
            lab.nmap(proven, "-sT -p 11");
            daemon.wait_until("the history follows", || {
                banned_by(&[filter], &daemon.file("HISTORY_FILE")).contains(&proven)
            });
            assert!(!daemon.file_about("HISTORY_FILE", fenced).is_empty(), "{format}");
            assert!(!banned_by(&[filter], &daemon.file("HISTORY_FILE")).contains(&fenced), "{format}");
        }
    }
}

#[test]
fn log_watchers_ban_who_is_only_reported_with_the_documented_filter() {
    let documented = documented_filter("/etc/fail2ban/filter.d/portsentry.local");
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("BLOCK_TCP", "0").start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    let history = || daemon.file_about("HISTORY_FILE", source);
    daemon.wait_until("the history follows", || !history().is_empty());
    assert_eq!(banned_by(&[&documented], &history()), [source]);
    assert_eq!(banned_by(&FILTERS[1..2], &history()), [] as [IpAddr; 0]);
}

/// Only the line about the kernel is new. All others are 1.2's or 2.x's, byte for byte.
#[test]
fn a_block_has_these_lines_and_no_others() {
    const CLASSIC: [&str; 5] = [
        "attackalert: TCP SYN/Normal scan from host: @/@ to TCP port: 11",
        "attackalert: Host @ has been blocked in the kernel (proof: none)",
        "attackalert: Host @ has been blocked via wrappers with string: \"ALL: @ : DENY\"",
        "attackalert: Host @ has been blocked via dropped route using command: \"true route @\"",
        "attackalert: External command run for host: @ using command: \"true command @\"",
    ];
    const REVIVAL: [&str; 5] = [
        "Scan from: [@] (@) protocol: [TCP] port: [11] type: [TCP SYN/Normal scan] IP opts: [not set] ignored: [false] \
         triggered: [true] noblock: [false] blocked: [true]",
        "attackalert: Host @ has been blocked in the kernel (proof: none)",
        "attackalert: Host @ has been blocked via wrappers with string: \"ALL: @ : DENY\"",
        "attackalert: Host @ has been blocked via dropped route using command: \"true route @\"",
        "attackalert: External command run for host: @ using command: \"true command @\"",
    ];
    for (format, expected) in [("classic", CLASSIC), ("revival", REVIVAL)] {
        let lab = Lab::new();
        let setup =
            lab.portsentry("-stcp").with("LOG_FORMAT", format).with("KILL_ROUTE", "true route $TARGET$");
        let daemon = setup.with("KILL_RUN_CMD", "true command $TARGET$").start();
        let before = daemon.log().lines().len();
        let source = lab.source(Family::V4);
        lab.nmap(source, "-sS -p 11");
        let expected = expected.map(|line| line.replace('@', &source.to_string()));
        daemon.log().wait_for(&expected[4]);
        assert_eq!(daemon.log().lines()[before..], expected, "{format}");
        // Log watchers recognise a block by the history and by 2.x's first line.
        let stamped: Vec<_> = expected.iter().map(|line| behind_a_time(line)).collect();
        let news = [&expected[1..], &stamped[1..]].concat();
        assert_eq!(banned(&news), [] as [IpAddr; 0], "{format}");
    }
}

#[test]
fn reported_probes_have_the_lines_of_2_x() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-m pcap").with("LOG_FORMAT", "auto").start();
    assert!(
        daemon.log().lines().contains(&"Portsentry is now active and listening.".to_owned()),
        "{:#?}",
        daemon.log().lines()
    );
    for (words, protocol, port, kind, options) in [
        ("-sS -p 11", "TCP", 11, "TCP SYN/Normal scan", "not set"),
        ("-sT -p 11", "TCP", 11, "TCP SYN/Normal scan", "not set"),
        ("-sF -p 11", "TCP", 11, "TCP FIN scan", "not set"),
        ("-sX -p 11", "TCP", 11, "TCP XMAS scan", "not set"),
        ("-sN -p 11", "TCP", 11, "TCP NULL scan", "not set"),
        ("-sU -p 69", "UDP", 69, "UDP", "not set"),
        ("-sS --ip-options R -p 11", "TCP", 11, "TCP SYN/Normal scan", "set"),
    ] {
        for family in FAMILIES {
            if family == Family::V6 && options == "set" {
                continue;
            }
            let source = lab.source(family);
            lab.nmap(source, words);
            let line = format!(
                "Scan from: [{source}] ({source}) protocol: [{protocol}] port: [{port}] type: [{kind}] IP opts: \
                 [{options}] ignored: [false] triggered: [true] noblock: [false] blocked: [true]"
            );
            assert_eq!(daemon.lines_about(source).join("\n"), line, "{words}");
            daemon.wait_for_block(source);
            let history = daemon.file_about("HISTORY_FILE", source);
            let stamped = Regex::new(&format!(
                r"^\d{{4}}-\d{{2}}-\d{{2}}T\d{{2}}:\d{{2}}:\d{{2}}\.\d{{3}}[+-]\d{{4}} {}$",
                regex::escape(&line)
            ));
            assert!(
                history.len() == 1 && stamped.expect("an expression").is_match(&history[0]),
                "{words}: {history:?}"
            );
            // The blocked file has 1.2's lines in both formats.
            let record = &daemon.file_about("BLOCKED_FILE", source)[0];
            assert!(classic_record(record, source, (port, protocol, "Blocked")), "{record}");
        }
    }
    assert_eq!(daemon.terminate().lines.last().map(String::as_str), Some("Portsentry is shutting down"));
}

#[test]
fn ignored_untriggered_and_unblocked_sources_have_their_flags_in_2_x_lines() {
    let lab = Lab::new();
    let ignored = lab.source(Family::V4);
    let daemon = lab
        .portsentry("--stealth")
        .with("LOG_FORMAT", "revival")
        .with("SCAN_TRIGGER", "2")
        .with("BLOCK_UDP", "0")
        .ignoring(ignored)
        .start();
    let [source, other] = [lab.source(Family::V4), lab.source(Family::V4)];
    lab.nmap(ignored, "-sS -p 11");
    lab.nmap(source, "-sS -p 11");
    lab.nmap(other, "-sS -p 11");
    lab.nmap(other, "-sU -p 69");
    let flags = |source| -> Vec<String> {
        let lines = daemon.lines_about(source).into_iter();
        lines.filter_map(|line| Some(line[line.find("ignored: [")?..].to_owned())).collect()
    };
    let unset = "triggered: [unset] noblock: [unset] blocked: [unset]";
    assert_eq!(flags(ignored), [format!("ignored: [true] {unset}")]);
    let untriggered = "ignored: [false] triggered: [false] noblock: [unset] blocked: [unset]";
    assert_eq!(flags(source), [untriggered]);
    let unblocked = "ignored: [false] triggered: [true] noblock: [true] blocked: [false]";
    assert_eq!(flags(other)[..2], [untriggered, unblocked]);
}

#[test]
fn a_debian_1_2_file_runs_unchanged() {
    let lab = Lab::new();
    let service = lab.serve_tcp(80);
    let daemon = lab.portsentry("-stcp -sudp -l stdout").installed(DEBIAN).start();
    assert_eq!(warnings(&daemon), [""; 0], "nothing in it is strange");
    for (protocol, count) in [("TCP", 66), ("UDP", 21)] {
        let line = format!("adminalert: Going into stealth listen mode on {protocol} port: ");
        assert_eq!(daemon.log().count(&line), count, "{:#?}", daemon.log().lines());
    }
    for (family, words, port, protocol, kind) in [
        (Family::V4, "-sS -p 111", 111, "TCP", "TCP SYN/Normal scan"),
        (Family::V6, "-sX -p 54320", 54320, "TCP", "TCP XMAS scan"),
        // 1.2 accepts at most 64 ports.
        (Family::V4, "-sS -p 2040", 2040, "TCP", "TCP SYN/Normal scan"),
        (Family::V4, "-sU -p 31337", 31337, "UDP", "UDP scan"),
    ] {
        let source = lab.source(family);
        lab.nmap(source, words);
        let attack = format!("attackalert: {kind} from host: {source}/{source} to {protocol} port: {port}");
        assert!(daemon.lines_about(source).contains(&attack), "{attack}\n{:#?}", daemon.log().lines());
        daemon.wait_for_block(source);
        assert!(daemon.fenced().contains(&source));
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
        for file in ["BLOCKED_FILE", "HISTORY_FILE"] {
            let records = daemon.file_about(file, source);
            assert!(classic_record(&records[0], source, (port, protocol, "Fenced")), "{file}: {records:?}");
        }
        let deny = if family == Family::V4 { source.to_string() } else { format!("[{source}]") };
        assert_eq!(daemon.file_about("WRAPPER_HOSTS_DENY", source), [format!("ALL: {deny} : DENY")]);
    }
    service.assert_open_to_bystander(&lab);
}

#[test]
fn a_2_x_file_runs_unchanged() {
    let lab = Lab::new();
    let service = lab.serve_tcp(80);
    let daemon = lab.portsentry("").installed(REVIVAL).start();
    assert_eq!(warnings(&daemon), [""; 0], "nothing in it is strange");
    let source = lab.source(Family::V6);
    // In a range of its list, at the second port.
    lab.nmap(source, "-sS -p 514");
    assert!(!daemon.fenced().contains(&source));
    lab.nmap(source, "-sF -p 515");
    let line = format!(
        "Scan from: [{source}] ({source}) protocol: [TCP] port: [515] type: [TCP FIN scan] IP opts: [not set] ignored: \
         [false] triggered: [true] noblock: [false] blocked: [true]"
    );
    assert!(daemon.lines_about(source).contains(&line), "{:#?}", daemon.log().lines());
    assert!(daemon.fenced().contains(&source));
    assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
    // BLOCK_UDP="2" blocks no source.
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sU -p 517,518");
    assert!(!daemon.lines_about(source).is_empty());
    assert!(!daemon.fenced().contains(&source));
    service.assert_open_to_bystander(&lab);
}

fn warnings(daemon: &Daemon<'_>) -> Vec<String> {
    let is_problem = |line: &String| line.starts_with("warning") || line.starts_with("error");
    daemon.log().lines().into_iter().filter(is_problem).collect()
}

/// The last background process, which is killed when dropped.
struct Background(Pid);

impl Drop for Background {
    fn drop(&mut self) {
        // It may already have ended.
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

#[test]
fn an_old_rc_local_starts_it_in_the_background_and_it_talks_to_syslog() {
    let lab = Lab::new();
    let syslog = lab.syslog();
    let setup = lab.portsentry("-atcp").installed(DEBIAN);
    let mut started = setup.command().spawn().expect("it starts");
    // Read immediately, because the socket can't buffer all lines.
    let line = syslog.wait_for("adminalert: PortSentry is now active and listening.");
    let status = started.wait().expect("it goes to the background");
    assert!(status.success(), "{status}");
    let form = Regex::new(r"^<29>\w{3} [ \d]\d \d{2}:\d{2}:\d{2} portsentry\[(\d+)\]: adminalert: ");
    let form = form.expect("an expression");
    let process = form.captures(&line).unwrap_or_else(|| panic!("{line}"))[1].parse().expect("a number");
    let daemon = Background(Pid::from_raw(process));
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 425");
    let attack = format!("attackalert: TCP SYN/Normal scan from host: {source}/{source} to TCP port: 425");
    assert!(form.is_match(&syslog.wait_for(&attack).replace("attackalert", "adminalert")));
    kill(daemon.0, Signal::SIGTERM).expect("it is told to stop");
    syslog.wait_for("securityalert: PortSentry is shutting down");
    syslog.wait_for("adminalert: PortSentry is shutting down");
}

#[test]
fn a_daemon_of_2_x_goes_to_the_background_and_talks_to_syslog() {
    let lab = Lab::new();
    let syslog = lab.syslog();
    let mut started = lab.portsentry("-D").installed(REVIVAL).command().spawn().expect("it starts");
    // Read immediately, because the socket can't buffer all lines.
    let line = syslog.wait_for("Portsentry is now active and listening.");
    let status = started.wait().expect("it goes to the background");
    assert!(status.success(), "{status}");
    let form = Regex::new(r"^<29>\w{3} [ \d]\d \d{2}:\d{2}:\d{2} portsentry\[(\d+)\]: (.*)$");
    let form = form.expect("an expression");
    let said = |line: &str| {
        let found = form.captures(line).unwrap_or_else(|| panic!("{line}"));
        (found[1].parse().expect("a number"), found[2].to_owned())
    };
    let daemon = Background(Pid::from_raw(said(&line).0));
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 514,515");
    let hit = |triggered| {
        let (_, line) = said(&syslog.wait_for(&format!("Scan from: [{source}]")));
        assert!(line.contains(triggered), "{line}");
        line
    };
    let line = hit("triggered: [true] noblock: [false] blocked: [true]");
    let form = format!("Scan from: [{source}] ({source}) protocol: [TCP] port: [51");
    assert!(line.starts_with(&form), "{line}");
    kill(daemon.0, Signal::SIGTERM).expect("it is told to stop");
    syslog.wait_for("Portsentry is shutting down");
}

#[test]
fn two_processes_of_1_2_share_one_set_of_maps() {
    let lab = Lab::new();
    let tcp = lab.portsentry("-atcp").start();
    let udp = lab.portsentry("-audp").start();
    let [by_tcp, by_udp] = [lab.source(Family::V4), lab.source(Family::V4)];
    lab.nmap(by_tcp, "-sS -p 425");
    lab.nmap(by_udp, "-sU -p 425");
    tcp.wait_for_block(by_tcp);
    tcp.wait_for_block(by_udp);
    assert!(tcp.blocked().contains(&by_tcp) && tcp.blocked().contains(&by_udp));
    // The remaining process continues alone.
    assert_eq!(tcp.terminate().code, Some(0));
    let [by_tcp, by_udp] = [lab.source(Family::V4), lab.source(Family::V4)];
    lab.nmap(by_tcp, "-sS -p 425");
    lab.nmap(by_udp, "-sU -p 425");
    udp.wait_for_block(by_udp);
    assert!(!udp.blocked().contains(&by_tcp), "TCP is no longer watched");
    assert_eq!(udp.terminate().code, Some(0));
    let link = lab.host.run("ip", &["link", "show", "eth0"]);
    assert!(!link.contains("xdp"), "the last one detaches: {link}");
}
