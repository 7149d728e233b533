//! Draws the curve as a picture.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::{curve::Curve, report::Report};

const SIZE: (u32, u32) = (960, 540);
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x1b, 0x6e, 0xc2),
    RGBColor(0x7a, 0xb3, 0xe8),
    RGBColor(0xc2, 0x3b, 0x22),
    RGBColor(0xe8, 0x8d, 0x7a),
    RGBColor(0x2e, 0x8b, 0x57),
    RGBColor(0x8f, 0xcf, 0xa8),
    RGBColor(0x80, 0x5a, 0xa8),
    RGBColor(0xbf, 0xa3, 0xd9),
];

/// Draws the cost of a packet for each number of blocked sources, on logarithmic scales.
pub(crate) fn draw(report: &Report, path: &Path) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("drawing {}: {error}", path.display());
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    let run = &report.run;
    let caption = format!("{}, {}, {}", run.machine, run.kernel, run.date);
    let highest = heights(&report.by_blocked).fold(10.0, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .caption(caption, ("sans-serif", 14))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d((100.0..5e6_f64).log_scale(), (1.0..highest * 2.0).log_scale())
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .x_desc("blocked sources of each address family (the leftmost: none)")
        .y_desc("ns above a program that returns at once")
        .x_label_formatter(&|count| format!("{count:.0}"))
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(|error| failed(&error))?;
    for (curve, colour) in report.by_blocked.iter().zip(COLOURS) {
        let points: Vec<(f64, f64)> = points(curve).collect();
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)).point_size(3))
            .map_err(|error| failed(&error))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()
        .map_err(|error| failed(&error))?;
    root.present().map_err(|error| failed(&error))
}

/// Logarithmic scales have no zero. Zero blocked sources are drawn at 100, and costs below a nanosecond at one.
fn points(curve: &Curve) -> impl Iterator<Item = (f64, f64)> {
    curve.points.iter().map(|(count, cost)| (f64::from(*count).max(100.0), cost.above_floor_ns.max(1.0)))
}

fn heights(curves: &[Curve]) -> impl Iterator<Item = f64> {
    curves.iter().flat_map(points).map(|(_, height)| height)
}
