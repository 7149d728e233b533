//! Rows and columns as lines of text.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::super::{
    fit::{Column, Fitted, GAP, elided, fit},
    style::bold,
};

/// Returns a heading, if any column has one, and a line for each row. `style` returns the style of a cell, given its
/// row and column.
pub(super) fn lines(
    columns: &[Column],
    width: usize,
    style: impl Fn(usize, usize) -> Style,
) -> Vec<Line<'static>> {
    let fitted = fit(columns, width);
    let count = columns.first().map_or(0, |column| column.cells.len());
    let last = fitted.len().saturating_sub(1);
    let row = |cells: Vec<(&str, Style)>| {
        let mut line = Line::default();
        for (place, ((text, style), found)) in cells.into_iter().zip(&fitted).enumerate() {
            let room = found.width.min(width);
            let text = elided(text, room);
            let is_right = columns.get(found.index).is_some_and(|column| column.is_right);
            let text = match is_right {
                true => format!("{text:>room$}"),
                false if place == last => text,
                false => format!("{text:<room$}"),
            };
            if place > 0 {
                line.push_span(Span::styled(" ".repeat(GAP), style));
            }
            line.push_span(Span::styled(text, style));
        }
        line
    };
    let mut lines = Vec::new();
    if columns.iter().any(|column| !column.heading[0].is_empty()) {
        let heading = |found: &Fitted| (columns[found.index].heading[found.form].as_str(), bold());
        lines.push(row(fitted.iter().map(heading).collect()));
    }
    for number in 0..count {
        let cell = |index: usize, form: usize| columns[index].cells[number][form].as_str();
        let cells = fitted.iter().map(|found| (cell(found.index, found.form), style(number, found.index)));
        lines.push(row(cells.collect()));
    }
    lines
}
