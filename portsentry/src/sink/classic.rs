//! The log lines of PortSentry 1.2, byte for byte.

use std::{fmt::Display, time::SystemTime};

use jiff::{Timestamp, tz::TimeZone};
use portsentry_common::{
    block::Block,
    classify::{Kind, Protocol},
    parse::TcpFlags,
};

use super::Named;
use crate::policy::{ScanKind, Sighting};

/// Returns 1.2's name for a kind of probe. (`TCP NULL scan` starts with a space, so that the line has two.)
#[must_use]
pub fn scan_type(kind: Kind, flags: u8) -> String {
    match kind {
        Kind::Syn => "TCP SYN/Normal scan".into(),
        Kind::Fin => "TCP FIN scan".into(),
        Kind::Null => " TCP NULL scan".into(),
        Kind::Xmas => "TCP XMAS scan".into(),
        Kind::Maimon => "TCP Maimon scan".into(),
        Kind::Ack => "TCP ACK scan".into(),
        Kind::Fragment => "TCP fragment scan".into(),
        Kind::Udp => "UDP scan".into(),
        Kind::Connect => "Connect".into(),
        Kind::Chain => "IPv6 header chain scan".into(),
        Kind::Unknown => unknown_type(flags),
    }
}

/// Returns the name of a scan that avoids traps, or of the probe's kind.
#[must_use]
pub fn sighting_type(sighting: &Sighting) -> String {
    match &sighting.scan {
        Some(scan) => scan.kind().name().into(),
        None => scan_type(sighting.kind, sighting.flags),
    }
}

/// Returns the name of the scan, or of the last probe's kind, that led to an entry of the maps.
#[must_use]
pub fn entry_type(block: &Block) -> Option<String> {
    if let Some(scan) = ScanKind::of_fence(block) {
        return Some(scan.name().into());
    }
    let kind = Kind::try_from(block.kind).ok()?;
    Some(scan_type(kind, block.flags).trim().to_owned())
}

/// Returns both PortSentrys' text for a combination of control bits without a name.
pub(super) fn unknown_type(flags: u8) -> String {
    let bit = |mask: u8| u8::from(flags & mask != 0);
    format!(
        "Unknown Type: TCP Packet Flags: SYN: {} FIN: {} ACK: {} PSH: {} URG: {} RST: {}",
        bit(TcpFlags::SYN),
        bit(TcpFlags::FIN),
        bit(TcpFlags::ACK),
        bit(TcpFlags::PSH),
        bit(TcpFlags::URG),
        bit(TcpFlags::RST)
    )
}

/// Returns the line of a probe, and a second line if it had IP options.
pub fn attack(sighting: &Sighting, source: &Named<'_>) -> impl Iterator<Item = String> {
    let Sighting { protocol, port, options, .. } = *sighting;
    let end = format!("from host: {source} to {} port: {port}", protocol.name());
    let options = (options == Some(true))
        .then(|| format!("attackalert: Packet {end} has IP options set (detection avoidance technique)."));
    std::iter::once(format!("attackalert: {} {end}", sighting_type(sighting))).chain(options)
}

/// Returns the line of a probe without consequences, worded so that no filter for attacks matches it.
#[must_use]
pub fn notice(sighting: &Sighting, source: &Named<'_>, why: &str) -> String {
    let Sighting { protocol, port, .. } = *sighting;
    let what = sighting_type(sighting);
    format!(
        "adminalert: Noted only ({why}): {}, source {source}, {} port {port}",
        what.trim(),
        protocol.name()
    )
}

/// Returns a line of the blocked file and the history, without a line end: time in seconds and as local time,
/// source, port of the probe, and action.
#[must_use]
pub fn record(
    time: SystemTime,
    source: &dyn Display,
    port: u16,
    protocol: Protocol,
    done: &str,
    zone: &TimeZone,
) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    let local = time.to_zoned(zone.clone()).strftime("%m/%d/%Y %H:%M:%S");
    format!("{} - {local} Host: {source} Port: {port} {} {done}", time.as_second(), protocol.name())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::sample_sighting;

    #[test]
    fn every_kind_has_the_words_of_1_2() {
        let source = Named::from(std::net::IpAddr::from([192, 0, 2, 9]));
        for (kind, flags, expected) in [
            (Kind::Syn, 2, "attackalert: TCP SYN/Normal scan from host: 192.0.2.9/192.0.2.9 to TCP port: 11"),
            (Kind::Fin, 1, "attackalert: TCP FIN scan from host: 192.0.2.9/192.0.2.9 to TCP port: 11"),
            (Kind::Xmas, 0x29, "attackalert: TCP XMAS scan from host: 192.0.2.9/192.0.2.9 to TCP port: 11"),
            (Kind::Null, 0, "attackalert:  TCP NULL scan from host: 192.0.2.9/192.0.2.9 to TCP port: 11"),
            (
                Kind::Unknown,
                3,
                "attackalert: Unknown Type: TCP Packet Flags: SYN: 1 FIN: 1 ACK: 0 PSH: 0 URG: 0 RST: 0 from \
                 host: 192.0.2.9/192.0.2.9 to TCP port: 11",
            ),
            (Kind::Connect, 0, "attackalert: Connect from host: 192.0.2.9/192.0.2.9 to TCP port: 11"),
        ] {
            let sighting = Sighting { kind, flags, ..sample_sighting() };
            assert_eq!(attack(&sighting, &source).collect::<Vec<_>>(), [expected]);
        }
        let udp =
            Sighting { kind: Kind::Udp, protocol: Protocol::Udp, port: 69, flags: 0, ..sample_sighting() };
        let expected = "attackalert: UDP scan from host: 192.0.2.9/192.0.2.9 to UDP port: 69";
        assert_eq!(attack(&udp, &source).collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn ip_options_have_a_line_of_their_own() {
        let source = Named { address: [192, 0, 2, 9].into(), name: Some("scanner.example"), id: None };
        let sighting = Sighting { options: Some(true), ..sample_sighting() };
        let lines: Vec<_> = attack(&sighting, &source).collect();
        assert_eq!(
            lines,
            [
                "attackalert: TCP SYN/Normal scan from host: scanner.example/192.0.2.9 to TCP port: 11",
                "attackalert: Packet from host: scanner.example/192.0.2.9 to TCP port: 11 has IP options set \
                 (detection avoidance technique).",
            ]
        );
    }

    #[test]
    fn a_record_is_a_line_of_1_2s_blocked_file() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_389_179_999);
        let source = Named::from(std::net::IpAddr::from([192, 0, 2, 9]));
        assert_eq!(
            record(time, &source, 1, Protocol::Tcp, "Blocked", &TimeZone::UTC),
            "1795389179 - 11/22/2026 23:12:59 Host: 192.0.2.9/192.0.2.9 Port: 1 TCP Blocked"
        );
    }
}
