//! Plots as SVG: curves over sizes that grow by factors of ten.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;

const SIZE: (u32, u32) = (640, 400);
const COLORS: [RGBColor; 2] = [RGBColor(0x1f, 0x77, 0xb4), RGBColor(0xd6, 0x27, 0x28)];

/// One curve: sizes, and what was measured at them in microseconds.
pub(crate) struct Curve {
    /// What tells it from the others; may be empty if there are none.
    pub(crate) name: String,
    /// From the left to the right.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Draws curves into a file, both axes logarithmic.
pub(crate) fn draw(file: &Path, title: &str, over: &str, curves: &[Curve]) -> Result<()> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
    };
    let ((left, right), (low, high)) = (bounds(|point| point.0), bounds(|point| point.1));
    // Whole decades, so that there are lines to read values from.
    let (low, high) = (10_f64.powf(low.log10().floor()), 10_f64.powf(high.log10().ceil()));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let failed = |error: &dyn std::fmt::Display| anyhow!("the plot cannot be drawn: {error}");
        area.fill(&WHITE).map_err(|error| failed(&error))?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 18))
            .margin(16)
            .margin_right(36)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d((left..right).log_scale(), (low..high).log_scale())
            .map_err(|error| failed(&error))?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(over).y_desc("µs").x_label_formatter(&short).y_label_formatter(&short);
        mesh.draw().map_err(|error| failed(&error))?;
        for (curve, color) in curves.iter().zip(COLORS) {
            let line = LineSeries::new(curve.points.iter().copied(), color.stroke_width(2)).point_size(3);
            let drawn = chart.draw_series(line).map_err(|error| failed(&error))?;
            if !curve.name.is_empty() {
                let swatch = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2));
                drawn.label(&curve.name).legend(swatch);
            }
        }
        if curves.len() > 1 {
            let labels = &mut chart.configure_series_labels();
            labels.border_style(BLACK).position(SeriesLabelPosition::UpperLeft);
            labels.draw().map_err(|error| failed(&error))?;
        }
        area.present().map_err(|error| failed(&error))?;
    }
    std::fs::write(file, svg).with_context(|| file.display().to_string())
}

/// A power of ten as people write it: `100`, `10k`.
fn short(value: &f64) -> String {
    if *value >= 1000.0 { format!("{:.0}k", value / 1000.0) } else { format!("{value:.0}") }
}
