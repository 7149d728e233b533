//! Numbers, switches and paths in settings.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use super::{report::Report, span::Span};

/// A decimal number within `range`.
pub(super) fn number(value: Span<'_>, range: RangeInclusive<u32>, report: &mut Report) -> Option<u32> {
    let value = value.trim();
    let text = value.text();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        report.error(value, format!("\"{}\" is not a number", text.escape_debug()));
        return None;
    }
    let number = text.parse().ok().filter(|number| range.contains(number));
    if number.is_none() {
        let (least, most) = range.into_inner();
        report.error(value, format!("{text} is out of range: {least} to {most}"));
    }
    number
}

/// The size of a ring buffer in bytes: a power of two, in whole pages (bpf(2), `BPF_MAP_TYPE_RINGBUF`).
pub(super) fn ring_size(value: Span<'_>, report: &mut Report) -> Option<u32> {
    let size = number(value, 4096..=1 << 30, report)?;
    if !size.is_power_of_two() {
        let message = format!("{size} is not a power of two");
        report.error(value.trim(), message).help(format!("the next one is {}", size.next_power_of_two()));
    }
    Some(size)
}

/// Reads a number of seconds that is longer than a busy daemon's interval between heartbeats, or 0 for no limit.
pub(super) fn patience(value: Span<'_>, report: &mut Report) -> Option<Duration> {
    const LEAST: u32 = 10;
    let seconds = number(value, 0..=u32::MAX, report)?;
    if (1..LEAST).contains(&seconds) {
        let message = format!("{seconds} is out of range: 0, or {LEAST} to {}", u32::MAX);
        report.error(value.trim(), message);
        return None;
    }
    Some(Duration::from_secs(seconds.into()))
}

/// `1` or `0`.
pub(super) fn switch(value: Span<'_>, report: &mut Report) -> Option<bool> {
    match value.trim().text() {
        "0" => Some(false),
        "1" => Some(true),
        other => {
            report.error(value.trim(), format!("\"{}\" is neither 0 nor 1", other.escape_debug()));
            None
        }
    }
}

/// `1`, or any other value for no, as PortSentry's own file documents `RESOLVE_HOST`.
pub(super) fn lenient_switch(value: Span<'_>, report: &mut Report) -> bool {
    let text = value.trim().text();
    if !["0", "1"].contains(&text) {
        let message = format!("\"{}\" is neither 0 nor 1; taken as 0", text.escape_debug());
        report.warn(value.trim(), message);
    }
    text == "1"
}

/// The path of a file.
pub(super) fn file(value: Span<'_>, report: &mut Report) -> PathBuf {
    let path = PathBuf::from(value.text());
    if path.is_relative() {
        let message = "this path is relative to the directory that portsentry is started in";
        report.warn(value, message).help("start it with a slash");
    }
    path
}

/// An absolute path.
pub(super) fn absolute(value: Span<'_>, report: &mut Report) -> Option<PathBuf> {
    let path = PathBuf::from(value.text());
    if path.is_relative() {
        report.error(value, "this path must start with a slash");
        return None;
    }
    Some(path)
}

/// Sets an absolute path, or `None` for `off`. If the value is neither, the setting stays unchanged.
pub(super) fn unless_off(setting: &mut Option<PathBuf>, value: Span<'_>, report: &mut Report) {
    if value.trim().text() == "off" {
        *setting = None;
    } else if let Some(path) = absolute(value, report) {
        *setting = Some(path);
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::lines;
    use super::*;

    /// Returns the result of `read` for `text`, and its errors and warnings.
    fn reading<T>(text: &str, read: impl FnOnce(Span<'_>, &mut Report) -> T) -> (T, bool, usize) {
        let mut report = Report::new("test");
        let value = read(lines(text).next().unwrap(), &mut report);
        (value, report.has_errors(), report.iter().count())
    }

    #[test]
    fn numbers() {
        for (text, expected) in [("0", Some(0)), (" 10 ", Some(10)), ("007", Some(7))] {
            assert_eq!(reading(text, |v, r| number(v, 0..=10, r)), (expected, false, 0), "{text:?}");
        }
        for text in ["", "11", "-1", "+1", "1.0", "1 0", "99999999999999999999", "ten", "0x1"] {
            assert_eq!(reading(text, |v, r| number(v, 0..=10, r)), (None, true, 1), "{text:?}");
        }
    }

    #[test]
    fn ring_sizes() {
        for (text, wrong) in
            [("4096", false), ("16777216", false), ("2048", true), ("12288", true), ("1", true)]
        {
            assert_eq!(reading(text, ring_size).1, wrong, "{text:?}");
        }
    }

    #[test]
    fn switches() {
        for (text, strict, lenient) in [
            ("0", (Some(false), false, 0), (false, false, 0)),
            (" 1", (Some(true), false, 0), (true, false, 0)),
            ("yes", (None, true, 1), (false, false, 1)),
            ("10", (None, true, 1), (false, false, 1)),
        ] {
            assert_eq!(reading(text, switch), strict, "{text:?}");
            assert_eq!(reading(text, lenient_switch), lenient, "{text:?}");
        }
    }

    #[test]
    fn paths() {
        assert_eq!(reading("/a b", file), ("/a b".into(), false, 0));
        assert_eq!(reading("a", file), ("a".into(), false, 1));
        assert_eq!(reading("/a", absolute), (Some("/a".into()), false, 0));
        assert_eq!(reading("a", absolute), (None, true, 1));
        let default = || Some(PathBuf::from("/default"));
        for (text, expected, is_wrong) in
            [("/a", Some("/a".into()), false), (" off", None, false), ("of", default(), true)]
        {
            let mut setting = default();
            assert_eq!(reading(text, |v, r| unless_off(&mut setting, v, r)).1, is_wrong);
            assert_eq!(setting, expected, "{text}");
        }
    }
}
