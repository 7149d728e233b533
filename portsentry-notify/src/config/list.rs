//! Reads the section of a list to download.

use std::time::Duration;

use portsentry::config::Report;

use super::{section::Section, target::header, value};
use crate::fetch::ListSource;

/// Settings of such a section.
const SETTINGS: [&str; 3] = ["LIST", "EVERY", "HEADER"];
/// Least interval between downloads, in seconds. Publishers ask for an hour or more.
const LEAST: i64 = 60;
const DAY: Duration = Duration::from_hours(24);

/// Returns the list, if the section is one.
pub(super) fn read(section: &Section<'_>, report: &mut Report) -> Option<ListSource> {
    let name = section.name?;
    let at = *section.values.get("LIST")?;
    for (setting, span) in section.values.iter().filter(|(setting, _)| !SETTINGS.contains(*setting)) {
        report.error(*span, format!("a list to download has no {setting}"));
    }
    let url = value::url(at, report);
    if url.as_ref().is_some_and(|url| url.starts_with("http://") && !value::is_loopback(url)) {
        report.error(at, "anybody on the way could change this list").help("write https://...");
    }
    let every = section.values.get("EVERY").and_then(|span| {
        let seconds = value::seconds(*span, report)?;
        if seconds < LEAST {
            report.error(*span, "a list is downloaded once a minute at most").help("write 1h or 1d");
        }
        u64::try_from(seconds).ok().map(Duration::from_secs)
    });
    let header = section.values.get("HEADER").and_then(|span| header(*span, report));
    Some(ListSource { name: name.text().into(), url: url?, every: every.unwrap_or(DAY), header })
}
