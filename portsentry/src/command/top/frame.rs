//! Draws a frame of `top`. No number is ever cut off: text that doesn't fit is shortened or left out as a whole.

mod foot;
mod grid;
mod head;
mod panels;
mod sources;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::Text,
};

use super::{
    screen::{Page, Screen},
    style::COMPACT,
    view::View,
};

/// Size from which the figures have room below the sources.
const AMPLE: (u16, u16) = (80, 38);

/// Draws one frame, and tells `screen` how many sources are visible.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, screen: &mut Screen) {
    let area = frame.area();
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let is_compact = area.width < COMPACT;
    let mut head = head::lines(view, screen, width, is_compact, height);
    let foot = foot::lines(&screen.prompt, &screen.filter, width, height / 2);
    head.truncate(height.saturating_sub(foot.len()));
    let [above, middle, below] =
        Layout::vertical([length(head.len()), Constraint::Fill(1), length(foot.len())]).areas(area);
    frame.render_widget(Text::from(head), above);
    frame.render_widget(Text::from(foot), below);
    match screen.page {
        Page::Help => frame.render_widget(Text::from(foot::help(width)), middle),
        _ if view.nothing_in.is_some() => screen.resize(0),
        Page::Figures => panels::draw(frame, middle, view),
        Page::Sources => {
            let is_ample = area.width >= AMPLE.0 && area.height >= AMPLE.1;
            let panels = if is_ample { panels::height(view) } else { 0 };
            let [list, figures] =
                Layout::vertical([Constraint::Fill(1), Constraint::Length(panels)]).areas(middle);
            draw_sources(frame, list, view, screen);
            panels::draw(frame, figures, view);
        }
    }
}

fn draw_sources(frame: &mut Frame<'_>, area: Rect, view: &View, screen: &mut Screen) {
    screen.resize(usize::from(area.height.saturating_sub(sources::HEADING)));
    frame.render_widget(Text::from(sources::lines(view, screen, usize::from(area.width))), area);
}

fn length(lines: usize) -> Constraint {
    Constraint::Length(u16::try_from(lines).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests;
