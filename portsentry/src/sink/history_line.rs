//! Reads the history's lines, in the formats of 1.2 and 2.x.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use jiff::{Timestamp, fmt::strtime};
use portsentry_common::classify::Protocol;

use super::annotation::Annotation;
use crate::policy::{network_of, register::HistoryAction};

/// The content of a history line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryLine {
    /// Time of the action.
    pub time: SystemTime,
    /// The host or network.
    pub network: IpNet,
    /// The source's name, if the line has one.
    pub name: Option<String>,
    /// Port of the probe; 0 for an administrator's block.
    pub port: u16,
    /// Transport protocol of the probe.
    pub protocol: Protocol,
    /// Kind of the probe, in the words of 2.x. 1.2's lines don't have it.
    pub kind: Option<String>,
    /// The action.
    pub action: HistoryAction,
    /// The reason, if the line has one.
    pub reason: Option<String>,
}

impl HistoryLine {
    /// Reads a line. Returns `None` if it is truncated or in another format.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let (time, rest) = line.split_once(' ')?;
        let (rest, remark) = rest.split_once(" #").unwrap_or((rest, ""));
        let reason = Annotation::read(remark).reason;
        let past = if rest.starts_with("- ") { classic(time, rest) } else { revival(time, rest) }?;
        Some(Self { reason, ..past })
    }
}

/// Reads a host, or a network with its length.
fn network(text: &str) -> Option<IpNet> {
    match text.split_once('/') {
        None => Some(network_of(text.parse::<IpAddr>().ok()?, 0)),
        Some(_) => text.parse().ok(),
    }
}

/// Reads `- DATE TIME Host: NAME/ADDRESS Port: PORT PROTOCOL DONE`, as in 1.2, or the same with `Released:` in
/// place of `Host:`, which no banning filter matches.
fn classic(seconds: &str, rest: &str) -> Option<HistoryLine> {
    let ["-", _date, _time, begin, host, "Port:", port, protocol, done] =
        *rest.split_ascii_whitespace().collect::<Vec<_>>().as_slice()
    else {
        return None;
    };
    // No name contains a slash.
    let (name, address) = host.split_once('/')?;
    let action = match (begin, done) {
        ("Host:", "Blocked") => HistoryAction::Blocked,
        ("Host:", "Fenced") => HistoryAction::Fenced,
        ("Host:", "Reported") => HistoryAction::Reported,
        ("Released:", "Lifted") => HistoryAction::Lifted,
        ("Released:", "Forgotten") => HistoryAction::Forgotten,
        _ => return None,
    };
    let network = network(address)?;
    Some(HistoryLine {
        time: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds.parse().ok()?))?,
        network,
        name: (name != address && name != network.addr().to_string()).then(|| name.to_owned()),
        port: port.parse().ok()?,
        protocol: protocol_named(protocol)?,
        kind: None,
        action,
        reason: None,
    })
}

/// Reads `Scan from: [ADDRESS] (NAME) protocol: [PROTOCOL] port: [PORT] type: [KIND] ... blocked: [true]`.
fn revival(time: &str, rest: &str) -> Option<HistoryLine> {
    let time: Timestamp = strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", time).ok()?.to_timestamp().ok()?;
    let words = [
        ("Blocked: [", HistoryAction::Blocked),
        ("Released: [", HistoryAction::Lifted),
        ("Forgotten: [", HistoryAction::Forgotten),
    ];
    if let Some((rest, action)) =
        words.iter().find_map(|(begin, action)| Some((rest.strip_prefix(begin)?, *action)))
    {
        let (address, name) = rest.strip_suffix(')')?.split_once("] (")?;
        let name = (name != address).then(|| name.to_owned());
        let (network, protocol) = (network(address)?, Protocol::Tcp);
        return Some(HistoryLine {
            time: time.into(),
            network,
            name,
            port: 0,
            protocol,
            kind: None,
            action,
            reason: None,
        });
    }
    let rest = rest.strip_prefix("Scan from: [").or_else(|| rest.strip_prefix("Noted only, from: ["))?;
    let (address, rest) = rest.split_once("] (")?;
    let (name, rest) = rest.split_once(") protocol: [")?;
    let (protocol, rest) = rest.split_once("] port: [")?;
    let (port, rest) = rest.split_once("] type: [")?;
    let (kind, rest) = rest.split_once("] IP opts: [")?;
    let action = match rest.rsplit_once(" blocked: [")?.1 {
        "true]" => HistoryAction::Blocked,
        "false]" | "unset]" => HistoryAction::Reported,
        _ => return None,
    };
    Some(HistoryLine {
        time: time.into(),
        network: network_of(address.parse().ok()?, 0),
        name: (name != address).then(|| name.to_owned()),
        port: port.parse().ok()?,
        protocol: protocol_named(protocol)?,
        kind: (kind != "unknown").then(|| kind.to_owned()),
        action,
        reason: None,
    })
}

fn protocol_named(name: &str) -> Option<Protocol> {
    [Protocol::Tcp, Protocol::Udp].into_iter().find(|protocol| protocol.name() == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLASSIC: &str = "1795389179 - 11/22/2026 23:12:59 Host: a.example/192.0.2.9 Port: 1 TCP Fenced";
    const REVIVAL: &str = "2026-11-22T23:40:12.990+0000 Scan from: [2001:db8::9] (2001:db8::9) protocol: [UDP] port: \
         [69] type: [UDP] IP opts: [not set] ignored: [false] triggered: [true] noblock: [false] blocked: [true]";

    #[test]
    fn lines_of_both_formats_are_read() {
        let classic = HistoryLine {
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_389_179),
            network: "192.0.2.9/32".parse().unwrap(),
            name: Some("a.example".into()),
            port: 1,
            protocol: Protocol::Tcp,
            kind: None,
            action: HistoryAction::Fenced,
            reason: None,
        };
        assert_eq!(HistoryLine::read(CLASSIC), Some(classic));
        let revival = HistoryLine {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_390_812_990),
            network: "2001:db8::9/128".parse().unwrap(),
            name: None,
            port: 69,
            protocol: Protocol::Udp,
            kind: Some("UDP".into()),
            action: HistoryAction::Blocked,
            reason: None,
        };
        assert_eq!(HistoryLine::read(REVIVAL), Some(revival));
        let reported =
            REVIVAL.replace("noblock: [false] blocked: [true]", "noblock: [true] blocked: [false]");
        assert_eq!(HistoryLine::read(&reported).map(|past| past.action), Some(HistoryAction::Reported));
    }

    proptest! {
        #[test]
        fn a_torn_line_says_nothing(cut in 1..70_usize) {
            for line in [CLASSIC, REVIVAL] {
                prop_assert_eq!(HistoryLine::read(&line[..line.len() - cut]), None);
            }
        }

        #[test]
        fn no_line_panics(line in ".{0,100}|[0-9]{1,5} - a b Host: .{0,20}|[0-9T:-]{5,30} Scan from: \\[.{0,40}") {
            let _ = HistoryLine::read(&line);
        }
    }
}
