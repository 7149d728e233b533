//! The lines above the sources: mode, interfaces, daemon, and the most important figures.

use ratatui::{style::Style, text::Line};

use super::super::{
    fit::flow,
    number::{short, speed},
    screen::Screen,
    style::{alarm, bold, line, warning},
    view::{Gauge, Rate, View},
};
use crate::policy::{
    State,
    enforcement::{STRENGTHS, Strength},
};

/// Height from which the figures may take a second line.
const TALL: usize = 14;

type Part = ([String; 2], Style);

pub(super) fn lines(
    view: &View,
    screen: &Screen,
    width: usize,
    is_compact: bool,
    height: usize,
) -> Vec<Line<'static>> {
    let mut parts = Vec::new();
    if !is_compact {
        parts.push(part("portsentry", bold()));
    }
    if screen.is_paused {
        parts.push(part("PAUSED", warning()));
    }
    let mut lines = Vec::new();
    if is_compact {
        lines.extend(mode(view, width));
    }
    parts.extend(attachment(view, is_compact));
    lines.extend(flow(&parts, width, 1).into_iter().map(line));
    if !is_compact {
        lines.extend(mode(view, width));
    }
    let room = if height < TALL { 1 } else { 2 };
    lines.extend(flow(&figures(view), width, room).into_iter().map(line));
    lines
}

fn part(text: impl Into<String>, style: Style) -> Part {
    ([text.into(), String::new()], style)
}

/// Returns the mode of enforcement, with the way to change it if there is room.
fn mode(view: &View, width: usize) -> Option<Line<'static>> {
    let mode = view.mode.as_ref()?;
    let name = STRENGTHS.into_iter().find(|strength| strength.name() == mode.name).map(Strength::words);
    let forms = [
        format!("{}: {}", mode.words, mode.change),
        mode.words.clone(),
        name.unwrap_or(&mode.name).to_owned(),
        mode.name.replace('_', " "),
    ];
    let fits = |form: &String| form.chars().count() <= width;
    let form = forms.into_iter().find(fits)?;
    let style = if mode.name == Strength::Observing.name() { warning() } else { bold() };
    Some(line(vec![(form, style)]))
}

/// Returns the interfaces and the daemon, or what is missing.
fn attachment(view: &View, is_compact: bool) -> Vec<Part> {
    let plain = Style::new();
    let attached = match (&view.nothing_in, view.interfaces.as_slice()) {
        (Some(directory), _) => {
            ([format!("nothing is pinned in {directory}"), "nothing is pinned".into()], warning())
        }
        (None, []) => (["attached to no interface".into(), "not attached".into()], warning()),
        (None, [name]) => ([format!("attached to {name}"), name.clone()], plain),
        (None, names) => {
            ([format!("attached to {}", names.join(", ")), format!("{} interfaces", names.len())], plain)
        }
    };
    let daemon = match view.daemon {
        Some(process) => part(format!("daemon {process}"), plain),
        None => (["no daemon runs".into(), "no daemon".into()], warning()),
    };
    // On a narrow screen a fault comes first.
    if is_compact && view.daemon.is_none() { vec![daemon, attached] } else { vec![attached, daemon] }
}

fn figures(view: &View) -> Vec<Part> {
    let rate = |what: &'static str, name: &str| {
        let Rate { a_second, total, .. } = view.rates.iter().find(|rate| rate.what == what)?;
        let forms = [
            format!("{name} {}/s ({})", speed(*a_second), short(*total)),
            format!("{name} {}/s", speed(*a_second)),
        ];
        Some((*total, forms))
    };
    let mut parts: Vec<Part> = Vec::new();
    parts.extend(would(view));
    parts.extend(rate("dropped", "dropped").map(|(_, forms)| (forms, Style::new())));
    parts.extend(rate("probes", "probes").map(|(_, forms)| (forms, Style::new())));
    parts.extend(held(view));
    let lost = rate("not reported", "not reported").filter(|(total, _)| *total > 0);
    parts.extend(lost.map(|(_, forms)| (forms, warning())));
    let ring = view.gauges.iter().find(|gauge| gauge.what == "ring (bytes)" && gauge.is_nearly_full());
    parts.extend(ring.map(|_| part("the ring is nearly full", alarm())));
    parts
}

/// Returns the numbers of blocked and fenced sources, or, if the daemon left out some, of both together.
fn held(view: &View) -> Vec<Part> {
    let mut parts = Vec::new();
    for (what, gauges) in
        [("blocked", ["blocked IPv4", "blocked IPv6"]), ("fenced", ["fenced IPv4", "fenced IPv6"])]
    {
        let of: Vec<&Gauge> = view.gauges.iter().filter(|gauge| gauges.contains(&gauge.what)).collect();
        if !of.is_empty() {
            let used = view.sources.iter().filter(|source| source.state.name() == what).count() as u64;
            let style = if of.iter().any(|gauge| gauge.is_nearly_full()) { alarm() } else { Style::new() };
            parts.push((number(what, used), style));
        }
    }
    if view.left_out > 0 {
        let is_full = parts.iter().any(|(_, style)| *style == alarm());
        let style = if is_full { alarm() } else { Style::new() };
        let all = (view.sources.len() + view.left_out) as u64;
        let listed = format!("listed {}", view.sources.len());
        parts = vec![(number("held", all), style), ([listed.clone(), listed], warning())];
    }
    parts
}

/// Returns the numbers of sources that would be blocked or fenced.
fn would(view: &View) -> Vec<Part> {
    let of = |state| view.would.iter().filter(|source| source.state == state).count() as u64;
    match view.would.len() as u64 + view.would_left_out as u64 {
        0 => Vec::new(),
        all if view.would_left_out > 0 => vec![(number("would be held", all), warning())],
        all => {
            let both =
                format!("would be fenced {}, would be blocked {}", of(State::Fenced), of(State::Blocked));
            vec![([both, format!("would be held {all}")], warning())]
        }
    }
}

fn number(what: &str, number: u64) -> [String; 2] {
    [format!("{what} {number}"), format!("{what} {}", short(number))]
}
