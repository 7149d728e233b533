//! The history: any line is read or skipped, and lines written by this program keep their meaning when read.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::{Duration, SystemTime},
};

use jiff::tz::TimeZone;
use portsentry::{
    policy::{Hold, Record},
    sink::{HistoryLine, Named, classic, resolver::Name, revival},
};
use portsentry_common::{block::Proof, classify::Protocol};

use crate::seeds::texts;

pub(super) fn check(data: &[u8]) {
    for line in String::from_utf8_lossy(data).lines() {
        if let Some(past) = HistoryLine::read(line) {
            assert!(line.contains(&past.port.to_string()));
        }
    }
    written(data);
}

/// Writes a line of either format from the bytes, and reads it again.
fn written(data: &[u8]) {
    /// The year 9999, the last that either format can express.
    const LAST: u64 = 253_402_207_200;
    let Some((head, name)) = data.split_first_chunk::<27>() else { return };
    let number = |range: std::ops::Range<usize>| {
        head[range].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let octets = <[u8; 16]>::try_from(&head[..16]).unwrap_or_default();
    let source = IpAddr::from(Ipv6Addr::from(octets)).to_canonical();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(number(16..24) % LAST);
    let port = u16::try_from(number(24..26)).unwrap_or_default();
    let protocol = if head[26] & 1 == 0 { Protocol::Tcp } else { Protocol::Udp };
    let name = Name::new(name).ok();
    let named = Named { address: source, name: name.as_ref().map(Name::as_str), id: None };
    let hold = Hold { since: time, until: None, port, protocol, proof: Proof::None, is_fence: false };
    let record = Record { network: source.into(), hold };
    for line in [
        classic::record(time, &named, port, protocol, "Blocked", &TimeZone::UTC),
        revival::stamp(time, &TimeZone::UTC) + &revival::block(&record, &named),
    ] {
        let past =
            HistoryLine::read(&line).unwrap_or_else(|| panic!("reading returns the written record: {line}"));
        assert_eq!(
            (past.time, past.network.addr(), past.port, past.protocol),
            (time, source, port, protocol),
            "{line}"
        );
        assert_eq!(past.name.as_deref(), named.name, "{line}");
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    texts(&[
        "1795389179 - 11/22/2026 23:12:59 Host: a.example/192.0.2.9 Port: 1 TCP Fenced\n",
        "2026-11-22T23:40:12.990+0000 Scan from: [2001:db8::9] (b.example) protocol: [UDP] port: [69] type: [UDP] \
         IP opts: [not set] ignored: [false] triggered: [true] noblock: [false] blocked: [true]\n",
        "0123456789abcdef0000000123pt.host.example.org",
    ])
}
