//! What n replicas do at a steady load, measured once by events: the fluid model and the bounds read it.

use super::events::Events;
use super::{Arrivals, Queue, ServerView};
use crate::ledger::Ledger;
use crate::model::Curve;
use crate::random::Random;

/// Numbers of replicas that are measured; between them the table is interpolated.
const SIZES: [u32; 13] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128];
/// Steps of utilisation (of the throughput with full batches).
const STEPS: usize = 40;

/// A state of steady load.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Steady {
    /// Share of answers that are late.
    pub late: f64,
    /// Mean seconds from arrival to answer.
    pub latency: f64,
    /// Mean rows of a batch.
    pub rows: f64,
}

/// Steady states by replicas and utilisation.
#[derive(Clone, Debug)]
pub struct Table {
    /// The curve of each replica.
    pub curve: Curve,
    /// Seconds within which an answer is in time.
    pub target: f64,
    /// Throughput of one replica with full batches.
    pub throughput: f64,
    /// Seconds over which load is a mean when the table is read: about ten full batches, within which a queue settles.
    pub window: usize,
    /// For each whole number of replicas from 1 to the largest that was measured.
    rows: Vec<Vec<Steady>>,
}

impl Table {
    /// Measures with about `sample` requests for each entry.
    #[must_use]
    pub fn measure(curve: Curve, target: f64, sample: u32) -> Self {
        let throughput = curve.throughput();
        let window = (10.0 * curve.time(f64::from(curve.max_batch))).round().max(1.0) as usize;
        let row = |replicas: &u32| {
            let mut row = vec![Steady::default(); STEPS + 1];
            for (step, entry) in row.iter_mut().enumerate().skip(1) {
                // Far from its limit a queue tells the same with fewer requests.
                let sample = if step * 2 < STEPS { sample / 4 } else { sample };
                *entry = steady(curve, target, *replicas, step as f64 / STEPS as f64, (sample, window));
            }
            row[0] =
                Steady { rows: 1.0, latency: curve.time(1.0), late: f64::from(u8::from(curve.time(1.0) > target)) };
            // More load is never better: what chance says otherwise is smoothed.
            for step in (1..STEPS).rev() {
                row[step].late = row[step].late.min(row[step + 1].late);
            }
            row
        };
        let mut rows: Vec<Vec<Steady>> = SIZES.iter().map(row).collect();
        for size in 1..SIZES.len() {
            let (fewer, more) = rows.split_at_mut(size);
            for (here, before) in more[0].iter_mut().zip(&fewer[size - 1]) {
                here.late = here.late.min(before.late);
            }
        }
        let most = SIZES[SIZES.len() - 1];
        let rows = (1..=most).map(|replicas| between(&rows, replicas)).collect();
        Self { curve, target, throughput, window, rows }
    }

    /// The state of `replicas` (at least one, a whole number) at a utilisation of full batches; above 1 as at 1.
    #[must_use]
    pub fn at(&self, replicas: f64, utilisation: f64) -> Steady {
        let row = &self.rows[(replicas.max(1.0) as usize).min(self.rows.len()) - 1];
        let place = utilisation.clamp(0.0, 1.0) * STEPS as f64;
        let step = (place as usize).min(STEPS - 1);
        mix(row[step], row[step + 1], place - step as f64)
    }

    /// Requests per second that `replicas` sustain with no more than a share `tolerated` late.
    #[must_use]
    pub fn sustained(&self, replicas: f64, tolerated: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..30 {
            let middle = (low + high) / 2.0;
            if self.at(replicas, middle).late <= tolerated { low = middle } else { high = middle }
        }
        low * replicas * self.throughput
    }
}

/// The row for `replicas`, from those that were measured.
fn between(rows: &[Vec<Steady>], replicas: u32) -> Vec<Steady> {
    let above = SIZES.partition_point(|size| *size < replicas);
    let below = if SIZES[above] > replicas { above - 1 } else { above };
    let span = f64::from(SIZES[above] - SIZES[below]);
    let part = if span > 0.0 { f64::from(replicas - SIZES[below]) / span } else { 0.0 };
    rows[below].iter().zip(&rows[above]).map(|(left, right)| mix(*left, *right, part)).collect()
}

fn mix(left: Steady, right: Steady, part: f64) -> Steady {
    let between = |a: f64, b: f64| a + (b - a) * part;
    Steady {
        late: between(left.late, right.late),
        latency: between(left.latency, right.latency),
        rows: between(left.rows, right.rows),
    }
}

/// Runs `replicas` with the same number of requests in each window, at random within it: that the number itself changes
/// from window to window is the fluid model's to know.
fn steady(curve: Curve, target: f64, replicas: u32, utilisation: f64, (sample, window): (u32, usize)) -> Steady {
    let rate = utilisation * f64::from(replicas) * curve.throughput();
    let width = window as f64;
    let windows = ((f64::from(sample) / rate / width) as u32).clamp((sample / 500).clamp(3, 40), 20_000);
    let mut events = Events::new(vec![curve], 30.0, Random::new(11, 1));
    let mut ledger = Ledger::new(f64::from(windows) * width * 0.1, target);
    for pod in 0..replicas {
        events.add(0.0, u64::from(pod), 0, &mut ledger);
    }
    let (mut random, mut instants) = (Random::new(11, 2), Vec::new());
    for index in 0..windows {
        let start = f64::from(index) * width;
        let count = ((start + width) * rate) as u64 - (start * rate) as u64;
        instants.clear();
        instants.extend((0..count).map(|_| start + width * random.unit()));
        instants.sort_unstable_by(f64::total_cmp);
        events.advance(start, start + width, Arrivals::Instants(&instants), &mut ledger);
    }
    let (mut runs, mut rows) = (0.0, 0.0);
    events.servers(&mut |server: ServerView<'_>| {
        for (size, (count, _)) in server.batches.iter().enumerate() {
            runs += *count as f64;
            rows += *count as f64 * (size + 1) as f64;
        }
    });
    let mean = ledger.concurrency / ledger.answered.max(1.0);
    Steady { late: 1.0 - ledger.attainment(), latency: mean, rows: (rows / f64::max(runs, 1.0)).max(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SERVICES;
    use millrace_scaler::{Objective, Profile};

    #[test]
    fn more_replicas_and_less_load_are_never_later() {
        let model = SERVICES[2];
        let table = Table::measure(model.curve, model.target, 300);
        for replicas in [1.0, 2.0, 5.0, 20.0, 100.0] {
            for step in 0..20 {
                let here = table.at(replicas, f64::from(step) / 20.0).late;
                assert!(here <= table.at(replicas, f64::from(step + 1) / 20.0).late + 1e-12);
                assert!(here + 1e-12 >= table.at(replicas + 1.0, f64::from(step) / 20.0).late);
            }
        }
        let sustained = table.sustained(4.0, 0.01);
        assert!(sustained > 0.4 * 4.0 * table.throughput && sustained < 4.0 * table.throughput, "{sustained}");
    }

    #[test]
    fn the_law_promises_of_a_replica_what_it_sustains_when_simulated() {
        for model in SERVICES {
            let profile = Profile::measured(model.curve.fixed, model.curve.per_row);
            let objective = Objective { percentile: 99.0, target: model.target };
            let promised = profile.sustainable(Some(objective), model.curve.max_batch);
            let sustained = Table::measure(model.curve, model.target, 3_000).sustained(1.0, 0.01);
            let part = promised / sustained;
            assert!((0.6..1.05).contains(&part), "{}: {promised} of {sustained}", model.name);
        }
    }
}
