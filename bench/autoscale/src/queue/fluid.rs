//! Requests as a fluid, a second at a time, for long traces and high rates.
//!
//! While load is below the throughput and nothing is left over, answers are as [`Table`] says of that second's load. What
//! exceeds the throughput is left over, waits in line, and is late once the line is longer than the objective allows.

use super::table::Table;
use super::{Arrivals, Queue, ServerView};
use crate::ledger::Ledger;
use std::collections::VecDeque;
use std::sync::Arc;

/// The replicas of one service.
#[derive(Debug)]
pub struct Fluid {
    pools: Vec<Class>,
    patience: f64,
    /// Requests that wait beyond those of a steady state.
    backlog: f64,
    drained: Vec<u64>,
    /// Arrivals of the last stretches: seconds and count.
    recent: VecDeque<(f64, f64)>,
    sums: (f64, f64),
    window: f64,
}

#[derive(Debug)]
struct Class {
    table: Arc<Table>,
    replicas: f64,
    /// Mean rows of a batch in the stretch that is served.
    rows: f64,
    started_at: f64,
    /// Runs by size, as real numbers.
    runs: Vec<f64>,
    shown: Vec<(u64, f64)>,
}

impl Fluid {
    /// No replicas yet; tables by pool.
    #[must_use]
    pub fn new(tables: Vec<Arc<Table>>, patience: f64) -> Self {
        let class = |table: Arc<Table>| {
            let sizes = table.curve.max_batch as usize;
            Class {
                table,
                replicas: 0.0,
                rows: 1.0,
                started_at: 0.0,
                runs: vec![0.0; sizes],
                shown: vec![(0, 0.0); sizes],
            }
        };
        let window = tables.iter().map(|table| table.window).max().unwrap_or(1) as f64;
        Self {
            pools: tables.into_iter().map(class).collect(),
            patience,
            backlog: 0.0,
            drained: Vec::new(),
            recent: VecDeque::new(),
            sums: (0.0, 0.0),
            window,
        }
    }

    /// The rate over the tables' window, with `count` over `seconds` as its latest part.
    fn rate(&mut self, seconds: f64, count: f64) -> f64 {
        if self.window <= 1.0 {
            return count / seconds;
        }
        self.recent.push_back((seconds, count));
        self.sums = (self.sums.0 + seconds, self.sums.1 + count);
        while self.sums.0 > self.window + 1e-6 && self.recent.len() > 1 {
            let (seconds, count) = self.recent.pop_front().unwrap_or_default();
            self.sums = (self.sums.0 - seconds, (self.sums.1 - count).max(0.0));
        }
        self.sums.1 / self.sums.0
    }

    fn replicas(&self) -> f64 {
        self.pools.iter().map(|class| class.replicas).sum()
    }

    fn throughput(&self) -> f64 {
        self.pools.iter().map(|class| class.replicas * class.table.throughput).sum()
    }

    /// With replicas and arrivals of `count` over `seconds`.
    fn serve(&mut self, now: f64, seconds: f64, count: f64, ledger: &mut Ledger) {
        let (replicas, throughput) = (self.replicas(), self.throughput());
        let busy = self.rate(seconds, count) / throughput;
        let before = self.backlog;
        // A steady line of a nearly full server is in the table already.
        let after = (before + count - throughput * seconds).max(0.0);
        let (mut late, mut latency, mut slowest) = (0.0, 0.0, 0.0_f64);
        for class in &mut self.pools {
            if class.replicas > 0.0 {
                let share = class.replicas * class.table.throughput / throughput;
                let steady = class.table.at(replicas, busy);
                class.rows = steady.rows;
                late += share * steady.late;
                latency += share * steady.latency;
                let full = class.table.curve.time(f64::from(class.table.curve.max_batch));
                slowest = slowest.max(1.3 * full);
            }
        }
        // The wait at the start and the end of the stretch, and the share of it in which the wait is too long.
        let (first, last) = (before / throughput, after / throughput);
        let allowed = (ledger.target - slowest).max(0.0);
        let too_long = match (first > allowed, last > allowed) {
            (true, true) => 1.0,
            (false, false) => 0.0,
            (true, false) => ((first - allowed) / (first - last)).clamp(0.0, 1.0),
            (false, true) => ((last - allowed) / (last - first)).clamp(0.0, 1.0),
        };
        let late = f64::max(late, too_long);
        let patient = throughput * self.patience;
        let expired = (after - patient).max(0.0);
        self.backlog = after - expired;
        let answered = before + count - after;
        self.note_runs(seconds, busy, before > 0.0);
        ledger.arrive(now, count);
        // Lateness is booked with the arrival, so that what waits at the end of a run is in the figure as well.
        let mean = latency + (first + last) / 2.0;
        let in_time_latency = mean.min(ledger.target * 0.999);
        let late_latency = mean.max(ledger.target * 1.5);
        book(ledger, now, count * (1.0 - late), in_time_latency);
        book(ledger, now, count * late, late_latency);
        ledger.expired += expired;
        ledger.answered += answered;
        ledger.in_flight = self.backlog + count / seconds * latency;
        ledger.concurrency += (ledger.in_flight + ledger.held) * seconds;
        ledger.until = now + seconds;
    }

    fn note_runs(&mut self, seconds: f64, busy: f64, full: bool) {
        for class in self.pools.iter_mut().filter(|class| class.replicas > 0.0) {
            let sizes = class.runs.len();
            let rows = if full { sizes as f64 } else { class.rows.clamp(1.0, sizes as f64) };
            let served = busy.min(1.0) * class.replicas * class.table.throughput * seconds;
            let (low, part) = ((rows as usize).min(sizes), rows.fract());
            for (size, share) in [(low, 1.0 - part), ((low + 1).min(sizes), part)] {
                let runs = served * share / rows;
                class.runs[size - 1] += runs;
                let whole = class.runs[size - 1].floor();
                class.shown[size - 1] = (whole as u64, whole * class.table.curve.time(size as f64));
            }
        }
    }
}

/// Books answers without counting them as answered yet.
fn book(ledger: &mut Ledger, now: f64, count: f64, latency: f64) {
    if count > 0.0 {
        ledger.answer(now, latency, count);
        ledger.answered -= count;
    }
}

impl Queue for Fluid {
    fn add(&mut self, now: f64, _: u64, pool: usize, ledger: &mut Ledger) {
        let class = &mut self.pools[pool];
        if class.replicas == 0.0 {
            class.started_at = now;
            class.runs.fill(0.0);
            class.shown.fill((0, 0.0));
        }
        class.replicas += 1.0;
        self.backlog += ledger.held;
        ledger.held = 0.0;
    }

    fn drain(&mut self, _: f64, pod: u64, pool: usize) {
        self.pools[pool].replicas = (self.pools[pool].replicas - 1.0).max(0.0);
        self.drained.push(pod);
    }

    fn advance(&mut self, from: f64, to: f64, arrivals: Arrivals<'_>, ledger: &mut Ledger) {
        let Arrivals::Count(count) = arrivals else { return };
        if to <= from {
            return;
        }
        if self.throughput() > 0.0 {
            return self.serve(from, to - from, count, ledger);
        }
        // Nobody serves: what is left over is held, and late.
        ledger.held += self.backlog;
        self.backlog = 0.0;
        ledger.in_flight = 0.0;
        ledger.pass(to);
        if count > 0.0 {
            ledger.arrive(from, count);
            ledger.held += count;
            book(ledger, from, count, ledger.target * 1.5);
        }
    }

    fn drained(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.drained)
    }

    fn waiting(&self) -> f64 {
        self.backlog
    }

    fn servers(&self, see: &mut dyn FnMut(ServerView<'_>)) {
        let all = self.throughput();
        for (pool, class) in self.pools.iter().enumerate().filter(|(_, class)| class.replicas > 0.0) {
            let depth = self.backlog * class.replicas * class.table.throughput / all;
            let (started_at, batches) = (class.started_at, class.shown.as_slice());
            see(ServerView { pod: pool as u64, pool, started_at, depth: depth as u64, batches });
        }
    }
}
