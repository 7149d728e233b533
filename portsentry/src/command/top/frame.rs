//! Draws a frame of `top`.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Cell, Paragraph, Row, Table},
};

use super::sample::{Gauge, Rate, Source, View};
use crate::policy::{State, enforcement::Strength};

/// Cells of a gauge's bar.
const BAR: u64 = 20;

/// Draws one frame.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let rates = u16::try_from(view.rates.len().max(view.gauges.len())).unwrap_or(u16::MAX);
    let [head, figures, middle, sources, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(rates.saturating_add(2)),
        Constraint::Length(11),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(heading(view)), head);
    frame.render_widget(Paragraph::new("q quits").style(Style::new().add_modifier(Modifier::DIM)), foot);
    if view.nothing_in.is_some() {
        return;
    }
    let [left, right] = halves(figures);
    rates_table(frame, left, " a second ", &view.rates);
    gauges(frame, right, &view.gauges);
    let [left, right] = halves(middle);
    rates_table(frame, left, " kinds of probes, a second ", &view.kinds);
    ports(frame, right, &view.ports);
    held(frame, sources, &view.sources);
}

fn halves(area: Rect) -> [Rect; 2] {
    Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area)
}

fn heading(view: &View) -> Vec<Line<'static>> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let enforcement = match (&view.nothing_in, view.interfaces.as_slice()) {
        (Some(directory), _) => Span::styled(format!("nothing is pinned in {directory}"), warning()),
        (None, []) => Span::styled("attached to no interface", warning()),
        (None, names) => Span::raw(format!("attached to {}", names.join(", "))),
    };
    let daemon = match view.daemon {
        Some(process) => Span::raw(format!("daemon {process}")),
        None => Span::styled("no daemon runs", warning()),
    };
    let first = Line::from(vec![Span::styled("portsentry  ", bold), enforcement, Span::raw("  "), daemon]);
    let Some(mode) = &view.mode else { return vec![first] };
    let is_observing = mode.name == Strength::Observing.name();
    let style = if is_observing { warning() } else { Style::new() };
    vec![first, Line::from(Span::styled(format!("{}: {}", mode.words, mode.change), style))]
}

fn warning() -> Style {
    Style::new().fg(Color::Yellow)
}

fn rates_table(frame: &mut Frame<'_>, area: Rect, title: &'static str, rates: &[Rate]) {
    let rows = rates.iter().map(|rate| {
        let style = if rate.a_second > 0.0 { Style::new().fg(Color::Green) } else { Style::new() };
        Row::new([
            Cell::from(rate.what),
            right(&speed(rate.a_second), 12),
            right(&rate.total.to_string(), 14),
        ])
        .style(style)
    });
    let widths = [Constraint::Fill(1), Constraint::Length(12), Constraint::Length(14)];
    frame.render_widget(Table::new(rows, widths).block(Block::bordered().title(title)), area);
}

fn gauges(frame: &mut Frame<'_>, area: Rect, gauges: &[Gauge]) {
    let rows = gauges.iter().map(|gauge| {
        let full = (gauge.used * BAR).checked_div(gauge.size).unwrap_or(0).min(BAR);
        // A gauge that is not empty shows at least one cell.
        let full = if gauge.used > 0 { full.max(1) } else { 0 };
        let bar: String = (0..BAR).map(|cell| if cell < full { '#' } else { '.' }).collect();
        let style = if full * 10 >= BAR * 9 { Style::new().fg(Color::Red) } else { Style::new() };
        Row::new([gauge.what.into(), bar, format!("{} of {}", gauge.used, gauge.size)]).style(style)
    });
    let widths = [Constraint::Length(12), Constraint::Length(20), Constraint::Fill(1)];
    frame.render_widget(Table::new(rows, widths).block(Block::bordered().title(" fill ")), area);
}

fn ports(frame: &mut Frame<'_>, area: Rect, ports: &[(String, usize)]) {
    let rows =
        ports.iter().map(|(port, count)| Row::new([Cell::from(port.as_str()), right(&count.to_string(), 8)]));
    let widths = [Constraint::Fill(1), Constraint::Length(8)];
    let block = Block::bordered().title(" ports, by held sources that probed them last ");
    frame.render_widget(Table::new(rows, widths).block(block), area);
}

fn held(frame: &mut Frame<'_>, area: Rect, sources: &[Source]) {
    let rows = sources.iter().map(|source| {
        let (state, style) = match source.state {
            State::Blocked => ("blocked", Style::new().fg(Color::Red)),
            State::Fenced => ("fenced", Style::new().fg(Color::Yellow)),
        };
        Row::new([
            Cell::from(source.address.to_string()),
            Cell::from(state).style(style),
            right(&speed(source.a_second), 10),
            right(&source.dropped.to_string(), 12),
            right(&source.hits.to_string(), 6),
            Cell::from(source.probe.as_str()),
        ])
    });
    let widths = [
        Constraint::Length(39),
        Constraint::Length(7),
        Constraint::Length(10),
        Constraint::Length(12),
        Constraint::Length(6),
        Constraint::Fill(1),
    ];
    let heading = Row::new([
        Cell::from("ADDRESS"),
        Cell::from("STATE"),
        right("DROPPED/S", 10),
        right("DROPPED", 12),
        right("HITS", 6),
        Cell::from("LAST PROBE"),
    ])
    .style(Style::new().add_modifier(Modifier::BOLD));
    let block = Block::bordered().title(" held sources, by packets dropped ");
    frame.render_widget(Table::new(rows, widths).header(heading).block(block), area);
}

fn right(text: &str, width: usize) -> Cell<'static> {
    Cell::from(format!("{text:>width$}"))
}

/// Formats a rate with three digits.
fn speed(a_second: f64) -> String {
    match a_second {
        rate if rate >= 1e6 => format!("{:.1}M", rate / 1e6),
        rate if rate >= 1e4 => format!("{:.1}k", rate / 1e3),
        rate if rate >= 10.0 || rate == 0.0 => format!("{rate:.0}"),
        rate => format!("{rate:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_have_few_digits() {
        for (a_second, expected) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (12.3, "12"),
            (9999.0, "9999"),
            (12_345.0, "12.3k"),
            (2_500_000.0, "2.5M"),
        ] {
            assert_eq!(speed(a_second), expected);
        }
    }

    #[test]
    fn everything_has_its_place() {
        let text = super::super::text(&super::super::sample::tests::view(), (100, 40));
        for expected in [
            "portsentry  attached to eth0  no daemon runs",
            "│probes                         10             30│",
            "│blocked IPv4 #######............. 3 of 8",
            "│SYN                            10             30│",
            "│11/TCP                                         2│",
            "│192.0.2.1                               blocked         20           45      3 11/TCP TCP SYN/",
            "q quits",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }
}
