//! The report as a page for a terminal.

use std::fmt::Write;

use super::super::{
    show,
    table::{self, Align, plain},
    zone::Zone,
};
use crate::{
    policy::name_of,
    report::{
        escape::grouped,
        page, picture,
        summary::{Held, Summary},
        tally::{Day, HOURS},
        who::{Offender, Row},
    },
};

/// Rows of a table. The page has more.
const ROWS: usize = 5;
/// Steps of the heat map, from none to most.
const STEPS: [char; 6] = ['·', '.', '░', '▒', '▓', '█'];
/// Maximum number of days in the heat map: the last ones.
const DAYS: usize = 14;

/// Returns the page.
pub(super) fn render(summary: &Summary, zone: &Zone) -> String {
    let Summary { host, period, totals: [now, _], .. } = summary;
    let mut text = format!(
        "Port scans: {}\n{} to {} ({})\n\n",
        plain(host),
        zone.show(period.from.0),
        zone.show(period.to.0),
        zone.name()
    );
    // Writing to a string never fails.
    let _ = writeln!(
        text,
        "{} sources; {} fences, {} blocks, {} reports only, {} released; {} of {} fenced sources proven",
        grouped(now.sources),
        grouped(now.fenced),
        grouped(now.blocked),
        grouped(now.reported),
        grouped(now.lifted),
        grouped(now.proven),
        grouped(now.fenced_sources),
    );
    text += "\nWhat deserves a decision\n";
    if summary.advice.is_empty() {
        text += "  Nothing.\n";
    }
    for advice in &summary.advice {
        let _ = writeln!(text, "  {}\n    {}", plain(&advice.finding), plain(&advice.command));
    }
    text += "\nWhat changed since the period before\n";
    for news in &summary.news {
        let _ = writeln!(text, "  {}", plain(news));
    }
    text += "\nWhen (by day and hour)\n";
    text += &heat(summary, zone);
    counts(&mut text, "PORT", &summary.ports);
    counts(&mut text, "KIND", &summary.kinds);
    counts(&mut text, "COUNTRY", &summary.who.countries);
    counts(&mut text, "NETWORK", &summary.who.systems);
    text += "\nRepeat offenders\n";
    offenders(&mut text, &summary.who.offenders, zone);
    text += "\nSlow scans and sweeps that avoid traps\n";
    offenders(&mut text, &summary.who.slow, zone);
    text += "\nNetworks with several sources\n";
    networks(&mut text, summary);
    counts(&mut text, "PROOF OF BLOCKS", &proofs(&summary.proofs));
    match &summary.held {
        Some(Held { blocked, fenced, dropped, .. }) => {
            let [blocked, fenced] = [blocked, fenced].map(|number| grouped(*number as u64));
            let dropped = grouped(*dropped);
            let _ = writeln!(
                text,
                "\nIn force now: {blocked} blocked, {fenced} fenced; they lost {dropped} packets"
            );
        }
        None => text += "\nIn force now: unknown, the kernel's maps could not be read\n",
    }
    text
}

fn proofs(rows: &[Row]) -> Vec<Row> {
    rows.iter().map(|row| Row { name: show::proof_shown(&row.name).into(), ..row.clone() }).collect()
}

fn heat(summary: &Summary, zone: &Zone) -> String {
    let (from, to) = page::days(summary, zone.zone());
    let most = picture::peak(summary.days.iter().flat_map(|(_, day)| day.hours));
    let all = from.series(jiff::Span::new().days(1)).take_while(|date| *date <= to);
    let all: Vec<_> = all.take(4000).collect();
    let mut text = format!("  {:11}", "");
    for hour in (0..HOURS).step_by(3) {
        let _ = write!(text, "{hour:<6}");
    }
    text = text.trim_end().to_owned() + "\n";
    for date in all.iter().skip(all.len().saturating_sub(DAYS)) {
        let day = summary.days.iter().find(|(day, _)| day == date).map_or(Day::default(), |(_, day)| *day);
        let cells: String =
            day.hours.iter().flat_map(|count| [STEPS[picture::step(*count, most)]; 2]).collect();
        let _ = writeln!(text, "  {:11}{cells}", date.strftime("%a %-d %b").to_string());
    }
    if all.len() > DAYS {
        let _ = writeln!(text, "  the last {DAYS} of {} days; --html shows all", all.len());
    }
    text
}

fn counts(text: &mut String, name: &str, rows: &[Row]) {
    use Align::{Left, Right};
    if rows.is_empty() {
        return;
    }
    let cells = |row: &Row| [row.name.clone(), grouped(row.count), grouped(row.before)];
    let (shown, missing) = page::known(rows);
    let cells: Vec<_> = shown.iter().take(ROWS).copied().map(cells).collect();
    *text += "\n";
    *text += &table::render([(name, Left), ("COUNT", Right), ("BEFORE", Right)], &cells);
    more(text, shown.len() as u64, cells.len());
    if missing > 0 {
        let _ = writeln!(text, "not recorded: {}", grouped(missing));
    }
}

fn more(text: &mut String, all: u64, shown: usize) {
    let left = all.saturating_sub(shown as u64);
    if left > 0 {
        let _ = writeln!(text, "and {} more", grouped(left));
    }
}

fn offenders(text: &mut String, (rows, count): &(Vec<Offender>, u64), zone: &Zone) {
    use Align::{Left, Right};
    if rows.is_empty() {
        *text += "none\n";
        return;
    }
    let columns = [
        ("SOURCE", Left),
        ("BLOCKS", Right),
        ("FENCES", Right),
        ("DAYS", Right),
        ("PORTS", Left),
        ("LAST", Left),
        ("ORIGIN", Left),
    ];
    let cells = |row: &Offender| {
        [
            name_of(row.address),
            row.blocked.to_string(),
            row.fenced.to_string(),
            row.days.to_string(),
            row.ports.clone(),
            zone.show(row.last.0),
            row.origin.as_ref().map_or_else(|| "-".into(), ToString::to_string),
        ]
    };
    let cells: Vec<_> = rows.iter().take(ROWS).map(cells).collect();
    *text += &table::render(columns, &cells);
    more(text, *count, cells.len());
}

fn networks(text: &mut String, summary: &Summary) {
    use Align::{Left, Right};
    let (rows, count) = &summary.who.networks;
    if rows.is_empty() {
        *text += "none\n";
        return;
    }
    let columns =
        [("NETWORK", Left), ("SOURCES", Right), ("COUNT", Right), ("PORTS", Right), ("ORIGIN", Left)];
    let cells: Vec<_> = rows
        .iter()
        .take(ROWS)
        .map(|row| {
            [
                name_of(row.network),
                grouped(row.sources),
                grouped(row.count),
                row.ports.to_string(),
                row.origin.as_ref().map_or_else(|| "-".into(), ToString::to_string),
            ]
        })
        .collect();
    *text += &table::render(columns, &cells);
    more(text, *count, cells.len());
}
