//! The limits over time, a panel for each.

use std::fmt::Write;

use crate::sim::{Fared, Run, SCENARIO, SECOND};

const WIDTH: f64 = 920.0;
const PANEL_WIDTH: f64 = 400.0;
const PANEL_HEIGHT: f64 = 150.0;
const LEFT: f64 = 40.0;
const TOP: f64 = 60.0;
const GAP: f64 = 50.0;
/// The highest limit that is drawn.
const MOST: f64 = 100.0;

pub(crate) fn svg(runs: &[(&str, Run)], best: &[(u32, Fared)]) -> String {
    let rows = runs.len().div_ceil(2);
    let height = TOP + rows as f64 * (PANEL_HEIGHT + GAP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Concurrency limits over time</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\">Limit over time (s); dashed: the best fixed limit of each \
         phase</text>\n"
    );
    for (index, (name, run)) in runs.iter().enumerate() {
        let left = LEFT + (index % 2) as f64 * (PANEL_WIDTH + GAP);
        let top = TOP + (index / 2) as f64 * (PANEL_HEIGHT + GAP);
        let color = if index == 0 { "#0072b2" } else { "#d55e00" };
        // Writing into a string cannot fail.
        let _ = writeln!(out, "<g transform=\"translate({left:.0} {top:.0})\">");
        frame(&mut out, name);
        let best = steps(SCENARIO.iter().zip(best).scan(0.0, |at, (phase, best)| {
            let start = *at;
            *at += phase.length as f64 / SECOND as f64;
            Some((start, best.0))
        }));
        line(&mut out, &best, "#444444", "1\" stroke-dasharray=\"5 3");
        line(&mut out, &steps(run.trace.iter().copied()), color, "1.2");
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn total() -> f64 {
    SCENARIO.iter().map(|p| p.length as f64).sum::<f64>() / SECOND as f64
}

fn x(second: f64) -> f64 {
    second / total() * PANEL_WIDTH
}

fn y(limit: f64) -> f64 {
    PANEL_HEIGHT * (1.0 - limit.min(MOST) / MOST)
}

/// Where the panel lies, its name, the phases and the scales.
fn frame(out: &mut String, name: &str) {
    let _ = writeln!(
        out,
        "<text x=\"0\" y=\"-20\" font-weight=\"bold\">{name}</text>"
    );
    let mut start = 0.0;
    for (index, phase) in SCENARIO.iter().enumerate() {
        let length = phase.length as f64 / SECOND as f64;
        let fill = if index % 2 == 0 { "#f6f6f6" } else { "#ececec" };
        let _ = writeln!(
            out,
            "<rect x=\"{:.1}\" width=\"{:.1}\" height=\"{PANEL_HEIGHT}\" fill=\"{fill}\"/>\n\
             <text x=\"{:.1}\" y=\"-6\" font-size=\"10\" fill=\"#666666\">{}</text>\n\
             <text x=\"{:.1}\" y=\"{}\" font-size=\"10\" text-anchor=\"middle\">{start:.0}</text>",
            x(start),
            x(length),
            x(start) + 2.0,
            phase.name,
            x(start),
            PANEL_HEIGHT + 14.0,
        );
        start += length;
    }
    for limit in [0.0, 20.0, 40.0, 60.0, 80.0, MOST] {
        let at = y(limit);
        let _ = writeln!(
            out,
            "<line x1=\"0\" x2=\"{PANEL_WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\" \
             stroke=\"#ffffff\"/>\n\
             <text x=\"-5\" y=\"{:.1}\" font-size=\"10\" text-anchor=\"end\">{limit:.0}</text>",
            at + 3.5,
        );
    }
}

/// A limit stays until it moves: two points for each move. No finer than a point of the picture,
/// of which the highest and the lowest limit are drawn.
fn steps(trace: impl Iterator<Item = (f64, u32)>) -> String {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut known = 0.0;
    let mut columns: Vec<(i64, f64, f64, f64)> = Vec::new();
    for (second, limit) in trace {
        let (at, limit) = (x(second) as i64, f64::from(limit));
        match columns.last_mut() {
            Some((column, low, high, last)) if *column == at => {
                *low = low.min(limit);
                *high = high.max(limit);
                *last = limit;
            }
            _ => columns.push((at, limit, limit, limit)),
        }
    }
    for (column, low, high, last) in columns {
        let at = column as f64;
        if !points.is_empty() {
            points.push((at, known));
        }
        points.extend([(at, low), (at, high), (at, last)]);
        known = last;
    }
    points.push((PANEL_WIDTH, known));
    points.dedup();
    points
        .iter()
        .map(|(x, limit)| format!("{x:.0},{:.0}", y(*limit)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn line(out: &mut String, points: &str, color: &str, width: &str) {
    let _ = writeln!(
        out,
        "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" points=\"{points}\"/>"
    );
}
