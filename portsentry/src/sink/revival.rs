//! The log lines of PortSentry 2.x, byte for byte.

use std::time::SystemTime;

use jiff::{Timestamp, tz::TimeZone};
use portsentry_common::{
    classify::{Kind, Protocol},
    decide::Verdict,
};

use super::{Named, classic};
use crate::policy::{Record, Sighting};

/// Returns 2.x's name for a kind of probe.
#[must_use]
pub fn scan_type(kind: Kind, flags: u8) -> String {
    match kind {
        Kind::Udp => "UDP".into(),
        kind => classic::scan_type(kind, flags).trim_start().to_owned(),
    }
}

/// Returns the name of a scan that avoids traps, or of the probe's kind.
fn sighting_type(sighting: &Sighting) -> String {
    match sighting.scan {
        Some(_) => classic::sighting_type(sighting),
        None => scan_type(sighting.kind, sighting.flags),
    }
}

/// Returns the line of a probe. The line of a probe without consequences starts with other words, because filters
/// for 2.x ban every source after `Scan from:` and ignore the flags that follow.
#[must_use]
pub fn scan(sighting: &Sighting, source: &Named<'_>) -> String {
    let Sighting { kind, protocol, port, options, verdict, scan, .. } = *sighting;
    let begin = match verdict {
        Verdict::Report if scan.is_some() => "Noted only, from",
        Verdict::Block | Verdict::Fence | Verdict::Report | Verdict::Full => "Scan from",
        Verdict::Counted | Verdict::Noticed | Verdict::Ignored => "Noted only, from",
    };
    let options = match options {
        Some(true) => "set",
        Some(false) => "not set",
        None => "unknown",
    };
    // The flags: ignored, trigger reached, only reported, blocked.
    let [ignored, triggered, noblock, blocked] = match verdict {
        Verdict::Ignored => ["true", "unset", "unset", "unset"],
        Verdict::Counted | Verdict::Noticed => ["false", "false", "unset", "unset"],
        Verdict::Report => ["false", "true", "true", "false"],
        Verdict::Full => ["false", "true", "false", "false"],
        // A single completed connection may come from an honest host, and log watchers ban by these flags.
        Verdict::Fence if kind == Kind::Connect && protocol == Protocol::Tcp => {
            ["false", "true", "false", "false"]
        }
        Verdict::Block | Verdict::Fence => ["false", "true", "false", "true"],
    };
    line(
        begin,
        source,
        (protocol, port),
        &sighting_type(sighting),
        options,
        [ignored, triggered, noblock, blocked],
    )
}

/// Returns the line of a block whose probe was not reported, or was reported before the line could be written.
#[must_use]
pub fn block(record: &Record, source: &Named<'_>) -> String {
    let (protocol, port) = (record.hold.protocol, record.hold.port);
    line("Scan from", source, (protocol, port), "unknown", "unknown", ["false", "true", "false", "true"])
}

fn line(
    begin: &str,
    source: &Named<'_>,
    (protocol, port): (Protocol, u16),
    kind: &str,
    options: &str,
    [ignored, triggered, noblock, blocked]: [&str; 4],
) -> String {
    format!(
        "{begin}: [{}] ({}) protocol: [{}] port: [{port}] type: [{kind}] IP opts: [{options}] ignored: \
         [{ignored}] triggered: [{triggered}] noblock: [{noblock}] blocked: [{blocked}]",
        source.address,
        source.name(),
        protocol.name(),
    )
}

/// Returns the time at the start of a history line, followed by a space.
#[must_use]
pub fn stamp(time: SystemTime, zone: &TimeZone) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S.%3f%z ").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::sample_sighting;

    #[test]
    fn a_block_has_the_words_of_2() {
        let sighting = Sighting { port: 425, verdict: Verdict::Block, ..sample_sighting() };
        assert_eq!(
            scan(&sighting, &sighting.source.into()),
            "Scan from: [192.0.2.9] (192.0.2.9) protocol: [TCP] port: [425] type: [TCP SYN/Normal scan] IP opts: \
             [not set] ignored: [false] triggered: [true] noblock: [false] blocked: [true]"
        );
    }

    #[test]
    fn who_is_left_alone_is_not_named_after_scan_from() {
        for (verdict, is_scan) in [
            (Verdict::Block, true),
            (Verdict::Report, true),
            (Verdict::Full, true),
            (Verdict::Counted, false),
            (Verdict::Noticed, false),
            (Verdict::Ignored, false),
        ] {
            let sighting = Sighting { verdict, ..sample_sighting() };
            let line = scan(&sighting, &sighting.source.into());
            assert_eq!(line.contains("Scan from: ["), is_scan, "{line}");
        }
    }

    #[test]
    fn a_connection_that_only_fences_is_no_block() {
        for (kind, verdict, expected) in [
            (Kind::Connect, Verdict::Fence, "blocked: [false]"),
            (Kind::Connect, Verdict::Block, "blocked: [true]"),
            (Kind::Syn, Verdict::Fence, "blocked: [true]"),
        ] {
            let sighting = Sighting { kind, verdict, ..sample_sighting() };
            assert!(scan(&sighting, &sighting.source.into()).ends_with(expected), "{kind:?} {verdict:?}");
        }
    }

    #[test]
    fn types_are_those_of_2() {
        for (kind, flags, expected) in [
            (Kind::Null, 0, "TCP NULL scan"),
            (Kind::Udp, 0, "UDP"),
            (Kind::Connect, 0, "Connect"),
            (
                Kind::Unknown,
                0x20,
                "Unknown Type: TCP Packet Flags: SYN: 0 FIN: 0 ACK: 0 PSH: 0 URG: 1 RST: 0",
            ),
        ] {
            assert_eq!(scan_type(kind, flags), expected);
        }
    }

    #[test]
    fn the_time_has_milliseconds_and_an_offset() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_390_812_990);
        assert_eq!(stamp(time, &TimeZone::UTC), "2026-11-22T23:40:12.990+0000 ");
    }
}
