//! Runs beside the table: mixed pools, rarely used models, faults.

use crate::case::Case;
use crate::cell::Figure;
use crate::generate;
use crate::model::{SERVICES, ServiceModel, Start};
use crate::pods::PoolSetup;
use crate::policy::faults::Faults;
use crate::policy::law::Law;
use crate::rival::{self, Rival};
use crate::tables::Tables;
use crate::trace::Trace;
use crate::world::{Mode, Outcome, ServiceSetup, Setup, run};
use serde::Serialize;
use std::sync::Arc;

/// One line of a scenario's table.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What was run.
    pub name: String,
    /// Who decided.
    pub policy: String,
    /// What came of it.
    pub figure: Figure,
    /// Most accelerators held at once, by pool.
    pub most: Vec<u32>,
    /// What is promised of this line; empty: it is there to be compared with.
    pub rows: Vec<Row>,
}

/// One figure and its bound.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What is promised.
    pub what: String,
    /// The figure.
    pub is: f64,
    /// Its bound.
    pub bound: f64,
    /// Whether it is within it.
    pub kept: bool,
    /// What else is known of why it isn't.
    pub note: String,
}

impl Row {
    fn at_least(what: &str, is: f64, bound: f64) -> Self {
        Self { what: what.to_owned(), is, bound, kept: is >= bound, note: String::new() }
    }

    fn at_most(what: &str, is: f64, bound: f64) -> Self {
        Self { what: what.to_owned(), is, bound, kept: is <= bound, note: String::new() }
    }
}

fn line(name: &str, policy: &str, outcome: &Outcome) -> Line {
    let (name, policy) = (name.to_owned(), policy.to_owned());
    Line { name, policy, figure: Figure::from(outcome), most: outcome.most.clone(), rows: Vec::new() }
}

/// What the law may cost on mixed pools: of an HPA that fills L40S first, and of one whose order was found in hindsight.
const L40S_FIRST: f64 = 0.7;
const HINDSIGHT: f64 = 0.9;
/// Of rarely used models: the share of answers within 30 s, and the cost against six hours of keep-alive.
const RARE_IN_TIME: f64 = 0.98;
const RARE_COST: f64 = 0.3;
/// Models for which one standby server is kept.
const MODELS_EACH: usize = 12;

/// Prices of an L40S and an H100 of which some public cloud's list has each.
const LISTS: [(&str, f64, f64); 3] = [("H100 cheap", 1.9, 2.3), ("middle", 1.2, 3.0), ("L40S cheap", 0.8, 4.2)];

/// On premises: a few L40S at half the cloud's price. In the cloud: L40S, H100, and L40S on spot at 40 %, all with a
/// node to be ordered first.
fn mixed_pools(l40s: f64, h100: f64, start: f64) -> Vec<PoolSetup> {
    let pool = |name: &str, accelerator: &str, capacity, hourly| PoolSetup {
        accelerator: accelerator.to_owned(),
        ..PoolSetup::plain(name, capacity, hourly, Start::of(start))
    };
    vec![
        pool("l40s-onprem", "L40S", 3, l40s * 0.5),
        PoolSetup { grows: Some(120.0), ..pool("l40s-cloud", "L40S", 64, l40s) },
        PoolSetup { grows: Some(120.0), ..pool("h100-cloud", "H100", 64, h100) },
        PoolSetup { grows: Some(120.0), spot: Some(4.0 * 3_600.0), ..pool("l40s-spot", "L40S", 8, l40s * 0.4) },
    ]
}

/// A case on mixed pools.
fn mixed_setup(case: &Case, tables: &Tables, pools: Vec<PoolSetup>, percentile: f64) -> Setup {
    let [l40s, h100] = tables.of(&case.model).clone();
    let by_pool = pools.iter().map(|pool| if pool.accelerator == "H100" { h100.clone() } else { l40s.clone() });
    let mode = Mode::Fluid(vec![by_pool.collect()]);
    let mut setup = Setup { mode, pools, ..case.setup(percentile, false) };
    setup.services[0].initial = vec![2, 2, 0, 0];
    setup
}

/// The law on mixed pools against HPAs that fill pools in an order, each tuned in hindsight: L40S first (on premises,
/// cloud, spot, then H100), and the best of all orders.
#[must_use]
pub fn mixed(case: &Case, tables: &Tables, percentile: f64) -> Vec<Line> {
    let grid: Vec<Rival> = rival::grid().into_iter().filter(|rival| rival.family() == 0).step_by(3).collect();
    let mut lines = Vec::new();
    for (list, l40s, h100) in LISTS {
        let setup = mixed_setup(case, tables, mixed_pools(l40s, h100, case.start.mean), percentile);
        let name = format!("{} {} {} s, {list}", case.trace.name, case.model.name, case.start.mean);
        let law = run(&setup, &mut Law::new(&setup, Faults::default()));
        let mut law_line = line(&name, "law", &law);
        law_line.rows.push(Row::at_least("share in time", law.attainment, percentile / 100.0));
        let best = |order: &[usize]| {
            let tried = grid.iter().map(|rival| run(&setup, rival.policy(case.unit, order.to_vec()).as_mut()));
            let mut tried: Vec<Outcome> = tried.collect();
            tried.sort_by(|a, b| a.dollars.total_cmp(&b.dollars));
            let keeps = tried.iter().position(|outcome| outcome.attainment >= percentile / 100.0);
            let nearest = || {
                let by = |a: &(usize, &Outcome), b: &(usize, &Outcome)| a.1.attainment.total_cmp(&b.1.attainment);
                tried.iter().enumerate().max_by(by).map_or(0, |(index, _)| index)
            };
            let index = keeps.unwrap_or_else(nearest);
            (keeps.is_some(), tried.swap_remove(index))
        };
        let (_, first) = best(&[0, 1, 3, 2]);
        law_line.rows.push(Row::at_most("of the cost of an HPA, L40S first", law.dollars / first.dollars, L40S_FIRST));
        let orders = orders(4).into_iter().map(|order| (best(&order), order));
        let cheaper = |a: &((bool, Outcome), Vec<usize>), b: &((bool, Outcome), Vec<usize>)| {
            b.0.0.cmp(&a.0.0).then(a.0.1.dollars.total_cmp(&b.0.1.dollars))
        };
        if let Some(((_, hindsight), order)) = orders.min_by(cheaper) {
            let order: Vec<&str> = order.iter().map(|pool| setup.pools[*pool].name.as_str()).collect();
            let ratio = law.dollars / hindsight.dollars;
            law_line.rows.push(Row::at_most("of the cost of an HPA in the order of hindsight", ratio, HINDSIGHT));
            lines.push(law_line);
            lines.push(line(&name, "HPA, L40S first", &first));
            lines.push(line(&name, &format!("HPA, order of hindsight: {}", order.join(" ")), &hindsight));
        }
    }
    lines
}

/// All orders of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1);
    let with = |order: &Vec<usize>| {
        let order = order.clone();
        (0..count).map(move |place| {
            let mut longer = order.clone();
            longer.insert(place, count - 1);
            longer
        })
    };
    shorter.iter().flat_map(with).collect()
}

/// Rarely used models: the law with its default against six hours of keep-alive, by events. In time: within 30 s.
#[must_use]
pub fn rarely_used(models: usize, hours: f64, start: f64, seed: u64) -> Vec<Line> {
    let traces = generate::rarely_used(models, (hours * 3_600.0) as usize, seed);
    let kinds: [ServiceModel; 2] = [SERVICES[1], SERVICES[2]];
    let service = |(index, trace): (usize, Trace)| ServiceSetup {
        model: kinds[index % kinds.len()],
        trace: Arc::new(trace),
        target: 30.0,
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
    let name = format!("{models} rarely used models, start {start} s");
    let kept = run(&setup, &mut KeepAlive::new(&setup, 6.0 * 3_600.0));
    let judged = |setup: &Setup, policy: &str| {
        let law = run(setup, &mut Law::new(setup, Faults::default()));
        let note = format!("six hours of keep-alive reach {:.4}", kept.attainment);
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

/// The law under faults, one at a time, on two pools of L40S.
#[must_use]
pub fn faults(case: &Case, percentile: f64) -> Vec<Line> {
    let end = case.trace.seconds() as f64;
    let third = end / 3.0;
    let none = Faults::default;
    let pools = |second: fn(PoolSetup) -> PoolSetup| {
        let pool = |name: &str, hourly| PoolSetup {
            accelerator: "L40S".to_owned(),
            ..PoolSetup::plain(name, 64, hourly, case.start.clone())
        };
        vec![second(pool("first", 1.0)), pool("second", 1.2)]
    };
    let same: fn(PoolSetup) -> PoolSetup = |pool| pool;
    let runs: Vec<(&str, Faults, Vec<PoolSetup>)> = vec![
        ("no fault", none(), pools(same)),
        ("30 % of reports lost", Faults { loss: 0.3, ..none() }, pools(same)),
        ("reports 2 s late", Faults { delay: 2.0, ..none() }, pools(same)),
        ("one gateway silent for a third", Faults { silent: Some((1, third, 2.0 * third)), ..none() }, pools(same)),
        ("clocks 5 s apart", Faults { skew: 2.5, ..none() }, pools(same)),
        ("5 % of reports with NaN", Faults { nan: 0.05, ..none() }, pools(same)),
        (
            "the cheaper pool never provisions",
            none(),
            pools(|pool| PoolSetup { grows: Some(60.0), closed: Some((0.0, f64::INFINITY)), ..pool }),
        ),
        (
            "the cheaper pool is spot, taken back now and then, and vanishes for an hour",
            none(),
            pools(|pool| PoolSetup { spot: Some(7_200.0), closed: Some((7_200.0, 10_800.0)), ..pool }),
        ),
    ];
    let one = |(name, faults, pools): (&str, Faults, Vec<PoolSetup>)| {
        let mut setup = Setup { pools, ..case.setup(percentile, true) };
        let count = setup.services[0].initial[0];
        setup.services[0].initial = if name.starts_with("the cheaper") { vec![0, count] } else { vec![count, 0] };
        let mut law = Law::new(&setup, faults);
        let outcome = run(&setup, &mut law);
        let capacity = setup.pools.iter().map(|pool| pool.capacity);
        let beyond = law.asked.iter().zip(capacity).map(|(asked, most)| asked.saturating_sub(most)).max();
        let asked = law.asked.iter().sum::<u32>().saturating_sub(setup.services[0].max);
        let kept = Row::at_least("share in time", outcome.attainment, percentile / 100.0);
        let rows =
            vec![kept, Row::at_most("replicas asked for beyond a cap", f64::from(beyond.unwrap_or(0).max(asked)), 0.0)];
        let (trace, model, start) = (&case.trace.name, case.model.name, case.start.mean);
        Line { rows, ..line(&format!("{trace} {model} {start} s: {name}"), "law", &outcome) }
    };
    runs.into_iter().map(one).collect()
}
