//! The panels with figures: rates, fill levels, kinds of probes, and ports.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style},
    text::{Line, Text},
    widgets::Block,
};

use super::{
    super::{
        fit::Column,
        number::{short, speed},
        style::{COMPACT, alarm},
        view::{Gauge, Rate, View},
    },
    grid,
};

/// Cells of a gauge's bar.
const BAR: u64 = 20;
/// Lines of a panel's border.
const BORDER: u16 = 2;
/// Lines of the lower panels.
const LOWER: u16 = 8;

/// Returns the height of all panels, side by side in pairs.
pub(super) fn height(view: &View) -> u16 {
    upper(view) + LOWER + BORDER
}

fn upper(view: &View) -> u16 {
    let lines = view.rates.len().max(view.gauges.len());
    u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(BORDER)
}

/// Draws the panels in pairs, or one below the other if the area is narrow.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, view: &View) {
    if area.width < COMPACT {
        let upper = upper(view);
        let lengths = [upper, upper, LOWER + BORDER, LOWER + BORDER];
        let mut left = area;
        for (index, length) in lengths.into_iter().enumerate() {
            // A panel is shown if it has room for a line.
            if left.height <= BORDER {
                return;
            }
            let [here, rest] = Layout::vertical([Constraint::Max(length), Constraint::Fill(1)]).areas(left);
            panel(frame, here, view, index);
            left = rest;
        }
        return;
    }
    let [top, bottom] = Layout::vertical([Constraint::Max(upper(view)), Constraint::Fill(1)]).areas(area);
    for (index, area) in [top, bottom].into_iter().flat_map(halves).enumerate() {
        if area.height > BORDER {
            panel(frame, area, view, index);
        }
    }
}

fn halves(area: Rect) -> [Rect; 2] {
    Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area)
}

fn panel(frame: &mut Frame<'_>, area: Rect, view: &View, index: usize) {
    let width = usize::from(area.width.saturating_sub(2));
    let height = usize::from(area.height.saturating_sub(BORDER));
    let (titles, lines) = match index {
        0 => ([" a second, and in all ", " a second "], rates(&view.rates, height, width)),
        1 => ([" fill ", " fill "], gauges(&view.gauges, height, width)),
        2 => ([" kinds of probes, a second ", " kinds "], rates(&view.kinds, height, width)),
        _ => {
            let long = match (view.would.is_empty(), view.only_observes()) {
                (true, _) => " ports, by held sources that probed them last ",
                (false, true) => " ports, by sources that would be held ",
                (false, false) => " ports, by sources that are or would be held ",
            };
            let titles = [long, " ports "];
            (titles, ports(&view.ports, height, width))
        }
    };
    let title = titles.into_iter().find(|title| title.len() <= width).unwrap_or_default();
    frame.render_widget(Block::bordered().title(title), area);
    let inner = Rect {
        x: area.x + 1,
        y: area.y + 1,
        width: area.width.saturating_sub(2),
        height: area.height - BORDER,
    };
    frame.render_widget(Text::from(lines), inner);
}

fn column(rank: u8, is_right: bool, cells: Vec<[String; 2]>) -> Column {
    Column { heading: [String::new(), String::new()], is_right, rank, cells }
}

fn same(text: &str) -> [String; 2] {
    [text.into(), text.into()]
}

fn rates(rates: &[Rate], height: usize, width: usize) -> Vec<Line<'static>> {
    let rates = &rates[..rates.len().min(height)];
    let columns = [
        column(0, false, rates.iter().map(|rate| same(rate.what)).collect()),
        column(1, true, rates.iter().map(|rate| same(&format!("{}/s", speed(rate.a_second)))).collect()),
        column(2, true, rates.iter().map(|rate| [rate.total.to_string(), short(rate.total)]).collect()),
    ];
    grid::lines(&columns, width, |row, _| {
        if rates[row].a_second > 0.0 { Style::new().fg(Color::Green) } else { Style::new() }
    })
}

fn gauges(gauges: &[Gauge], height: usize, width: usize) -> Vec<Line<'static>> {
    let gauges = &gauges[..gauges.len().min(height)];
    let text = |gauge: &Gauge| {
        let Gauge { used, size, .. } = *gauge;
        [format!("{used} of {size}"), format!("{} of {}", short(used), short(size))]
    };
    let columns = [
        column(0, false, gauges.iter().map(|gauge| same(gauge.what)).collect()),
        column(2, false, gauges.iter().map(|gauge| same(&bar(gauge))).collect()),
        column(1, false, gauges.iter().map(text).collect()),
    ];
    grid::lines(&columns, width, |row, _| if gauges[row].is_nearly_full() { alarm() } else { Style::new() })
}

/// Returns a bar. One that is not empty shows at least one cell.
fn bar(gauge: &Gauge) -> String {
    let full = (u128::from(gauge.used) * u128::from(BAR)).checked_div(gauge.size.into()).unwrap_or(0);
    let full = full.min(BAR.into()).max(u128::from(gauge.used > 0));
    (0..u128::from(BAR)).map(|cell| if cell < full { '#' } else { '.' }).collect()
}

fn ports(ports: &[(String, usize)], height: usize, width: usize) -> Vec<Line<'static>> {
    let ports = &ports[..ports.len().min(height)];
    let count = |(_, count): &(String, usize)| [count.to_string(), short(*count as u64)];
    let columns = [
        column(0, false, ports.iter().map(|(port, _)| same(port)).collect()),
        column(1, true, ports.iter().map(count).collect()),
    ];
    grid::lines(&columns, width, |_, _| Style::new())
}
