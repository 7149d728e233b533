//! The list of sources.

use ratatui::{
    style::{Modifier, Style},
    text::Line,
};

use super::{
    super::{
        fit::{Column, flow},
        number::{age, short, speed},
        screen::{Order, Screen},
        style::{alarm, dim, line, warning},
        view::{Source, View},
    },
    foot::wrapped,
    grid,
};
use crate::{
    policy::{State, enforcement::Strength, name_of},
    sanitize::sanitize,
};

/// Lines above the first source.
pub(super) const HEADING: u16 = 2;
/// Index of the column with the state.
const STATE: usize = 1;

pub(super) fn lines(view: &View, screen: &Screen, width: usize) -> Vec<Line<'static>> {
    if screen.rows.is_empty() {
        let reason = line(flow(&[(nothing(view, screen), dim())], width, 1).swap_remove(0));
        let problem =
            view.problem.as_ref().map(|problem| format!("those that would be are unknown: {problem}"));
        let problem = problem.into_iter().flat_map(|problem| wrapped(&sanitize(&problem), width));
        let problem = problem.map(|text| Line::styled(text, warning()));
        return [Line::default(), reason].into_iter().chain(problem).collect();
    }
    let rows = &screen.rows[screen.offset..];
    let rows = &rows[..rows.len().min(screen.height)];
    let mut lines = vec![title(screen, rows.len(), width)];
    let selected = screen.selected.map(|(address, _)| address);
    lines.extend(grid::lines(&columns(rows, screen), width, |row, column| {
        let source = &rows[row];
        let style = match source.state {
            _ if column != STATE => Style::new(),
            State::Blocked => alarm(),
            State::Fenced => warning(),
        };
        if selected == Some(source.address) { style.add_modifier(Modifier::REVERSED) } else { style }
    }));
    lines
}

/// Returns the reason for an empty list, in two lengths.
fn nothing(view: &View, screen: &Screen) -> [String; 2] {
    let is_observing = view.mode.as_ref().is_some_and(|mode| mode.name == Strength::Observing.name());
    let [long, short] = if !screen.filter.is_empty() {
        ["no source matches the filter", "no match"]
    } else if is_observing && view.problem.is_none() {
        ["no source is blocked or fenced, or would be", "none would be held"]
    } else {
        ["no source is blocked or fenced", "none is held"]
    };
    [long.into(), short.into()]
}

fn title(screen: &Screen, visible: usize, width: usize) -> Line<'static> {
    let (all, first) = (screen.rows.len(), screen.offset);
    let range = match visible {
        0 => all.to_string(),
        _ => format!("{}-{} of {all}", first + 1, first + visible),
    };
    let reversed = if screen.is_reversed { ", reversed" } else { "" };
    let observed = screen.rows.iter().filter(|source| source.is_observed()).count();
    let what = match observed {
        0 => "held sources",
        _ if observed == all => "sources that would be held",
        _ => "sources that are or would be held",
    };
    let mut parts = vec![
        ([format!("{what} {range}"), range], dim()),
        ([format!("{}{reversed}", screen.order.words()), String::new()], dim()),
    ];
    if !screen.filter.is_empty() {
        parts.insert(1, ([format!("filter: {}", screen.filter), "filtered".into()], warning()));
    }
    line(flow(&parts, width, 1).swap_remove(0))
}

fn columns(rows: &[Source], screen: &Screen) -> Vec<Column> {
    let arrow = if screen.is_reversed { "^" } else { "v" };
    let column =
        |heading: [&str; 2], order: Option<Order>, rank: u8, cell: &dyn Fn(&Source) -> [String; 2]| {
            let is_sorted = order == Some(screen.order);
            Column {
                heading: heading.map(|text| if is_sorted { format!("{text} {arrow}") } else { text.into() }),
                is_right: order.is_some() && rank > 0,
                rank,
                cells: rows.iter().map(cell).collect(),
            }
        };
    let same = |text: String| [text.clone(), text];
    let mut columns = vec![
        column(["ADDRESS"; 2], Some(Order::Address), 0, &|source| same(name_of(source.address))),
        column(["STATE"; 2], None, 1, &|source| source.states()),
    ];
    let (any_held, any_observed) =
        (rows.iter().any(|source| !source.is_observed()), rows.iter().any(Source::is_observed));
    if any_held {
        let if_held = |source: &Source, cells: [String; 2]| {
            if source.is_observed() { same("-".into()) } else { cells }
        };
        columns.push(column(["DROPPED/S", "DROP/S"], Some(Order::Rate), 2, &|source| {
            if_held(source, same(speed(source.a_second())))
        }));
        columns.push(column(["DROPPED", "DROP"], Some(Order::Dropped), 4, &|source| {
            if_held(source, [source.dropped().to_string(), short(source.dropped())])
        }));
    }
    let [hits, since, ports] = match (any_held, any_observed) {
        (false, true) => ["PACKETS", "LAST", "PORTS"],
        (true, true) => ["HITS", "AGE", "PORTS"],
        _ => ["HITS", "AGE", "PORT"],
    };
    columns.push(column([hits; 2], Some(Order::Hits), 5, &|source| {
        [source.hits().to_string(), short(source.hits())]
    }));
    columns.push(column([since; 2], Some(Order::Age), 7, &|source| same(age(source.age))));
    columns.push(column([ports; 2], None, 3, &|source| source.ports()));
    columns.push(column(["LAST PROBE"; 2], None, 8, &|source| [source.kind(), source.short_kind()]));
    if screen.origins.are_any() {
        columns.push(column(["ORIGIN"; 2], None, 6, &|source| {
            let origin = screen.origins.of(source.address.addr());
            let country = origin.country.clone().unwrap_or_else(|| "-".into());
            [origin.to_string(), country]
        }));
    }
    columns
}
