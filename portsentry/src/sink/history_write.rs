//! Lines of the history. A probe's line is 1.2's or 2.x's, byte for byte. An administrator's request or a release
//! is worded so that no filter for either takes it for an attack.

use jiff::{Timestamp, tz::TimeZone};

use super::{Named, annotation::Annotation, classic, revival};
use crate::{
    config::LogFormat,
    policy::register::{Case, HistoryAction},
};

/// Returns the line on an action on the network of `case`, without a line end.
pub(super) fn render(
    action: HistoryAction,
    case: &Case,
    source: &Named<'_>,
    format: LogFormat,
    zone: &TimeZone,
) -> String {
    let record = &case.record;
    let hold = &record.hold;
    let is_end = matches!(action, HistoryAction::Lifted | HistoryAction::Forgotten);
    let is_ordered = hold.port == 0 || is_end || case.is_given;
    if !is_ordered {
        let line = match (format, &case.sighting) {
            (LogFormat::Revival, Some(sighting)) => {
                revival::stamp(sighting.time, zone) + &revival::scan(sighting, source)
            }
            (LogFormat::Revival, None) => revival::stamp(hold.since, zone) + &revival::block(record, source),
            _ => classic::record(hold.since, source, hold.port, hold.protocol, done(action), zone),
        };
        // Filters for 2.x take the end of a line about a fence for the verdict.
        let is_scan = case.sighting.as_ref().is_some_and(|sighting| sighting.scan.is_some());
        let may_end_otherwise = action == HistoryAction::Reported || format != LogFormat::Revival;
        return if is_scan && may_end_otherwise {
            line + &Annotation { until: None, reason: Some(case.reason.clone()) }.to_string()
        } else {
            line
        };
    }
    let remark = match action {
        HistoryAction::Lifted | HistoryAction::Forgotten => {
            Annotation { until: None, reason: Some(case.reason.clone()) }
        }
        _ => Annotation { until: hold.until, reason: case.given().map(str::to_owned) },
    };
    let begin = match action {
        HistoryAction::Lifted => "Released",
        HistoryAction::Forgotten => "Forgotten",
        _ => "Blocked",
    };
    let name = source.name();
    if format == LogFormat::Revival {
        return format!("{}{begin}: [{}] ({name}){remark}", revival::stamp(case.time, zone), record.name());
    }
    let host = format!("{name}/{}", record.name());
    let line = classic::record(case.time, &host, hold.port, hold.protocol, done(action), zone);
    // 1.2's filters look for `Host:`.
    let line = if is_end { line.replacen(" Host: ", " Released: ", 1) } else { line };
    format!("{line}{remark}")
}

/// Returns the last word of 1.2's lines.
pub(super) const fn done(action: HistoryAction) -> &'static str {
    match action {
        HistoryAction::Blocked => "Blocked",
        HistoryAction::Fenced => "Fenced",
        HistoryAction::Reported => "Reported",
        HistoryAction::Lifted => "Lifted",
        HistoryAction::Forgotten => "Forgotten",
    }
}

/// Formats a time for evidence and events: RFC 3339 in UTC with milliseconds.
pub(super) fn stamp(time: std::time::SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use portsentry_common::decide::Verdict;

    use super::*;
    use crate::{
        policy::{
            Hold, Record, Sighting,
            register::{Admission, Release, Why},
            sample_scan, sample_sighting,
        },
        sink::HistoryLine,
    };

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn a_scan_that_avoids_traps_is_written_with_its_evidence_and_read() {
        let because = "# because \"sweep: 6 failed first contacts within 42 s, score 15.4\"";
        for (format, verdict, action, line_begin, line_end) in [
            (LogFormat::Classic, Verdict::Report, HistoryAction::Reported, "0 - 01/01/1970", because),
            (LogFormat::Classic, Verdict::Fence, HistoryAction::Fenced, "0 - 01/01/1970", because),
            (
                LogFormat::Revival,
                Verdict::Report,
                HistoryAction::Reported,
                "1970-01-01T00:00:00.000+0000 Noted only, from: [192.0.2.9]",
                because,
            ),
            (
                LogFormat::Revival,
                Verdict::Fence,
                HistoryAction::Blocked,
                "1970-01-01T00:00:00.000+0000 Scan from: [192.0.2.9]",
                "type: [sweep] IP opts: [not set] ignored: [false] triggered: [true] noblock: [false] blocked: [true]",
            ),
        ] {
            let sighting = Sighting { verdict, scan: Some(sample_scan()), ..sample_sighting() };
            let case = Case::probe(&sighting);
            let line = render(action, &case, &Named::from(sighting.source), format, &TimeZone::UTC);
            assert!(line.starts_with(line_begin) && line.ends_with(line_end), "{line}");
            assert_eq!(HistoryLine::read(&line).map(|read| read.action), Some(action), "{line}");
        }
    }

    #[test]
    fn an_administrators_word_and_an_end_are_written_and_read() {
        let network = "192.0.2.0/24".parse().unwrap();
        let record = Record { network, hold: Hold::ordered(at(1_795_389_179), Some(at(1_795_400_000))) };
        let held = Case::held(Admission::Administrator, record, None, Why::Given("a \"guest\" # no more"));
        let gone = Case::let_go(Release::Over, record, "its time is over", at(1_795_400_000));
        let source = Named::from(network.addr());
        for (format, action, case, expected) in [
            (
                LogFormat::Classic,
                HistoryAction::Blocked,
                &held,
                "1795389179 - 11/22/2026 23:12:59 Host: 192.0.2.0/192.0.2.0/24 Port: 0 TCP Blocked # until \
                 2026-11-23T02:13:20Z because \"a \\\"guest\\\" # no more\"",
            ),
            (
                LogFormat::Classic,
                HistoryAction::Lifted,
                &gone,
                "1795400000 - 11/23/2026 02:13:20 Released: 192.0.2.0/192.0.2.0/24 Port: 0 TCP Lifted # because \"its \
                 time is over\"",
            ),
            (
                LogFormat::Revival,
                HistoryAction::Blocked,
                &held,
                "2026-11-22T23:12:59.000+0000 Blocked: [192.0.2.0/24] (192.0.2.0) # until 2026-11-23T02:13:20Z because \
                 \"a \\\"guest\\\" # no more\"",
            ),
            (
                LogFormat::Classic,
                HistoryAction::Forgotten,
                &gone,
                "1795400000 - 11/23/2026 02:13:20 Released: 192.0.2.0/192.0.2.0/24 Port: 0 TCP Forgotten # because \"its \
                 time is over\"",
            ),
            (
                LogFormat::Revival,
                HistoryAction::Forgotten,
                &gone,
                "2026-11-23T02:13:20.000+0000 Forgotten: [192.0.2.0/24] (192.0.2.0) # because \"its time is over\"",
            ),
            (
                LogFormat::Revival,
                HistoryAction::Lifted,
                &gone,
                "2026-11-23T02:13:20.000+0000 Released: [192.0.2.0/24] (192.0.2.0) # because \"its time is over\"",
            ),
        ] {
            let line = render(action, case, &source, format, &TimeZone::UTC);
            assert_eq!(line, expected);
            let past = HistoryLine::read(&line).unwrap();
            assert_eq!((past.network, past.action, past.time), (network, action, case.time));
            assert_eq!(past.reason.as_ref(), Some(&case.reason));
        }
    }

    #[test]
    fn no_filter_bans_who_is_let_go() {
        let record = Record {
            network: "192.0.2.9/32".parse().unwrap(),
            hold: Hold::for_good(at(5), 11, portsentry_common::classify::Protocol::Tcp),
        };
        let gone = Case::let_go(Release::Administrator, record, "an administrator asked for it", at(9));
        for format in [LogFormat::Classic, LogFormat::Revival] {
            let line = render(HistoryAction::Lifted, &gone, &record.source().into(), format, &TimeZone::UTC);
            assert!(!line.contains(" Host: ") && !line.contains("Scan from: ["), "{line}");
        }
    }
}
