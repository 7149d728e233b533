//! The packets that count in each mode: real scanners test every cell of the table.

use std::{net::IpAddr, thread};

use portsentry_tests::lab::{FAMILIES, Family, Lab};

const NO: &str = "";
const SYN: &str = "TCP SYN/Normal scan";
const FIN: &str = "TCP FIN scan";
const NULL: &str = "TCP NULL scan";
const XMAS: &str = "TCP XMAS scan";
const FRAGMENT: &str = "TCP fragment scan";
const CONNECT: &str = "Connect";
const UDP: &str = "UDP";
const SYNFIN: &str = "Unknown Type: TCP Packet Flags: SYN: 1 FIN: 1 ACK: 0 PSH: 0 URG: 0 RST: 0";
const URG: &str = "Unknown Type: TCP Packet Flags: SYN: 0 FIN: 0 ACK: 0 PSH: 0 URG: 1 RST: 0";

/// The table's columns, each with the equivalent flags of 1.2 or 2.x.
const COLUMNS: [&[&str]; 5] =
    [&["-tcp"], &["-stcp", "-atcp"], &["-sudp", "-audp"], &["--connect"], &["--stealth"]];

/// The expected kind of a scan in each column.
type Row = (&'static str, [&'static str; 5]);

const BOTH: &[Row] = &[
    ("nmap -sS -p 11", [NO, SYN, NO, NO, SYN]),
    ("nmap -sT -p 11", [CONNECT, SYN, NO, CONNECT, SYN]),
    ("nmap -sF -p 11", [NO, FIN, NO, NO, FIN]),
    ("nmap -sN -p 11", [NO, NULL, NO, NO, NULL]),
    ("nmap -sX -p 11", [NO, XMAS, NO, NO, XMAS]),
    ("nmap -sS --scanflags SYNFIN -p 11", [NO, SYNFIN, NO, NO, SYNFIN]),
    ("nmap -sS --scanflags URG -p 11", [NO, URG, NO, NO, URG]),
    ("nmap -sS --scanflags SYNECECWR -p 11", [NO, SYN, NO, NO, SYN]),
    ("nmap -sS --badsum --send-ip -p 11", [NO, SYN, NO, NO, SYN]),
    ("nmap -sA -p 11", [NO, NO, NO, NO, NO]),
    ("nmap -sM -p 11", [NO, NO, NO, NO, NO]),
    ("nmap -sU -p 69", [NO, NO, UDP, CONNECT, UDP]),
];

/// Scans that exist only over IPv4. 2.x missed the fragments.
const IPV4: &[Row] = &[
    ("nmap -sS -f -p 11", [NO, FRAGMENT, NO, NO, FRAGMENT]),
    ("hping3 -S -p 11", [NO, SYN, NO, NO, SYN]),
    ("hping3 -S -F -p 11", [NO, SYNFIN, NO, NO, SYNFIN]),
    ("hping3 -U -p 11", [NO, URG, NO, NO, URG]),
    ("hping3 -A -p 11", [NO, NO, NO, NO, NO]),
    ("hping3 --udp -p 69", [NO, NO, UDP, CONNECT, UDP]),
];

/// Returns the beginning of the log line for a packet of this kind.
fn line(is_classic: bool, words: &str, kind: &str, source: IpAddr) -> String {
    let (protocol, port) = if words.ends_with("-p 69") { ("UDP", 69) } else { ("TCP", 11) };
    if !is_classic {
        return format!(
            "Scan from: [{source}] ({source}) protocol: [{protocol}] port: [{port}] type: [{kind}] "
        );
    }
    // The spellings of 1.2.
    let kind = match kind {
        UDP => "UDP scan",
        NULL => " TCP NULL scan",
        kind => kind,
    };
    format!("attackalert: {kind} from host: {source}/{source} to {protocol} port: {port}")
}

fn assert_column(flag: &str, column: usize) {
    let lab = Lab::new();
    let is_classic = !flag.starts_with("--");
    let format = if is_classic { "classic" } else { "revival" };
    let daemon = lab.portsentry(flag).with("LOG_FORMAT", format).start();
    let rows = |family| if family == Family::V4 { [BOTH, IPV4].concat() } else { BOTH.to_vec() };
    let mut asked = Vec::new();
    for family in FAMILIES {
        for (words, cells) in rows(family) {
            let source = lab.source(family);
            match words.split_once(' ') {
                Some(("nmap", words)) => drop(lab.nmap(source, words)),
                Some((_, words)) => lab.hping3(source, words),
                None => panic!("{words} has no arguments"),
            }
            asked.push((words, cells[column], source));
        }
    }
    daemon.settle();
    let blocked = daemon.blocked();
    for (words, kind, source) in asked {
        // Packets that don't count are logged in other words.
        let told: Vec<_> =
            daemon.told_of(source).into_iter().filter(|line| !line.contains("Noted only")).collect();
        let is_as_expected = match (kind, told.as_slice()) {
            (NO, []) => !blocked.contains(&source),
            (NO, _) => false,
            (kind, [told]) => {
                told.starts_with(&line(is_classic, words, kind, source)) && blocked.contains(&source)
            }
            _ => false,
        };
        assert!(is_as_expected, "{flag}, {words}: \"{kind}\" is expected of {source}: {told:?}, {blocked:?}");
    }
}

#[test]
fn each_packet_counts_in_the_modes_in_which_it_always_did() {
    thread::scope(|scope| {
        for (column, flags) in COLUMNS.iter().enumerate() {
            for flag in *flags {
                scope.spawn(move || assert_column(flag, column));
            }
        }
    });
}
