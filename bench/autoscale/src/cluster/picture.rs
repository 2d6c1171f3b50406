//! The comparison as a picture: arrivals, replicas and latency over time, measured and simulated.

use super::{Compared, Row};
use std::fmt::Write;

const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 60.0;
const MEASURED: &str = "#1f77b4";
const PREDICTED: &str = "#ff7f0e";

/// A line of a panel: its name, its colour, a value for each row.
type Line<'a> = (&'a str, &'a str, Vec<f64>);

impl Compared {
    /// SVG.
    #[must_use]
    pub fn svg(&self) -> String {
        let title = format!("{}: replica-hours {:+.1} %", self.run.trace, self.gap * 100.0);
        let mut svg = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='{}' height='{}' font-family='sans-serif' font-size='12'>\n\
             <rect width='100%' height='100%' fill='white'/>\n<text x='{LEFT}' y='20' font-size='14'>{}</text>\n",
            WIDTH + LEFT + 20.0,
            4.0 * HEIGHT + 50.0,
            title.replace('&', "&amp;").replace('<', "&lt;")
        );
        let values = |figure: &dyn Fn(&Row) -> f64| self.rows.iter().map(figure).collect::<Vec<f64>>();
        let latency = |pick: fn((f64, f64)) -> f64| values(&|row| row.latency.map_or(0.0, pick));
        panel(&mut svg, 0, &[("requests/s", "#444444", values(&|row| f64::from(row.arrivals) / super::ROW))]);
        panel(
            &mut svg,
            1,
            &[
                ("asked for, cluster", MEASURED, values(&|row| row.asked.measured)),
                ("asked for, simulator", PREDICTED, values(&|row| row.asked.predicted)),
            ],
        );
        panel(
            &mut svg,
            2,
            &[
                ("ready, cluster", MEASURED, values(&|row| row.ready.measured)),
                ("ready, simulator", PREDICTED, values(&|row| row.ready.predicted)),
            ],
        );
        panel(&mut svg, 3, &[("p50, s", "#2ca02c", latency(|l| l.0)), ("p99, s", "#d62728", latency(|l| l.1))]);
        let _ = writeln!(
            svg,
            "<text x='{}' y='{}'>{:.0} s</text>\n</svg>",
            WIDTH + LEFT - 30.0,
            4.0 * HEIGHT + 42.0,
            self.run.seconds
        );
        svg
    }
}

fn panel(svg: &mut String, number: usize, lines: &[Line<'_>]) {
    let (top, bottom) = (30.0 + number as f64 * HEIGHT, 10.0 + (number + 1) as f64 * HEIGHT);
    let most = lines.iter().flat_map(|(.., values)| values).fold(1e-9_f64, |most, value| most.max(*value));
    let _ = writeln!(
        svg,
        "<line x1='{LEFT}' y1='{bottom}' x2='{}' y2='{bottom}' stroke='#999'/><text x='5' y='{}'>{most:.1}</text>",
        LEFT + WIDTH,
        top + 10.0
    );
    for (index, (name, colour, values)) in lines.iter().enumerate() {
        let point = |(place, value): (usize, &f64)| {
            let x = LEFT + place as f64 / (values.len().max(2) - 1) as f64 * WIDTH;
            format!("{x:.1},{:.1}", bottom - value / most * (bottom - top))
        };
        let points: Vec<String> = values.iter().enumerate().map(point).collect();
        let _ = writeln!(svg, "<polyline fill='none' stroke='{colour}' points='{}'/>", points.join(" "));
        let x = LEFT + 10.0 + 180.0 * index as f64;
        let _ = writeln!(svg, "<text x='{x}' y='{}' fill='{colour}'>{name}</text>", top + 10.0);
    }
}
