//! Reports that are lost, late or broken, and pools that give nothing.

use super::{Line, Row, line};
use crate::case::Case;
use crate::pods::PoolSetup;
use crate::policy::faults::Faults;
use crate::policy::law::Law;
use crate::world::{Setup, run};

/// No fault may cost more than so many times what the law costs without one.
const DEAREST: f64 = 1.5;

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
        ("pods come to be seen 5 s after they are asked for", Faults { unseen: 5.0, ..none() }, pools(same)),
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
    let mut usual = None;
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
        let dearer = outcome.dollars / *usual.get_or_insert(outcome.dollars);
        let rows = vec![
            kept,
            Row::at_most("replicas asked for beyond a cap", f64::from(beyond.unwrap_or(0).max(asked)), 0.0),
            Row::at_most("cost, in times of that without a fault", dearer, DEAREST),
        ];
        let (trace, model, start) = (&case.trace.name, case.model.name, case.start.mean);
        Line { rows, ..line(&format!("{trace} {model} {start} s: {name}"), "law", &outcome) }
    };
    runs.into_iter().map(one).collect()
}
