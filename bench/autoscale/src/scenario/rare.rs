//! Rarely used models, beside a KEDA that keeps each for six hours.

use super::{Line, Row, line};
use crate::generate;
use crate::model::{SERVICES, ServiceModel, Start};
use crate::pods::PoolSetup;
use crate::policy::faults::Faults;
use crate::policy::law::Law;
use crate::trace::Trace;
use crate::world::{Mode, ServiceSetup, Setup, run};
use std::sync::Arc;

/// Seconds in which an answer is in time, the share that must be, and the cost against six hours of keep-alive.
const WITHIN: f64 = 30.0;
const RARE_IN_TIME: f64 = 0.98;
const RARE_COST: f64 = 0.3;
/// Models for which one standby server is kept.
const MODELS_EACH: usize = 12;
/// Seconds.
const HOUR: f64 = 3_600.0;

/// Rarely used models: the law with its default against six hours of keep-alive, by events. In time: within 30 s.
#[must_use]
pub fn rarely_used(models: usize, hours: f64, start: f64, seed: u64) -> Vec<Line> {
    let traces = generate::rarely_used(models, (hours * HOUR) as usize, seed);
    let kinds: [ServiceModel; 2] = [SERVICES[1], SERVICES[2]];
    let service = |(index, trace): (usize, Trace)| ServiceSetup {
        model: kinds[index % kinds.len()],
        trace: Arc::new(trace),
        target: WITHIN,
        percentile: 98.0,
        min: 0,
        max: 2,
        idle_after: 300.0,
        initial: vec![0],
    };
    let setup = Setup {
        services: traces.into_iter().enumerate().map(service).collect(),
        pools: vec![PoolSetup::plain("l40s", 2 * models as u32, crate::model::PRICES.l40s, Start::of(start))],
        mode: Mode::Events,
        warm_up: 0.0,
        patience: 600.0,
        tick: 1.0,
        seed,
        series: false,
    };
    let traces = setup.services.iter().map(|service| service.trace.as_ref());
    let hours = held_at_least(traces, Start::of(start).assigned() - WITHIN, 1.0 - RARE_IN_TIME);
    let name = format!("{models} rarely used models, start {start} s");
    let kept = run(&setup, &mut KeepAlive::new(&setup, 6.0 * HOUR));
    let least = hours * crate::model::PRICES.l40s / kept.dollars;
    let judged = |setup: &Setup, policy: &str| {
        let law = run(setup, &mut Law::new(setup, Faults::default()));
        let note = format!(
            "six hours of keep-alive reach {:.4}; without foresight it costs at least {:.2} of them",
            kept.attainment, least
        );
        let rows = vec![
            Row { note, ..Row::at_least("share within 30 s", law.attainment, RARE_IN_TIME) },
            Row::at_most("of the cost of six hours of keep-alive", law.dollars / kept.dollars, RARE_COST),
        ];
        Line { rows, ..line(&name, policy, &law) }
    };
    let alone = Line { rows: Vec::new(), ..judged(&setup, "law, no standby") };
    let standby = models.div_ceil(MODELS_EACH) as u32;
    let mut shared = setup.clone();
    shared.pools[0].standby = standby;
    let shared = judged(&shared, &format!("law, {standby} standby servers"));
    vec![shared, alone, line(&name, "six hours of keep-alive", &kept)]
}

/// Hours that replicas are held at least by whoever knows nothing ahead, for no more than this share of requests to be late.
/// Who lets a model go before a request is `late` seconds late for that one and for those that follow it so closely, even if a
/// standby server takes it at once. So each gap between requests is held through or costs late answers, and the dearest for
/// each late answer are let go (the last of them in part, as in a fractional knapsack: no whole choice is cheaper). Gaps
/// that aren't longer than that cost nothing here: so no request is lost twice.
fn held_at_least<'a>(traces: impl Iterator<Item = &'a Trace>, late: f64, share: f64) -> f64 {
    let (mut gaps, mut requests) = (Vec::new(), 0);
    let late = late.max(0.0) as usize;
    for trace in traces {
        let called = (0..trace.counts.len()).filter(|second| trace.counts[*second] > 0);
        let mut last = 0;
        for second in called {
            if second - last > late {
                let lost: u32 = trace.counts[second..].iter().take(late).sum();
                gaps.push(((second - last) as f64, f64::from(lost)));
            }
            last = second;
        }
        requests += trace.total();
    }
    let mut allowed = requests as f64 * share;
    gaps.sort_by(|a, b| (b.0 / b.1).total_cmp(&(a.0 / a.1)));
    let held = |(gap, lost): (f64, f64)| {
        let part = if lost > 0.0 { (allowed / lost).min(1.0) } else { 1.0 };
        allowed -= lost * part;
        gap * (1.0 - part)
    };
    gaps.into_iter().map(held).sum::<f64>() / HOUR
}

/// Each service by itself under a KEDA that keeps one replica for so long.
struct KeepAlive {
    each: Vec<f64>,
    keep: f64,
    seen: Vec<f64>,
}

impl KeepAlive {
    fn new(setup: &Setup, keep: f64) -> Self {
        let services = setup.services.len();
        Self { each: vec![f64::NEG_INFINITY; services], keep, seen: vec![0.0; services] }
    }
}

impl crate::world::Policy for KeepAlive {
    fn decide(&mut self, now: f64, scene: &crate::world::Scene<'_>, want: &mut [Vec<u32>]) {
        for (index, live) in scene.live.iter().enumerate() {
            if live.ledger.arrivals > self.seen[index] {
                (self.each[index], self.seen[index]) = (now, live.ledger.arrivals);
            }
            want[index][0] = u32::from(now - self.each[index] < self.keep);
        }
    }

    fn woken(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_held_through_or_cost_late_answers() {
        let mut counts = vec![0; 10_000];
        for second in [1_000, 1_010, 1_020, 9_000] {
            counts[second] = 1;
        }
        let trace = Trace::new("t", counts, "");
        let hours = |late, share| held_at_least(std::iter::once(&trace), late, share) * HOUR;
        assert_eq!(hours(-5.0, 0.0), 0.0, "a standby server is in time");
        assert_eq!(
            hours(60.0, 0.0),
            1_000.0 + 7_980.0,
            "held from the start to the last request, but for what is short"
        );
        assert_eq!(hours(60.0, 0.25), 1_000.0, "one of four may be late: that after the longest gap");
        assert_eq!(hours(60.0, 0.5), 1_000.0 * (1.0 - 1.0 / 3.0), "the first gap costs three late answers");
        assert_eq!(hours(60.0, 1.0), 0.0);
    }
}
