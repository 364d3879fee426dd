//! The requests per second over time, drawn.

use std::fmt::Write;

use crate::load::Fared;
use crate::upstream::{END, OUTAGE};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 50.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 20.0;
const RIGHT: f64 = 240.0;
const COLORS: [&str; 8] = [
    "#999999", "#e69f00", "#b37400", "#d55e00", "#cc79a7", "#8b4a7a", "#56b4e9", "#0072b2",
];

pub(crate) fn svg(all: &[Fared]) -> String {
    let most = all.iter().flat_map(|fared| &fared.per_second).max();
    let most = f64::from(most.copied().unwrap_or(1).next_multiple_of(100));
    let x = |second: f64| LEFT + second / END as f64 * (WIDTH - LEFT - RIGHT);
    let y = |rate: f64| HEIGHT - BOTTOM - rate / most * (HEIGHT - BOTTOM - TOP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Requests per second before, in and after an outage</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    let (from, to) = (x(OUTAGE.start as f64), x(OUTAGE.end as f64));
    // Writing into a string cannot fail.
    let _ = writeln!(
        out,
        "<rect x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#f3e3e3\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\">down</text>",
        to - from,
        HEIGHT - BOTTOM - TOP,
        from + 6.0,
        TOP + 14.0,
    );
    for step in 0..=5 {
        let rate = most * f64::from(step) / 5.0;
        let at = y(rate);
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{rate:.0}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
        );
    }
    for second in (0..=END).step_by(10) {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{second} s</text>",
            x(second as f64),
            HEIGHT - BOTTOM + 18.0,
        );
    }
    for (place, (fared, color)) in all.iter().zip(COLORS).enumerate() {
        let points: Vec<_> = (fared.per_second.iter().take(END as usize).enumerate())
            .map(|(second, sent)| {
                let (x, y) = (x(second as f64 + 0.5), y(f64::from(*sent)));
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let width = if fared.name == "seawall" { 3 } else { 1 };
        let _ = writeln!(
            out,
            "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" points=\"{}\"/>",
            points.join(" ")
        );
        let (left, at) = (WIDTH - RIGHT + 16.0, TOP + 16.0 + place as f64 * 20.0);
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"14\" height=\"4\" fill=\"{color}\"/>\n\
             <text x=\"{:.1}\" y=\"{at:.1}\">{}</text>",
            at - 6.0,
            left + 20.0,
            fared.name,
        );
    }
    out.push_str("</svg>\n");
    out
}
