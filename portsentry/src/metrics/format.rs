//! The formats of the metrics, and the choice between them by the client's `Accept` header (RFC 9110 section 12.5.1).

use std::cmp::Reverse;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Version 1.0 of `OpenMetrics`.
    OpenMetrics,
    /// Version 0.0.4 of Prometheus' text format, which every reader of metrics understands.
    Prometheus,
}

/// A media type in an `Accept` header.
struct Range {
    media: String,
    version: Option<String>,
    /// Thousandths.
    quality: u16,
}

impl Format {
    /// Chooses the format that `accept` prefers: the higher quality, then the more specific range, then the earlier one.
    /// A header that accepts neither format, or that can't be read, gets Prometheus' text.
    #[must_use]
    pub fn negotiate(accept: &str) -> Self {
        let ranges: Vec<Range> = split(accept, ',').filter_map(Range::read).collect();
        // The most specific range that matches a format decides on it.
        let wanted = |format: Self| {
            let matching = ranges.iter().enumerate().filter_map(|(place, range)| {
                Some((range.specificity(format)?, Reverse(place), range.quality))
            });
            let (specificity, place, quality) = matching.max()?;
            (quality > 0).then_some((quality, specificity, place))
        };
        // A range that matches both, such as */*, asks for no format in particular.
        if wanted(Self::OpenMetrics) > wanted(Self::Prometheus) {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// Returns the media type.
    #[must_use]
    pub const fn media(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Returns the media type without parameters, and the version.
    const fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::OpenMetrics => ("application/openmetrics-text", "1.0.0"),
            Self::Prometheus => ("text/plain", "0.0.4"),
        }
    }
}

impl Range {
    /// Reads one element of the header. Returns `None` if it is invalid.
    fn read(text: &str) -> Option<Self> {
        let mut parts = split(text, ';').map(str::trim);
        let media = parts.next()?.to_ascii_lowercase();
        let (kind, subtype) = media.split_once('/')?;
        if kind.is_empty() || subtype.is_empty() {
            return None;
        }
        let mut range = Self { media, version: None, quality: 1000 };
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=')?;
            let value = value.trim().trim_matches('"');
            if name.trim().eq_ignore_ascii_case("q") {
                range.quality = quality(value)?;
            } else if name.trim().eq_ignore_ascii_case("version") {
                range.version = Some(value.to_owned());
            }
        }
        Some(range)
    }

    /// Returns how specifically it names `format`; `None` if it doesn't match it.
    fn specificity(&self, format: Format) -> Option<u8> {
        let (media, version) = format.name();
        let kind = media.split('/').next()?;
        match &self.version {
            Some(wanted) if *wanted != version => None,
            Some(_) if self.media == media => Some(3),
            _ if self.media == media => Some(2),
            _ if self.media.strip_suffix("/*") == Some(kind) => Some(1),
            _ => (self.media == "*/*").then_some(0),
        }
    }
}

/// Reads a quality, from 0 to 1 with at most three decimals, as thousandths.
fn quality(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_number = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths: u16 = if is_number { format!("{decimals:0<3}").parse().ok()? } else { return None };
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// Splits `text` at each `separator` outside quotation marks.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |c| {
        is_quoted ^= c == '"';
        c == separator && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Format::{self, OpenMetrics, Prometheus};

    #[test]
    fn each_header_has_its_format() {
        for (accept, expected) in [
            ("", Prometheus),
            ("*/*", Prometheus),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Prometheus),
            ("text/*", Prometheus),
            ("text/plain", Prometheus),
            ("text/plain;version=0.0.4", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            ("application/*", OpenMetrics),
            ("Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.1", OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", OpenMetrics),
            ("application/openmetrics-text; version=0.0.1", Prometheus),
            ("application/openmetrics-text; version=2.0.0, */*;q=0.1", Prometheus),
            // As Prometheus 2.42 and 3.0 ask.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;\
                 escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            ("text/plain;q=0.9, application/openmetrics-text;q=0.8", Prometheus),
            ("text/plain;q=0.8, application/openmetrics-text;q=0.9", OpenMetrics),
            ("text/plain;q=0.8, application/openmetrics-text;q=0.801", OpenMetrics),
            ("text/plain, application/openmetrics-text", Prometheus),
            ("application/openmetrics-text, text/plain", OpenMetrics),
            ("text/plain, application/openmetrics-text;version=1.0.0", OpenMetrics),
            ("application/openmetrics-text;q=0, */*", Prometheus),
            ("text/plain;q=0, */*", OpenMetrics),
            ("text/plain;q=0, application/openmetrics-text;q=0.001", OpenMetrics),
            ("*/*;q=0", Prometheus),
            ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", Prometheus),
            // Elements that can't be read count for nothing.
            ("application/openmetrics-text;q=2", Prometheus),
            ("application/openmetrics-text;q=1.001", Prometheus),
            ("application/openmetrics-text;q=0.1234", Prometheus),
            ("application/openmetrics-text;q=-1", Prometheus),
            ("application/openmetrics-text;q=+1", Prometheus),
            ("application/openmetrics-text;q=", Prometheus),
            ("application/openmetrics-text;q", Prometheus),
            ("application/openmetrics-text/", Prometheus),
            (";;;,,,=/=\"", Prometheus),
            ("nonsense, application/openmetrics-text;q=0.5", OpenMetrics),
            ("x/y;a=\",\", application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text;;q=1.;", OpenMetrics),
        ] {
            assert_eq!(Format::negotiate(accept), expected, "{accept}");
        }
    }

    proptest! {
        #[test]
        fn any_header_gets_a_format(accept in ".*", quality in 0_u16..=1000) {
            let _ = Format::negotiate(&accept);
            let quality = format!("{}.{:03}", quality / 1000, quality % 1000);
            let asked = format!("application/openmetrics-text;q={quality}, text/plain;q=0");
            let expected = if quality == "0.000" { Prometheus } else { OpenMetrics };
            prop_assert_eq!(Format::negotiate(&asked), expected);
        }
    }
}
