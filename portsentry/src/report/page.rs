//! The report as one self-contained page of HTML: no script, and nothing from elsewhere.

use std::{fmt::Write, time::Duration};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    escape::{grouped, html},
    picture,
    style::{self, NAMED},
    summary::{Held, Summary},
    tally::MISSING,
    who::{Network, Offender, ROWS, Row},
};
use crate::{instant::Time, policy::name_of, sink::origins::Origin};

/// What a browser may load: nothing but the style in the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Returns the page. `zone` is that of its days and times.
pub fn page(summary: &Summary, zone: &TimeZone) -> Result<String, String> {
    let Summary { host, period, totals, .. } = summary;
    let title = html(&format!("Port scans: {host}"));
    let (from, to) = (show(period.from, zone), show(period.to, zone));
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>{title}</title>\n<style>{}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<p class=\"soft\">{from} to {to} ({}), by portsentry {}</p>\n",
        style::sheet(),
        html(&period.zone),
        env!("CARGO_PKG_VERSION"),
    );
    let [now, _] = totals;
    let share = (now.proven * 100).checked_div(now.fenced_sources).unwrap_or_default();
    let proven = format!("proven sources, {share} % of the fenced");
    text += "<ul class=\"totals\">\n";
    for (name, value) in [
        ("sources", grouped(now.sources)),
        ("fences", grouped(now.fenced)),
        ("blocks", grouped(now.blocked)),
        (&proven, grouped(now.proven)),
        ("reports only", grouped(now.reported)),
        ("released", grouped(now.lifted)),
    ] {
        // Writing to a string never fails.
        let _ = writeln!(text, "<li><b>{value}</b>{name}</li>");
    }
    text += "</ul>\n";
    decisions(&mut text, summary);
    changes(&mut text, summary);
    when(&mut text, summary, zone)?;
    what(&mut text, summary);
    who(&mut text, summary, zone);
    slow(&mut text, summary, zone);
    ended(&mut text, summary);
    if !summary.problems.is_empty() {
        text += "<h2>Missing details</h2>\n";
        list(&mut text, &summary.problems);
    }
    text += "</body>\n</html>\n";
    Ok(text)
}

fn show(time: Time, zone: &TimeZone) -> String {
    let time = Timestamp::try_from(time.0).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Returns the first and the last day of the report.
#[must_use]
pub fn days(summary: &Summary, zone: &TimeZone) -> (Date, Date) {
    let date = |time: Time| Timestamp::try_from(time.0).unwrap_or_default().to_zoned(zone.clone()).date();
    let last = summary.period.to.0 - Duration::from_secs(1);
    let (from, to) = (date(summary.period.from), date(Time(last)));
    // A period since 1970 begins with the first entry.
    let first = summary.days.first().map_or(from, |(date, _)| *date);
    (if from.until(to).is_ok_and(|span| span.get_days() > 4000) { first } else { from }, to)
}

fn decisions(text: &mut String, summary: &Summary) {
    *text += "<h2>What deserves a decision</h2>\n";
    if summary.advice.is_empty() {
        *text += "<p>Nothing.</p>\n";
        return;
    }
    *text += "<ul class=\"advice\">\n";
    for advice in &summary.advice {
        let _ =
            writeln!(text, "<li>{}<br><code>{}</code></li>", html(&advice.finding), html(&advice.command));
    }
    *text += "</ul>\n";
}

fn changes(text: &mut String, summary: &Summary) {
    *text += "<h2>What changed since the period before</h2>\n";
    list(text, &summary.news);
}

fn list(text: &mut String, items: &[String]) {
    *text += "<ul>\n";
    for item in items {
        let _ = writeln!(text, "<li>{}</li>", html(item));
    }
    *text += "</ul>\n";
}

fn when(text: &mut String, summary: &Summary, zone: &TimeZone) -> Result<(), String> {
    let days = days(summary, zone);
    *text += "<h2>When</h2>\n";
    let heat = picture::heat(&summary.days, days)?;
    let caption = "Blocks, fences and reports by day and hour.";
    let _ = writeln!(
        text,
        "<figure role=\"img\" aria-label=\"{caption}\">\n{heat}<figcaption>{caption}</figcaption></figure>"
    );
    let bars = picture::bars(&summary.days, days)?;
    let caption = "Blocks, fences and reports a day";
    let mut key = String::new();
    for (name, class) in ["blocks", "fences", "reports only"].iter().zip(NAMED) {
        let _ = write!(key, "<span><i class=\"{class}\"></i>{name}</span> ");
    }
    let _ = writeln!(
        text,
        "<figure role=\"img\" aria-label=\"{caption}\">\n{bars}<figcaption class=\"key\">{key}</figcaption></figure>"
    );
    Ok(())
}

fn what(text: &mut String, summary: &Summary) {
    *text += "<h2>What</h2>\n<div class=\"two\">\n";
    counts(text, "Ports", "Port", &summary.ports);
    counts(text, "Kinds", "Kind", &summary.kinds);
    *text += "</div>\n";
}

/// Adds a table of counts, with those of the period before.
fn counts(text: &mut String, title: &str, name: &str, rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "<div><h3>{title}</h3>\n<table><tr><th>{name}</th><th class=\"n\">Count</th><th class=\"n\">Before</th></tr>"
    );
    let (shown, missing) = known(rows);
    for row in shown.iter().take(ROWS) {
        let (count, before) = (grouped(row.count), grouped(row.before));
        let name = html(&row.name);
        let _ = writeln!(
            text,
            "<tr><td>{name}</td><td class=\"n\">{count}</td><td class=\"n\">{before}</td></tr>"
        );
    }
    *text += "</table>\n";
    more(text, shown.len() as u64, shown.len().min(ROWS));
    if missing > 0 {
        let _ = writeln!(text, "<p class=\"soft\">not recorded: {}</p>", grouped(missing));
    }
    *text += "</div>\n";
}

/// Returns the rows with a name, and the count of the others.
#[must_use]
pub fn known(rows: &[Row]) -> (Vec<&Row>, u64) {
    let (known, missing): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.name != MISSING);
    (known, missing.iter().map(|row| row.count).sum())
}

fn more(text: &mut String, all: u64, shown: usize) {
    let left = all.saturating_sub(shown as u64);
    if left > 0 {
        let _ = writeln!(text, "<p class=\"soft\">and {} more</p>", grouped(left));
    }
}

fn who(text: &mut String, summary: &Summary, zone: &TimeZone) {
    let who = &summary.who;
    *text += "<h2>Who</h2>\n<div class=\"two\">\n";
    counts(text, "Countries", "Country", &who.countries);
    counts(text, "Networks (autonomous systems)", "Network", &who.systems);
    *text += "</div>\n<h3>Repeat offenders</h3>\n";
    offenders(text, &who.offenders, zone, "No source was blocked twice.");
}

fn origin(origin: Option<&Origin>) -> String {
    origin.map_or_else(String::new, |origin| {
        format!("<br><span class=\"soft\">{}</span>", html(&origin.to_string()))
    })
}

fn offenders(text: &mut String, (rows, count): &(Vec<Offender>, u64), zone: &TimeZone, none: &str) {
    if rows.is_empty() {
        let _ = writeln!(text, "<p>{none}</p>");
        return;
    }
    *text += "<table><tr><th>Source</th><th class=\"n\">Blocks</th><th class=\"n\">Fences</th><th class=\"n wide\">Days</th>\
              <th>Ports</th><th class=\"wide\">Last</th></tr>\n";
    for row in rows {
        let _ = writeln!(
            text,
            "<tr><td>{}{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n wide\">{}</td><td>{}</td><td class=\"wide\">{}</td></tr>",
            html(&name_of(row.address)),
            origin(row.origin.as_ref()),
            row.blocked,
            row.fenced,
            row.days,
            html(&row.ports),
            show(row.last, zone),
        );
    }
    *text += "</table>\n";
    more(text, *count, rows.len());
}

fn slow(text: &mut String, summary: &Summary, zone: &TimeZone) {
    *text += "<h2>Slow and distributed scans</h2>\n<h3>Slow scans and sweeps that avoid traps</h3>\n";
    offenders(text, &summary.who.slow, zone, "None was found.");
    *text += "<h3>Networks with several sources</h3>\n";
    let (rows, count) = &summary.who.networks;
    if rows.is_empty() {
        *text += "<p>None was found.</p>\n";
        return;
    }
    *text += "<table><tr><th>Network</th><th class=\"n\">Sources</th><th class=\"n\">Count</th><th class=\"n\">Ports</th>\
              <th class=\"wide\">Ports divided</th></tr>\n";
    for Network { network, sources, count, ports, is_divided, origin: from } in rows {
        let _ = writeln!(
            text,
            "<tr><td>{}{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{ports}</td><td class=\"wide\">{}</td></tr>",
            html(&name_of(*network)),
            origin(from.as_ref()),
            grouped(*sources),
            grouped(*count),
            if *is_divided { "yes: each source probed one or two" } else { "no" },
        );
    }
    *text += "</table>\n";
    more(text, *count, rows.len());
}

fn ended(text: &mut String, summary: &Summary) {
    *text += "<h2>How it ended</h2>\n<div class=\"two\">\n";
    counts(text, "Blocks by proof", "Proof", &summary.proofs);
    match &summary.held {
        Some(Held { blocked, fenced, dropped, top }) => {
            let [blocked, fenced] = [blocked, fenced].map(|number| grouped(*number as u64));
            let _ = writeln!(
                text,
                "<div><h3>In force now</h3>\n<p>{blocked} blocked, {fenced} fenced; they lost {} packets.</p>",
                grouped(*dropped)
            );
            if !top.is_empty() {
                *text += "<table><tr><th>Source</th><th class=\"n\">Dropped packets</th></tr>\n";
                for (name, dropped) in top {
                    let _ = writeln!(
                        text,
                        "<tr><td>{}</td><td class=\"n\">{}</td></tr>",
                        html(name),
                        grouped(*dropped)
                    );
                }
                *text += "</table>\n";
            }
            *text += "</div>\n";
        }
        None => *text += "<div><h3>In force now</h3>\n<p>The kernel's maps could not be read.</p></div>\n",
    }
    *text += "</div>\n";
}
