//! The blocked file: one line per blocked or fenced source, in 1.2's format.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use jiff::tz::TimeZone;
use portsentry_common::{block::Proof, classify::Protocol};

use super::{annotation::Annotation, classic};
use crate::{
    config::block_list::is_too_much,
    policy::{self, Hold, PREFIXES, Record},
};

/// Marks a source whose line in `hosts.deny` was there before PortSentry would have written it. Other programs read
/// the mark as a comment.
const DENIED_BEFORE: &str = "# denied before";

/// A line that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is neither an address nor a PortSentry line; ignored: \"{}\"", text.escape_debug())]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// Reads a blocked file: 1.2's lines, bare addresses as an administrator adds them, or 2.x's binary form. Bare
/// addresses count as blocked at `now`.
#[must_use]
pub fn parse(content: &[u8], now: SystemTime) -> (Vec<Record>, Vec<Fault>) {
    if let Some(addresses) = parse_revival(content) {
        return (addresses.into_iter().map(|source| bare(source.into(), now)).collect(), Vec::new());
    }
    let (mut records, mut faults) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(String::from_utf8_lossy(content).lines()) {
        match read_line(line, now) {
            Some(record) => records.push(record),
            None if line.split('#').next().unwrap_or_default().trim().is_empty() => {}
            None => faults.push(Fault { line: number, text: line.chars().take(100).collect() }),
        }
    }
    (records, faults)
}

/// Returns the block of a line of the text form, if it holds one.
pub(super) fn read_line(line: &str, now: SystemTime) -> Option<Record> {
    let line = without_end(line).unwrap_or(line);
    let (words, remark) = line.split_once('#').unwrap_or((line, ""));
    Some(terms(parse_words(words, now)?, &Annotation::read(remark)))
}

/// Returns the reasons in an administrator's lines.
#[must_use]
pub fn reasons(content: &[u8]) -> BTreeMap<IpNet, String> {
    let reason = |line: &str| {
        let (words, remark) = without_end(line).unwrap_or(line).split_once('#')?;
        let reason = Annotation::read(remark).reason?;
        Some((parse_words(words, SystemTime::UNIX_EPOCH)?.network, reason))
    };
    String::from_utf8_lossy(content).lines().filter_map(reason).collect()
}

/// Returns the sources whose line in `hosts.deny` was there before PortSentry would have written it.
#[must_use]
pub fn denied_before(content: &[u8]) -> BTreeSet<IpNet> {
    let text = String::from_utf8_lossy(content);
    let lines = text.lines().filter(|line| without_end(line).is_some());
    lines.filter_map(|line| Some(read_line(line, SystemTime::UNIX_EPOCH)?.network)).collect()
}

fn without_end(line: &str) -> Option<&str> {
    line.trim_end().strip_suffix(DENIED_BEFORE)
}

/// Only an administrator annotates a line.
fn terms(record: Record, remark: &Annotation) -> Record {
    if remark.is_empty() || record.hold.is_fence {
        return record;
    }
    Record { hold: Hold { until: remark.until, proof: Proof::Administrator, ..record.hold }, ..record }
}

/// A truncated line must not name another source: 1.2's line counts only if its last word is there.
fn parse_words(line: &str, now: SystemTime) -> Option<Record> {
    match *line.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
        [address] => Some(bare(network(address)?, now)),
        [
            seconds,
            "-",
            _date,
            _time,
            "Host:",
            host,
            "Port:",
            port,
            protocol,
            done @ ("Blocked" | "Fenced"),
        ] => {
            let protocol = match protocol {
                "TCP" => Protocol::Tcp,
                "UDP" => Protocol::Udp,
                _ => return None,
            };
            let named = network(host.split_once('/')?.1).or_else(|| network(host.rsplit_once('/')?.1))?;
            let since = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds.parse().ok()?))?;
            let is_fence = done == "Fenced";
            let port = port.parse().ok()?;
            // Port 0 can't be probed, so an administrator added the address.
            let proof = if port == 0 { Proof::Administrator } else { Proof::None };
            // A probe's source is blocked alone, or by a network of a possible `IPV6_PREFIX`.
            let is_held_so = policy::is_host(named) || is_prefix(named);
            let hold = Hold { since, until: None, port, protocol, proof, is_fence };
            (port == 0 || is_held_so).then_some(Record { network: named, hold })
        }
        _ => None,
    }
}

/// Reads a host or a network, but no network that contains almost all hosts.
fn network(text: &str) -> Option<IpNet> {
    let Some((address, length)) = text.split_once('/') else { return Some(source(text)?.into()) };
    // A network's first address may not be a host's: that of ::/48 is the unspecified address.
    let network = IpNet::new(source(address)?, length.parse().ok()?).ok()?.trunc();
    (is_host(network.addr()) && is_too_much(&network).is_none()).then_some(network)
}

/// Whether the network has a possible length of `IPV6_PREFIX`.
#[must_use]
pub fn is_prefix(network: IpNet) -> bool {
    matches!(network, IpNet::V6(_)) && PREFIXES.contains(&network.prefix_len())
}

/// Returns the networks that an administrator's lines name alone. No daemon writes such lines, so none has read
/// them yet.
#[must_use]
pub fn unread(content: &[u8]) -> BTreeSet<IpNet> {
    if !is_text(content) {
        return BTreeSet::new();
    }
    let text = String::from_utf8_lossy(content);
    let lines = text.lines().map(|line| without_end(line).unwrap_or(line));
    lines.filter_map(|line| network(line.split('#').next().unwrap_or_default().trim())).collect()
}

fn source(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok()?.to_canonical();
    is_host(address).then_some(address)
}

/// Whether `address` can be another host's.
#[must_use]
pub const fn is_host(address: IpAddr) -> bool {
    let is_single = match address {
        IpAddr::V4(address) => !address.is_broadcast() && !address.is_multicast() && address.octets()[0] != 0,
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_multicast(),
    };
    is_single && !address.is_loopback()
}

/// Whether the content is text, not 2.x's binary form.
#[must_use]
pub fn is_text(content: &[u8]) -> bool {
    parse_revival(content).is_none()
}

fn bare(network: IpNet, now: SystemTime) -> Record {
    Record { network, hold: Hold::ordered(now, None) }
}

/// Reads 2.x's file: for each source a `sa_family_t` in the machine's byte order, followed by an `in_addr` or
/// `in6_addr`. Returns `None` for text, whose first characters are too large for a family.
fn parse_revival(content: &[u8]) -> Option<Vec<IpAddr>> {
    // <sys/socket.h>
    const INET: u16 = 2;
    const INET6: u16 = 10;
    let mut rest = content;
    let mut addresses = Vec::new();
    loop {
        let Some((family, after)) = rest.split_first_chunk::<2>() else {
            return (!addresses.is_empty()).then_some(addresses);
        };
        let address: IpAddr = match u16::from_ne_bytes(*family) {
            INET => {
                let Some((octets, after)) = after.split_first_chunk::<4>() else { return Some(addresses) };
                rest = after;
                Ipv4Addr::from(*octets).into()
            }
            INET6 => {
                let Some((octets, after)) = after.split_first_chunk::<16>() else { return Some(addresses) };
                rest = after;
                Ipv6Addr::from(*octets).into()
            }
            _ => return (!addresses.is_empty()).then_some(addresses),
        };
        addresses.extend(source(&address.to_string()));
    }
}

/// Returns the last word of a line.
#[must_use]
pub const fn done(hold: &Hold) -> &'static str {
    if hold.is_fence { "Fenced" } else { "Blocked" }
}

/// Renders the file for the current blocks, with the administrators' `reasons`, and with marks for lines in
/// `hosts.deny` that are not PortSentry's.
#[must_use]
pub fn render(
    records: impl Iterator<Item = Record>,
    reasons: &BTreeMap<IpNet, String>,
    denied_before: &BTreeSet<IpNet>,
    zone: &TimeZone,
) -> String {
    let mut text = String::new();
    for record in records {
        let Record { network, hold } = record;
        // Written as in 1.2 without a known name. A network ends with its length.
        let host = format!("{}/{}", network.addr(), record.name());
        let line = classic::record(hold.since, &host, hold.port, hold.protocol, done(&hold), zone);
        // The configuration sets the duration of other blocks.
        let remark = match hold.proof {
            Proof::Administrator => Annotation { until: hold.until, reason: reasons.get(&network).cloned() },
            _ => Annotation::default(),
        };
        let end = if denied_before.contains(&network) { format!(" {DENIED_BEFORE}") } else { String::new() };
        // Writing to a string can't fail.
        let _ = writeln!(text, "{line}{remark}{end}");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn record(source: &str, second: u64, port: u16, protocol: Protocol) -> Record {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let proof = if port == 0 { Proof::Administrator } else { Proof::None };
        let hold = Hold { since, until: None, port, protocol, proof, is_fence: false };
        let network = network(source).unwrap_or_else(|| source.parse::<IpAddr>().unwrap().into());
        Record { network, hold }
    }

    #[test]
    fn lines_of_both_kinds_are_read() {
        let text = "1795389179 - 11/22/2026 23:12:59 Host: 192.0.2.9/192.0.2.9 Port: 1 TCP Blocked\n\
                    \n# a comment\n 2001:db8::9 # a guest\n\
                    1795389180 - 11/22/2026 23:13:00 Host: a.example/198.51.100.7 Port: 69 UDP Blocked\n\
                    ::ffff:192.0.2.4";
        let expected = [
            record("192.0.2.9", 1_795_389_179, 1, Protocol::Tcp),
            record("2001:db8::9", 0, 0, Protocol::Tcp),
            record("198.51.100.7", 1_795_389_180, 69, Protocol::Udp),
            record("192.0.2.4", 0, 0, Protocol::Tcp),
        ];
        assert_eq!(parse(text.as_bytes(), NOW), (expected.to_vec(), vec![]));
    }

    #[test]
    fn networks_are_written_and_read() {
        let records =
            [("2001:db8:1:2::/64", 11), ("2001:db8:3::/48", 7), ("2001:db8:4::9", 7), ("192.0.2.0/24", 0)];
        let records = records.map(|(text, port)| record(text, 1_795_389_179, port, Protocol::Tcp));
        let text = render(records.into_iter(), &BTreeMap::new(), &BTreeSet::new(), &TimeZone::UTC);
        let first =
            "1795389179 - 11/22/2026 23:12:59 Host: 2001:db8:1:2::/2001:db8:1:2::/64 Port: 11 TCP Blocked";
        assert_eq!(text.lines().next(), Some(first));
        assert_eq!(parse(text.as_bytes(), NOW), (records.to_vec(), vec![]));
        let (bare, faults) =
            parse(b"2001:db8:1:2:3::9/64\n2001:db8::/32\n192.0.2.7/24\n10.0.0.0/7\n::/8\n", NOW);
        let networks: Vec<_> = bare.iter().map(Record::name).collect();
        assert_eq!(
            (networks, faults.len()),
            (["2001:db8:1:2::/64", "2001:db8::/32", "192.0.2.0/24"].map(Into::into).into(), 2)
        );
        let probed = text.replace("Port: 0", "Port: 1");
        assert_eq!(parse(probed.as_bytes(), NOW).1.len(), 1, "a probe has no IPv4 network blocked");
    }

    #[test]
    fn lines_that_no_daemon_has_read_are_known() {
        let read = "1795389179 - 11/22/2026 23:12:59 Host: 192.0.2.9/192.0.2.9 Port: 0 TCP Blocked\n";
        let text = format!("{read}# mine\n192.0.2.8 # because \"x\"\n 192.0.2.0/24\nnonsense\n");
        let expected = ["192.0.2.8/32", "192.0.2.0/24"].map(|text| text.parse().unwrap());
        assert_eq!(unread(text.as_bytes()), expected.into());
    }

    #[test]
    fn an_administrators_terms_are_written_and_read() {
        let until = Some(NOW + Duration::from_secs(1_795_400_000));
        let mut for_long = record("192.0.2.9", 1_795_389_179, 11, Protocol::Tcp);
        for_long.hold = Hold { until, proof: Proof::Administrator, ..for_long.hold };
        let of_the_configuration = record("192.0.2.10", 5, 7, Protocol::Tcp);
        let configured = Hold { until, ..of_the_configuration.hold };
        let reasons = BTreeMap::from([("192.0.2.9/32".parse().unwrap(), "a \"guest\" # no more".to_owned())]);
        let records = [for_long, Record { hold: configured, ..of_the_configuration }];
        let denied_before = records.map(|record| record.network).into();
        let text = render(records.into_iter(), &reasons, &denied_before, &TimeZone::UTC);
        assert_eq!(
            text.lines().next(),
            Some(
                "1795389179 - 11/22/2026 23:12:59 Host: 192.0.2.9/192.0.2.9 Port: 11 TCP Blocked # until \
                 2026-11-23T02:13:20Z because \"a \\\"guest\\\" # no more\" # denied before"
            )
        );
        // `BLOCK_TIME` may have another value at the next start.
        assert_eq!(parse(text.as_bytes(), NOW), (vec![for_long, of_the_configuration], vec![]));
        assert_eq!(super::reasons(text.as_bytes()), reasons);
        assert_eq!(super::denied_before(text.as_bytes()), denied_before);
    }

    #[test]
    fn what_names_no_host_for_sure_is_a_fault() {
        for line in [
            "1795389179 - 11/22/2026 23:12:59 Host: 192.0.2.9/192.0.2.1",
            "1795389179 - 11/22/2026 23:12:59 Host: 192.0.2.9/192.0.2.9 Port: 1 TC",
            "1795389179 - 11/22/2026 23:12:59 Host: 192.0.2.9/192.0.2.9 Port: 99999 TCP Blocked",
            "1795389179 - 11/22/2026 23:12:59 Host: 192.0.2.9/192.0.2.9 Port: 1 TCP Reported",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.5",
            "127.0.0.1",
            "ff02::1",
            "::1",
            "scanner.example",
            "192.0.2.1 192.0.2.2",
        ] {
            let text = format!("192.0.2.3\n{line}\n");
            let expected = vec![Fault { line: 2, text: line.into() }];
            assert_eq!(
                parse(text.as_bytes(), NOW),
                (vec![bare("192.0.2.3/32".parse().unwrap(), NOW)], expected),
                "{line}"
            );
        }
    }

    #[test]
    fn the_binary_file_of_2_is_read() {
        let mut content = 2_u16.to_ne_bytes().to_vec();
        content.extend([192, 0, 2, 9]);
        content.extend(10_u16.to_ne_bytes());
        content.extend("2001:db8::9".parse::<Ipv6Addr>().unwrap().octets());
        content.extend(2_u16.to_ne_bytes());
        content.extend([192, 0]);
        let (records, faults) = parse(&content, NOW);
        let sources: Vec<_> = records.iter().map(Record::name).collect();
        assert_eq!((sources.as_slice(), faults), (&["192.0.2.9".into(), "2001:db8::9".into()][..], vec![]));
    }

    proptest! {
        #[test]
        fn no_content_panics(content: Vec<u8>) {
            let (records, faults) = parse(&content, NOW);
            prop_assert!(records.len() + faults.len() <= content.len());
        }

        #[test]
        fn what_is_written_is_read(
            sources in prop::collection::btree_map(any::<u32>(), (0..4_000_000_000_u64, 1..=u16::MAX), 0..20)
        ) {
            let records: Vec<Record> = sources
                .iter()
                .map(|(number, (second, port))| record(&Ipv4Addr::from(*number).to_string(), *second, *port, Protocol::Udp))
                .filter(|record| source(&record.source().to_string()).is_some())
                .collect();
            let text = render(records.iter().copied(), &BTreeMap::new(), &BTreeSet::new(), &TimeZone::UTC);
            prop_assert_eq!(parse(text.as_bytes(), NOW), (records, vec![]));
        }

        #[test]
        fn a_file_cut_short_names_nobody_new(second in 0..4_000_000_000_u64, port in 1..=u16::MAX, cut in 0..90_usize) {
            let whole = record("192.0.2.123", second, port, Protocol::Tcp);
            let text = render([whole].into_iter(), &BTreeMap::new(), &BTreeSet::new(), &TimeZone::UTC);
            let (records, _) = parse(&text.as_bytes()[..cut.min(text.len())], NOW);
            prop_assert!(records.iter().all(|record| *record == whole));
        }
    }
}
