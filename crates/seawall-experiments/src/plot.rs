//! Series as pictures.

use std::fmt::Write as _;

use crate::outcome::Phase;
use crate::report::Report;

/// Columns of a plot in text: more samples are put together.
const COLUMNS: usize = 72;
const ROWS: usize = 8;

/// The range of the figures and the bound, never empty.
fn range(report: &Report) -> (f64, f64) {
    let figures = report.samples.iter().filter_map(|point| point.figure);
    let bound = report.hypothesis.bound.number();
    let (low, high) = figures.fold((bound, bound), |(low, high), it| {
        (low.min(it), high.max(it))
    });
    let margin = ((high - low) * 0.05)
        .max(f64::EPSILON)
        .max(high.abs() * 1e-6);
    (low - margin, high + margin)
}

/// The samples as a plot in text: `*` a figure, `-` the bound, `|` where faults begin and end.
pub(crate) fn text(report: &Report) -> String {
    let samples = &report.samples;
    let each = samples.len().div_ceil(COLUMNS).max(1);
    let (low, high) = range(report);
    let row = |figure: f64| {
        let share = (figure - low) / (high - low);
        let row = ((1.0 - share) * (ROWS - 1) as f64).round();
        (row as usize).min(ROWS - 1)
    };
    let bound = row(report.hypothesis.bound.number());
    let columns = samples.len().div_ceil(each);
    let mut rows = vec![vec![' '; columns]; ROWS];
    rows[bound].fill('-');
    for (column, points) in samples.chunks(each).enumerate() {
        let changes = column > 0 && points[0].phase != samples[column * each - 1].phase;
        if changes {
            rows.iter_mut().for_each(|row| row[column] = '|');
        }
        // All of them, so that none outside of the bound is lost.
        for figure in points.iter().filter_map(|point| point.figure) {
            rows[row(figure)][column] = '*';
        }
    }
    let mut plot = String::new();
    for (index, row) in rows.iter().enumerate() {
        let label = match index {
            0 => format!("{high:>10.3}"),
            last if last == ROWS - 1 => format!("{low:>10.3}"),
            at if at == bound => format!("{:>10.3}", report.hypothesis.bound.number()),
            _ => " ".repeat(10),
        };
        let line: String = row.iter().collect();
        let _ = writeln!(plot, "{label} {}", line.trim_end());
    }
    plot
}

/// The samples as an SVG picture of 720 by 240.
pub(crate) fn svg(report: &Report) -> String {
    const WIDTH: f64 = 720.0;
    const HEIGHT: f64 = 240.0;
    let (low, high) = range(report);
    let last = report
        .samples
        .last()
        .map_or(1.0, |point| point.at_seconds.max(1e-9));
    let x = |seconds: f64| seconds / last * WIDTH;
    let y = |figure: f64| (high - figure) / (high - low) * HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    let during = report
        .samples
        .iter()
        .filter(|point| point.phase == Phase::During);
    let (first, end) = during.fold((f64::MAX, 0.0_f64), |(first, end), point| {
        (first.min(point.at_seconds), end.max(point.at_seconds))
    });
    if first < end {
        let (from, width) = (x(first), x(end) - x(first));
        let _ = writeln!(
            svg,
            "<rect x=\"{from:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" fill=\"#fde8e8\"/>"
        );
    }
    let bound = y(report.hypothesis.bound.number());
    let _ = writeln!(
        svg,
        "<path d=\"M0 {bound:.1}H{WIDTH}\" stroke=\"#c00\" stroke-dasharray=\"6 4\" fill=\"none\"/>"
    );
    let mut path = String::new();
    let mut is_down = false;
    for point in &report.samples {
        match point.figure {
            Some(figure) => {
                let command = if is_down { 'L' } else { 'M' };
                let _ = write!(path, "{command}{:.1} {:.1}", x(point.at_seconds), y(figure));
            }
            // A gap is no line.
            None if is_down => {}
            None => continue,
        }
        is_down = point.figure.is_some();
    }
    let _ = writeln!(
        svg,
        "<path d=\"{path}\" stroke=\"#06c\" stroke-width=\"1.5\" fill=\"none\"/>"
    );
    let title = escape(&report.hypothesis.words);
    let _ = writeln!(svg, "<text x=\"6\" y=\"14\">{title}</text>\n</svg>");
    svg
}

/// Text that is no markup.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
