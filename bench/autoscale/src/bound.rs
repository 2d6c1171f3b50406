//! What a schedule that knows all arrivals would cost.
//!
//! For each number of replicas the table says how many answers of a second are late. The cheapest schedule for a price
//! μ of a late answer is found exactly, by a dynamic programme over time and replicas, in which each start is paid for
//! its whole duration. What was late is dropped without burden for the next second: that favours the schedule. By
//! Lagrange's argument `cost + μ (late − allowed)`, least over schedules, is below the cost of every schedule that keeps
//! to `allowed`; its highest value over μ is the lower bound. The schedules themselves are then simulated, and the
//! cheapest that keeps the objective is the clairvoyant.

use crate::queue::table::Table;
use crate::trace::Trace;

/// Late answers by stage and number of replicas.
#[derive(Clone, Debug)]
pub struct Lateness {
    /// Seconds of a stage.
    pub step: usize,
    /// Most replicas.
    pub most: usize,
    /// All requests.
    pub requests: f64,
    late: Vec<f32>,
}

/// A schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Ready replicas in each stage.
    pub replicas: Vec<u16>,
    /// Replica-seconds, starts included.
    pub cost: f64,
    /// Late answers, as the table says.
    pub late: f64,
    /// Replicas that were started.
    pub starts: u64,
}

/// The bound for one tolerated share of late answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Replica-seconds below which no schedule keeps the objective.
    pub lower: f64,
    /// The cheapest simulated schedule that keeps it.
    pub plan: Plan,
    /// Its share in time when simulated.
    pub attainment: f64,
}

impl Lateness {
    /// Of a trace from second `from` on.
    #[must_use]
    pub fn of(trace: &Trace, table: &Table, from: usize, step: usize) -> Self {
        let rates = smooth(&trace.counts, table.window);
        let peak = rates[from.min(rates.len())..].iter().fold(0.0_f64, |peak, rate| peak.max(*rate));
        let most = (1..1_000_usize)
            .find(|n| peak <= best(table, *n).0 && share(table, *n, peak, best(table, *n)) <= 1e-4)
            .unwrap_or(1_000);
        // The most that n replicas answer in time in a second, whatever else they are asked to do.
        let good: Vec<(f64, f64)> = (0..=most).map(|n| best(table, n)).collect();
        let stages = trace.seconds().saturating_sub(from).div_ceil(step);
        let mut late = vec![0.0_f32; stages * (most + 1)];
        let mut requests = 0.0;
        for (index, rate) in rates.iter().enumerate().skip(from) {
            let count = f64::from(trace.counts[index]);
            requests += count;
            if count == 0.0 {
                continue;
            }
            let row = (index - from) / step * (most + 1);
            for n in 0..=most {
                let share = share(table, n, *rate, good[n]);
                late[row + n] += (share * count) as f32;
                // More replicas are never later.
                if share <= 0.0 {
                    break;
                }
            }
        }
        Self { step, most, requests, late }
    }

    /// From figures: late answers by stage and number of replicas.
    #[must_use]
    pub fn given(step: usize, most: usize, requests: f64, late: Vec<f32>) -> Self {
        Self { step, most, requests, late }
    }

    fn stages(&self) -> usize {
        self.late.len() / (self.most + 1)
    }

    /// Late answers in a stage.
    #[must_use]
    pub fn late(&self, stage: usize, replicas: usize) -> f64 {
        f64::from(self.late[stage * (self.most + 1) + replicas])
    }

    /// The schedule of the least `cost + price × late`, each start paid with `start` replica-seconds; and that value.
    #[must_use]
    pub fn plan(&self, start: f64, price: f64) -> (Plan, f64) {
        let (width, stages) = (self.most + 1, self.stages());
        let mut value = vec![0.0_f64; width];
        let mut came = vec![0_u16; stages * width];
        let mut next = vec![0.0_f64; width];
        for stage in 0..stages {
            let row = stage * width;
            // From fewer: the start of each further one is paid.
            let (mut least, mut from) = (f64::INFINITY, 0);
            for n in 0..width {
                next[n] = least + n as f64 * start;
                came[row + n] = from as u16;
                let here = value[n] - n as f64 * start;
                if here < least {
                    (least, from) = (here, n);
                }
            }
            let (mut least, mut from) = (f64::INFINITY, 0);
            for n in (0..width).rev() {
                if value[n] <= least {
                    (least, from) = (value[n], n);
                }
                if least <= next[n] || stage == 0 {
                    next[n] = if stage == 0 { 0.0 } else { least };
                    came[row + n] = if stage == 0 { n as u16 } else { from as u16 };
                }
                next[n] += (n * self.step) as f64 + price * f64::from(self.late[row + n]);
            }
            std::mem::swap(&mut value, &mut next);
        }
        let (last, total) =
            value.iter().enumerate().fold((0, f64::INFINITY), |best, (n, v)| if *v < best.1 { (n, *v) } else { best });
        (self.walk(&came, last, start), total)
    }

    fn walk(&self, came: &[u16], last: usize, start: f64) -> Plan {
        let width = self.most + 1;
        let mut replicas = vec![0_u16; self.stages()];
        let mut here = last;
        for stage in (0..self.stages()).rev() {
            replicas[stage] = here as u16;
            here = usize::from(came[stage * width + here]);
        }
        self.priced(replicas, start)
    }

    /// A schedule with its cost; the replicas of the first stage are there from the beginning.
    #[must_use]
    pub fn priced(&self, replicas: Vec<u16>, start: f64) -> Plan {
        let late = replicas.iter().enumerate().map(|(stage, n)| self.late(stage, usize::from(*n))).sum();
        let seconds: f64 = replicas.iter().map(|n| f64::from(*n) * self.step as f64).sum();
        let starts: u64 = replicas.windows(2).map(|pair| u64::from(pair[1].saturating_sub(pair[0]))).sum();
        Plan { cost: seconds + starts as f64 * start, late, starts, replicas }
    }

    /// The bound where a share `tolerated` of answers may be late. `simulate` gives a plan's share in time.
    #[must_use]
    pub fn bound(&self, start: f64, tolerated: f64, simulate: &dyn Fn(&Plan) -> f64) -> Bound {
        let allowed = tolerated * self.requests;
        let (mut lower, mut best): (f64, Option<(Plan, f64)>) = (0.0, None);
        // The price of a late answer lies between nothing and the whole schedule.
        let (mut low, mut high) = (1e-4_f64, 1e6_f64);
        let mut bracket = (low, high);
        for _ in 0..26 {
            let price = (low * high).sqrt();
            let (plan, value) = self.plan(start, price);
            bracket =
                if plan.late > allowed { (price.max(bracket.0), bracket.1) } else { (bracket.0, price.min(bracket.1)) };
            lower = lower.max(value - price * allowed);
            let attained = simulate(&plan);
            let keeps = attained >= 1.0 - tolerated;
            let better = match &best {
                None => true,
                Some((known, share)) if *share < 1.0 - tolerated => keeps || plan.late < known.late,
                Some((known, _)) => keeps && plan.cost < known.cost,
            };
            if keeps {
                high = price
            } else {
                low = price
            }
            if better {
                best = Some((plan, attained));
            }
            if high / low < 1.02 {
                break;
            }
        }
        // The lower bound has its own best price. More of it never makes more late, so what is known already confines it.
        let (mut low, mut high) = bracket;
        while high / low > 1.05 {
            let price = (low * high).sqrt();
            let (plan, value) = self.plan(start, price);
            lower = lower.max(value - price * allowed);
            if plan.late > allowed { low = price } else { high = price }
        }
        let (plan, attainment) = best.unwrap_or_else(|| (self.priced(vec![0; self.stages()], start), 0.0));
        Bound { lower: lower.min(plan.cost), plan, attainment }
    }
}

/// Rates as means over the last `window` seconds.
#[must_use]
pub fn smooth(counts: &[u32], window: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let rate = |(index, count): (usize, &u32)| {
        sum += f64::from(*count);
        if index >= window {
            sum -= f64::from(counts[index - window]);
        }
        sum / window.min(index + 1) as f64
    };
    counts.iter().enumerate().map(rate).collect()
}

/// The rate at which n replicas answer most in time, and how many those are.
fn best(table: &Table, replicas: usize) -> (f64, f64) {
    if replicas == 0 {
        return (0.0, 0.0);
    }
    let throughput = replicas as f64 * table.throughput;
    (1..=200).map(|step| f64::from(step) / 200.0).fold((0.0, 0.0), |best, busy| {
        let good = busy * throughput * (1.0 - table.at(replicas as f64, busy).late);
        if good > best.1 { (busy * throughput, good) } else { best }
    })
}

/// The least share of answers that is late at this rate, if what is too much may be dropped.
fn share(table: &Table, replicas: usize, rate: f64, (most, good): (f64, f64)) -> f64 {
    if rate <= 0.0 {
        return f64::from(u8::from(replicas == 0));
    }
    if rate > most {
        return 1.0 - good / rate;
    }
    table.at(replicas as f64, rate / (replicas as f64 * table.throughput)).late
}

/// Replicas that each second needs for no more than a share `tolerated` to be late in it.
#[must_use]
pub fn need(trace: &Trace, table: &Table, tolerated: f64) -> Vec<f64> {
    let sizes = 400;
    let sustained: Vec<f64> =
        (0..=sizes).map(|n| if n == 0 { 0.0 } else { table.sustained(f64::from(n), tolerated) }).collect();
    let of = |rate: f64| sustained.partition_point(|most| *most < rate) as f64;
    smooth(&trace.counts, table.window).into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Every schedule of a small case.
    fn all(lateness: &Lateness, start: f64) -> Vec<Plan> {
        let (width, stages) = (lateness.most + 1, lateness.stages());
        let plan = |mut code: usize| {
            let digit = |_| {
                let digit = code % width;
                code /= width;
                digit as u16
            };
            lateness.priced((0..stages).map(digit).collect(), start)
        };
        (0..width.pow(stages as u32)).map(plan).collect()
    }

    fn small(seed: u64) -> Lateness {
        let mut random = Random::new(seed, 1);
        let mut late = Vec::new();
        for _ in 0..6 {
            let load = 40.0 * random.unit();
            late.extend((0..4).map(|n| (load - 14.0 * f64::from(n)).max(0.0) as f32));
        }
        let requests = late.iter().step_by(4).map(|all| f64::from(*all)).sum();
        Lateness::given(10, 3, requests, late)
    }

    #[test]
    fn the_programme_finds_the_best_of_all_schedules() {
        for seed in 0..6 {
            let lateness = small(seed);
            for (start, price) in [(0.0, 0.5), (15.0, 0.8), (40.0, 3.0)] {
                let (plan, value) = lateness.plan(start, price);
                let least = all(&lateness, start).iter().map(|p| p.cost + price * p.late).fold(f64::INFINITY, f64::min);
                assert!(
                    (value - least).abs() < 1e-6 && (plan.cost + price * plan.late - least).abs() < 1e-3,
                    "{seed} {start} {price}: {value} {least}"
                );
            }
        }
    }

    #[test]
    fn the_bound_is_below_every_schedule_that_keeps_the_objective() {
        for seed in 0..6 {
            let lateness = small(seed);
            for (start, tolerated) in [(15.0, 0.0), (15.0, 0.1), (40.0, 0.3)] {
                let share = |plan: &Plan| 1.0 - plan.late / lateness.requests;
                let bound = lateness.bound(start, tolerated, &share);
                let keeps = |plan: &&Plan| share(plan) >= 1.0 - tolerated;
                let least =
                    all(&lateness, start).iter().filter(keeps).map(|plan| plan.cost).fold(f64::INFINITY, f64::min);
                assert!(bound.lower <= least + 1e-3, "{seed} {start} {tolerated}: {} above {least}", bound.lower);
                assert!(bound.attainment >= 1.0 - tolerated && bound.plan.cost + 1e-3 >= least);
                assert!(bound.lower > 0.6 * least, "a bound that says nothing: {} of {least}", bound.lower);
            }
        }
    }
}
