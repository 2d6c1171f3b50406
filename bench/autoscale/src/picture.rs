//! A picture of a run: arrivals, replicas, lateness over time, as SVG.

use crate::world::{Live, Setup};
use std::fmt::Write;

/// Points along the time axis.
const POINTS: usize = 600;
const WIDTH: f64 = 1_200.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 60.0;

/// Sums and peaks over equal stretches of time.
#[derive(Clone, Debug)]
pub struct Series {
    step: f64,
    pools: Vec<String>,
    arrivals: Vec<f64>,
    late: Vec<f64>,
    ready: Vec<Vec<f64>>,
    desired: Vec<f64>,
    waiting: Vec<f64>,
    seen: (f64, f64),
}

impl Series {
    /// Empty, over the whole of a run.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let seconds = setup.services.iter().map(|service| service.trace.seconds()).max().unwrap_or(1);
        Self {
            step: (seconds as f64 / POINTS as f64).max(1.0),
            pools: setup.pools.iter().map(|pool| pool.name.clone()).collect(),
            arrivals: vec![0.0; POINTS],
            late: vec![0.0; POINTS],
            ready: vec![vec![0.0; POINTS]; setup.pools.len()],
            desired: vec![0.0; POINTS],
            waiting: vec![0.0; POINTS],
            seen: (0.0, 0.0),
        }
    }

    /// Notes how things stand at `now`.
    pub fn note(&mut self, now: f64, live: &[Live]) {
        let point = ((now / self.step) as usize).min(POINTS - 1);
        let sum = |figure: fn(&Live) -> f64| live.iter().map(figure).sum::<f64>();
        let (arrivals, late) = (sum(|l| l.ledger.arrivals), sum(|l| l.ledger.late));
        self.arrivals[point] += arrivals - self.seen.0;
        self.late[point] += late - self.seen.1;
        self.seen = (arrivals, late);
        for (pool, points) in self.ready.iter_mut().enumerate() {
            let ready: u32 = live.iter().map(|live| live.slots[pool].ready).sum();
            points[point] = points[point].max(f64::from(ready));
        }
        self.desired[point] = self.desired[point].max(sum(|live| f64::from(live.desired())));
        let waiting = sum(|live| live.ledger.held + live.queue.waiting());
        self.waiting[point] = self.waiting[point].max(waiting);
    }

    /// The picture.
    #[must_use]
    pub fn svg(&self, title: &str) -> String {
        let mut svg = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='{}' height='{}' font-family='sans-serif' font-size='12'>\n\
             <rect width='100%' height='100%' fill='white'/>\n<text x='{LEFT}' y='20' font-size='14'>{}</text>\n",
            WIDTH + LEFT + 20.0,
            4.0 * HEIGHT + 60.0,
            escaped(title)
        );
        let rate: Vec<f64> = self.arrivals.iter().map(|count| count / self.step).collect();
        let share: Vec<f64> =
            self.late.iter().zip(&self.arrivals).map(|(late, all)| 100.0 * (late / all.max(1.0)).min(1.0)).collect();
        let mut lines = vec![("asked for".to_owned(), "#bbbbbb", self.desired.clone())];
        for ((name, points), colour) in
            self.pools.iter().zip(&self.ready).zip(["#1f77b4", "#d62728", "#2ca02c", "#9467bd"])
        {
            lines.push((format!("ready on {name}"), colour, points.clone()));
        }
        self.panel(&mut svg, 0, &[("requests/s".to_owned(), "#444444", rate)]);
        self.panel(&mut svg, 1, &lines);
        self.panel(&mut svg, 2, &[("late, %".to_owned(), "#d62728", share)]);
        self.panel(&mut svg, 3, &[("waiting".to_owned(), "#ff7f0e", self.waiting.clone())]);
        let hours = self.step * POINTS as f64 / 3_600.0;
        let _ =
            writeln!(svg, "<text x='{}' y='{}'>{hours:.1} h</text>\n</svg>", WIDTH + LEFT - 30.0, 4.0 * HEIGHT + 52.0);
        svg
    }

    fn panel(&self, svg: &mut String, row: usize, lines: &[(String, &str, Vec<f64>)]) {
        let (top, bottom) = (30.0 + row as f64 * HEIGHT, 10.0 + (row + 1) as f64 * HEIGHT);
        let most =
            lines.iter().flat_map(|(_, _, points)| points).fold(0.0_f64, |most, point| most.max(*point)).max(1e-9);
        let _ = writeln!(
            svg,
            "<line x1='{LEFT}' y1='{bottom}' x2='{}' y2='{bottom}' stroke='#999'/><text x='5' y='{}'>{most:.1}</text>",
            LEFT + WIDTH,
            top + 10.0
        );
        for (index, (name, colour, points)) in lines.iter().enumerate() {
            let at = |(x, y): (usize, &f64)| {
                let x = LEFT + x as f64 / POINTS as f64 * WIDTH;
                format!("{x:.1},{:.1}", bottom - y / most * (bottom - top))
            };
            let path: Vec<String> = points.iter().enumerate().map(at).collect();
            let _ = writeln!(svg, "<polyline fill='none' stroke='{colour}' points='{}'/>", path.join(" "));
            let x = LEFT + 10.0 + 160.0 * index as f64;
            let _ = writeln!(svg, "<text x='{x}' y='{}' fill='{colour}'>{}</text>", top + 10.0, escaped(name));
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;")
}
