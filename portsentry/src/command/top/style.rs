//! Styles, and lines of styled parts.

use ratatui::{
    style::{Color, Modifier, Style},
    text::{Line, Span},
};

use super::fit::GAP;

/// Below this width the form is compact.
pub(super) const COMPACT: u16 = 60;

/// Returns a line of parts, separated by two spaces.
pub(super) fn line(parts: Vec<(String, Style)>) -> Line<'static> {
    let mut line = Line::default();
    for (text, style) in parts {
        if !line.spans.is_empty() {
            line.push_span(" ".repeat(GAP));
        }
        line.push_span(Span::styled(text, style));
    }
    line
}

pub(super) fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

pub(super) fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

pub(super) fn warning() -> Style {
    Style::new().fg(Color::Yellow)
}

pub(super) fn alarm() -> Style {
    Style::new().fg(Color::Red)
}
