//! The first run over time, drawn.

use std::fmt::Write;

use crate::load::Score;
use crate::report::Scenario;
use crate::upstream::{END, Excess, OUTAGE};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 240.0;
/// Of a panel, with its title above.
const HEIGHT: f64 = 190.0;
const ABOVE: f64 = 40.0;
const BELOW: f64 = 60.0;

struct Curve {
    name: &'static str,
    color: &'static str,
    width: f64,
    dashes: &'static str,
}

const fn line(name: &'static str, color: &'static str, width: f64, dashes: &'static str) -> Curve {
    Curve {
        name,
        color,
        width,
        dashes,
    }
}

/// What is drawn, from below to above: where lines lie on each other, the wider ones show.
const LINES: [Curve; 8] = [
    line("no retry", "#bbbbbb", 5.0, ""),
    line("tower, no budget", "#f5c26b", 5.0, ""),
    line("tower-resilience, no budget", "#d55e00", 2.5, ""),
    line("seawall, no budget", "#56b4e9", 2.0, "5 5"),
    line("tower, TPS", "#9a6400", 1.5, "2 3"),
    line("tower-resilience, AIMD", "#cc79a7", 1.5, "2 3"),
    line("tower-resilience, bucket", "#8b2f6f", 1.5, "6 3"),
    line("seawall", "#0050a0", 2.0, ""),
];

struct Panel<'a> {
    title: &'a str,
    axis: &'a str,
    scenario: &'a Scenario,
    values: fn(&Score) -> &[u32],
}

pub(crate) fn svg(all: &[Scenario]) -> String {
    let mut panels = Vec::new();
    for scenario in all {
        let (sent, succeeded) = match scenario.excess {
            Excess::Shed => (
                "An upstream that sheds what it cannot serve: requests sent",
                None,
            ),
            Excess::Queue => (
                "An upstream that queues: requests sent",
                Some("The same upstream that queues: calls succeeded, by the second they began in"),
            ),
        };
        panels.push(Panel {
            title: sent,
            axis: "requests per second",
            scenario,
            values: |score| &score.sent,
        });
        if let Some(title) = succeeded {
            panels.push(Panel {
                title,
                axis: "calls succeeded",
                scenario,
                values: |score| &score.succeeded,
            });
        }
    }
    let height = panels.len() as f64 * (ABOVE + HEIGHT) + BELOW;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Requests sent and calls succeeded before, in and after an outage</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        draw(&mut out, panel, index as f64 * (ABOVE + HEIGHT) + ABOVE);
    }
    let bottom = height - BELOW;
    for second in (0..=END).step_by(10) {
        text(
            &mut out,
            x(second as f64),
            bottom + 18.0,
            "middle",
            &second.to_string(),
        );
    }
    text(
        &mut out,
        x(END as f64 / 2.0),
        bottom + 40.0,
        "middle",
        "seconds",
    );
    legend(&mut out);
    out.push_str("</svg>\n");
    out
}

fn x(second: f64) -> f64 {
    LEFT + second / END as f64 * (WIDTH - LEFT - RIGHT)
}

// Writing into a string cannot fail.
fn draw(out: &mut String, panel: &Panel<'_>, top: f64) {
    let drawn: Vec<_> = LINES
        .iter()
        .filter_map(|line| {
            let mut rows = panel.scenario.rows.iter();
            let row = rows.find(|row| row.subject.name == line.name)?;
            let values = (panel.values)(row.runs.first()?);
            Some((line, &values[..END as usize]))
        })
        .collect();
    let most = drawn.iter().flat_map(|(_, values)| *values).max();
    let most = most.copied().unwrap_or(1).max(1);
    let step = (most / 4)
        .max(1)
        .next_multiple_of(if most > 100 { 50 } else { 5 });
    let scale = f64::from(most.next_multiple_of(step));
    let y = |value: f64| top + HEIGHT - value / scale * (HEIGHT - 10.0);
    let (from, to) = (x(OUTAGE.start as f64), x(OUTAGE.end as f64));
    let _ = writeln!(
        out,
        "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{HEIGHT}\" fill=\"#f6e7e7\"/>",
        to - from,
    );
    text(out, LEFT, top - 12.0, "start", panel.title);
    text(
        out,
        (from + to) / 2.0,
        top + HEIGHT - 10.0,
        "middle",
        "down",
    );
    for value in (0..=scale as u32).step_by(step as usize) {
        let at = y(f64::from(value));
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>",
            WIDTH - RIGHT,
        );
        text(out, LEFT - 6.0, at + 4.0, "end", &value.to_string());
    }
    let middle = top + HEIGHT / 2.0;
    let _ = writeln!(
        out,
        "<text x=\"20\" y=\"{middle:.1}\" text-anchor=\"middle\" \
         transform=\"rotate(-90 20 {middle:.1})\">{}</text>",
        panel.axis,
    );
    for (line, values) in drawn {
        let points: Vec<_> = (values.iter().enumerate())
            .map(|(second, value)| {
                format!("{:.1},{:.1}", x(second as f64 + 0.5), y(f64::from(*value)))
            })
            .collect();
        let _ = writeln!(
            out,
            "<polyline fill=\"none\" {} points=\"{}\"/>",
            line.stroke(),
            points.join(" "),
        );
    }
}

fn legend(out: &mut String) {
    let left = WIDTH - RIGHT + 16.0;
    for (index, line) in LINES.iter().enumerate() {
        let at = ABOVE + 10.0 + index as f64 * 20.0;
        let _ = writeln!(
            out,
            "<line x1=\"{left}\" x2=\"{}\" y1=\"{at}\" y2=\"{at}\" {}/>",
            left + 28.0,
            line.stroke(),
        );
        text(out, left + 36.0, at + 4.0, "start", line.name);
    }
}

impl Curve {
    fn stroke(&self) -> String {
        let mut out = format!("stroke=\"{}\" stroke-width=\"{}\"", self.color, self.width);
        if !self.dashes.is_empty() {
            out += &format!(" stroke-dasharray=\"{}\"", self.dashes);
        }
        out
    }
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, what: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{what}</text>"
    );
}
