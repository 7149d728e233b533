//! Compares a small run with the published figures.

use anyhow::{Context, Result};

use crate::{
    figures::{Size, Table, measure},
    rules::RULES,
};

/// The published figures: the only place that holds them.
const PUBLISHED: &str = include_str!("../../docs/detection.md");

/// The part of the sources, in percent, that a small run may find less than published.
const LESS: f64 = 1.5;
/// By how many failed pairs the average may be higher, and the 99th percentile and the most.
const LATER: [f64; 3] = [0.5, 2.0, 4.0];
/// In how many more contacts a distributed scan may be found.
const MORE: f64 = 20.0;

/// Returns the size of a run of some seconds. Its seed is another one than that of the published run.
pub fn size() -> Size {
    Size {
        seed: 2,
        days: 1,
        scanners: 100,
        honest: 4000,
        floods: vec![0, 1000],
        beside: 100,
        distributed: 20,
        unrelated: 3,
    }
}

/// Returns the figures of `tables` that are worse than those of `published`.
///
/// # Errors
///
/// Some figure isn't published, or no figure.
pub fn regressions(tables: &[Table], published: &str) -> Result<Vec<String>> {
    let mut worse = Vec::new();
    for table in tables {
        for row in &table.rows {
            let name = &row[0];
            let published = find(published, &table.heads, name)
                .with_context(|| format!("docs/detection.md: no row {name:?} below {:?}", table.heads))?;
            for ((head, now), before) in table.heads.iter().zip(row).zip(&published).skip(1) {
                if is_ours(head) && is_worse(&table.heads[0], now, before)? {
                    worse.push(format!("{name}, {head}: {now}, published {before}"));
                }
            }
        }
    }
    Ok(worse)
}

/// Runs a small trial and compares it with the published figures.
pub fn run() -> Result<Vec<String>> {
    regressions(&measure(&size()), PUBLISHED)
}

/// Whether a column has figures of this project's rules: neither another rule's, nor numbers of sources.
fn is_ours(head: &str) -> bool {
    let [_, _, others @ ..] = &RULES;
    !others.contains(&head) && !["sources", "group-days"].contains(&head) && !head.starts_with("LRU")
}

/// Returns the cells of the row with this name in the table with these heads.
fn find(text: &str, heads: &[String], name: &str) -> Option<Vec<String>> {
    let rows: Vec<Vec<String>> = text
        .lines()
        .map(|line| line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    let start = rows.iter().position(|row| row == heads)?;
    rows[start..].iter().take_while(|row| row.len() == heads.len()).find(|row| row[0] == name).cloned()
}

/// Whether a cell is worse than the published one in a table whose rows are of this kind.
fn is_worse(kind: &str, now: &str, before: &str) -> Result<bool> {
    let numbers = |cell: &str| -> Result<Vec<f64>> {
        let parts = cell.split([' ', '(', ')', ',', '%']).filter(|part| !part.is_empty());
        parts.map(|part| part.parse().with_context(|| format!("{part:?} is no figure"))).collect()
    };
    if !before.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(false);
    }
    let (now, before) = (numbers(now)?, numbers(before)?);
    let percent = |cell: &[f64]| cell.first().copied().unwrap_or(0.0);
    if ["honest class", "unrelated sources", "honest sources as members"].contains(&kind) {
        // A small run has fewer honest sources: none may be reported of which none was published.
        return Ok(percent(&before) == 0.0 && percent(&now) > 0.0);
    }
    let is_later = match (&now[..], &before[..]) {
        ([_, now @ ..], [_, before @ ..]) if now.len() == 3 && before.len() == 3 => {
            now.iter().zip(before).zip(LATER).any(|((now, before), more)| *now > before + more)
        }
        ([_, now], [_, before]) => *now > before + MORE,
        _ => false,
    };
    // About classes that are found now and then a small run says little.
    Ok(percent(&before) >= 95.0 && (percent(&now) < percent(&before) - LESS || is_later))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_worse_than_published() {
        let worse = run().expect("figures");
        assert!(worse.is_empty(), "{worse:#?}");
    }

    #[test]
    fn a_worse_figure_is_told() {
        for (kind, now, before, expected) in [
            ("class", "100.0 % (7.3, 8, 9)", "100.0 % (7.3, 8, 9)", false),
            ("class", "98.0 % (7.3, 8, 9)", "100.0 % (7.3, 8, 9)", true),
            ("class", "100.0 % (8.3, 8, 9)", "100.0 % (7.3, 8, 9)", true),
            ("class", "100.0 % (7.3, 11, 12)", "100.0 % (7.3, 8, 9)", true),
            ("class", "100.0 % (7.3, 9, 17)", "100.0 % (7.3, 8, 9)", true),
            ("class", "0 %", "100.0 % (7.3, 8, 9)", true),
            ("class", "0 %", "0 %", false),
            ("class", "40.0 % (20.3, 8, 9)", "60.0 % (7.3, 8, 9)", false),
            ("honest class", "0", "0", false),
            ("honest class", "1", "0", true),
            ("honest class", "300", "20222", false),
            ("unrelated sources", "1", "0", true),
            ("distributed scan", "100.0 % (181)", "100.0 % (164)", false),
            ("distributed scan", "100.0 % (189)", "100.0 % (164)", true),
        ] {
            assert_eq!(is_worse(kind, now, before).expect("figures"), expected, "{kind}: {now}, {before}");
        }
        let heads = ["class", "portsentry, fence", "TRW"].map(str::to_owned);
        let rows = vec![["sweep", "90.0 % (7.0, 8, 9)", "0 %"].map(str::to_owned).to_vec()];
        let table = [Table { heads: heads.to_vec(), rows }];
        let published =
            "| class | portsentry, fence | TRW |\n|---|---|---|\n| sweep | 99.0 % (7.0, 8, 9) | 90 % |";
        let worse = regressions(&table, published).expect("figures");
        assert_eq!(worse, ["sweep, portsentry, fence: 90.0 % (7.0, 8, 9), published 99.0 % (7.0, 8, 9)"]);
        assert!(regressions(&table, "no table").is_err());
    }
}
