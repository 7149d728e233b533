//! Draws the part of the scanners that is found, by their pace.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// Share of scanners that are found at each pace, in percent.
#[derive(Debug)]
pub struct Line {
    /// The rule or memory.
    pub name: String,
    /// Seconds between two probes, and percent.
    pub points: Vec<(f64, f64)>,
}

/// A panel of the picture.
#[derive(Debug)]
pub struct Panel {
    /// The text above it.
    pub title: String,
    /// Its lines. The first one is this project's.
    pub lines: Vec<Line>,
}

type Area<'all> = DrawingArea<SVGBackend<'all>, Shift>;

const SIZE: (u32, u32) = (1040, 430);
const COLOURS: [RGBColor; 4] = [
    RGBColor(0x1b, 0x6e, 0xc2),
    RGBColor(0xd9, 0x6b, 0x27),
    RGBColor(0x2e, 0x8b, 0x57),
    RGBColor(0x80, 0x5a, 0xa8),
];
const FONT: &str = "sans-serif";

/// Draws panels side by side.
///
/// # Errors
///
/// The file can't be written.
pub fn draw(panels: &[Panel], path: &Path) -> Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    let drawn = root.fill(&WHITE).map_err(|error| error.to_string()).and_then(|()| {
        let areas = root.split_evenly((1, panels.len()));
        panels.iter().zip(&areas).try_for_each(|(panel, area)| draw_panel(panel, area))?;
        root.present().map_err(|error| error.to_string())
    });
    drawn.map_err(|error| anyhow!("drawing {}: {error}", path.display()))
}

fn draw_panel(panel: &Panel, area: &Area<'_>) -> Result<(), String> {
    let failed = |error: DrawingAreaErrorKind<_>| error.to_string();
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, (FONT, 16))
        .margin(14)
        .x_label_area_size(4)
        .y_label_area_size(58)
        .build_cartesian_2d((0.8..4600.0_f64).log_scale(), -24.0..124.0_f64)
        .map_err(failed)?;
    chart.configure_mesh().disable_mesh().disable_axes().draw().map_err(failed)?;
    let grey = RGBColor(0x55, 0x55, 0x55);
    let label = (FONT, 13).into_font().color(&grey);
    let centred = |horizontal| label.pos(Pos::new(horizontal, VPos::Center));
    for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
        let line = PathElement::new([(0.8, percent), (4600.0, percent)], RGBColor(0xdd, 0xdd, 0xdd));
        chart.draw_series([line]).map_err(failed)?;
        let text = Text::new(format!("{percent} %"), (0.72, percent), centred(HPos::Right));
        chart.plotting_area().draw(&text).map_err(failed)?;
    }
    for (seconds, name) in
        [(1.0, "1 s"), (10.0, "10 s"), (60.0, "1 min"), (300.0, "5 min"), (900.0, "15 min"), (3600.0, "1 h")]
    {
        let text = Text::new(name, (seconds, -7.0), centred(HPos::Center));
        chart.plotting_area().draw(&text).map_err(failed)?;
    }
    let text = Text::new("time between two probes", (60.0, -18.0), centred(HPos::Center));
    chart.plotting_area().draw(&text).map_err(failed)?;
    for (number, (line, colour)) in panel.lines.iter().zip(COLOURS).enumerate() {
        // Others are drawn thinner, on top, so that lines of the same height are all seen.
        let width = if number == 0 { 6 } else { 2 };
        let style =
            if number == 0 { colour.mix(0.55).stroke_width(width) } else { colour.stroke_width(width) };
        chart.draw_series(LineSeries::new(line.points.clone(), style)).map_err(failed)?;
        let points = line.points.iter().map(|point| Circle::new(*point, 4, colour.filled()));
        chart.draw_series(points).map_err(failed)?;
        let (x, y) = ([1.0, 75.0][number % 2], [119.0, 110.0][number / 2]);
        let key = PathElement::new([(x, y), (x * 1.7, y)], style);
        chart.draw_series([key]).map_err(failed)?;
        let text = Text::new(line.name.clone(), (x * 2.0, y), centred(HPos::Left));
        chart.plotting_area().draw(&text).map_err(failed)?;
    }
    Ok(())
}
