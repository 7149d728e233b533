//! Formats tables for people: columns under headings.

use crate::sanitize::sanitize;

/// Alignment of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Renders rows under their headings, each column as wide as needed. Control characters are escaped.
pub(super) fn render<const N: usize>(columns: [(&str, Align); N], rows: &[[String; N]]) -> String {
    let headings = columns.map(|(heading, _)| heading.to_owned());
    let rows: Vec<[String; N]> =
        std::iter::once(&headings).chain(rows).map(|row| row.each_ref().map(|cell| plain(cell))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(columns).zip(widths).map(|((cell, (_, align)), width)| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Returns the row with one more cell.
pub(super) fn with_last<T, const N: usize, const M: usize>(row: [T; N], last: T) -> [T; M] {
    const { assert!(M == N + 1) };
    let mut cells = row.into_iter().chain([last]);
    // The cells fill the row exactly.
    std::array::from_fn(|_| cells.next().unwrap_or_else(|| unreachable!()))
}

/// Returns `text` in a form that is safe for a terminal.
pub(super) fn plain(text: &str) -> String {
    sanitize(text).into_owned()
}

/// Returns several lines in a form that is safe for a terminal.
pub(super) fn plain_lines(text: &str) -> String {
    text.lines().map(|line| plain(line) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [["192.0.2.9", "7"], ["a\u{1b}[31m", "12345"]].map(|row| row.map(String::from));
        assert_eq!(
            render([("ADDRESS", Align::Left), ("HITS", Align::Right)], &rows),
            "ADDRESS       HITS\n192.0.2.9        7\na\\u{1b}[31m  12345\n"
        );
    }
}
