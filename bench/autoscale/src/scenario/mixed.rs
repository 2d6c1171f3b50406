//! H100 and L40S, on premises, in the cloud and on spot.

use super::{Line, Row, line};
use crate::bound::Plan;
use crate::case::Case;
use crate::model::Start;
use crate::pods::PoolSetup;
use crate::policy::faults::Faults;
use crate::policy::law::Law;
use crate::rival::{self, Rival};
use crate::tables::Tables;
use crate::world::{Mode, Outcome, Setup, run};

/// What the law may cost: of an HPA that fills L40S first, and of one whose order was found in hindsight.
const L40S_FIRST: f64 = 0.7;
const HINDSIGHT: f64 = 0.9;

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
    let lateness = case.lateness();
    let plan = case.bound(&lateness, 1.0 - percentile / 100.0).plan;
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
            let row = Row::at_most("of the cost of an HPA in the order of hindsight", ratio, HINDSIGHT);
            let known = priced(&plan, lateness.step as f64, case, &setup.pools) / hindsight.dollars;
            let spared = unspoilt(&setup);
            let note = format!(
                "had no spot accelerator been taken from it, the law would cost {:.2} of the same HPA ({:.2} % in time); a schedule that also knows all arrivals about {known:.2}",
                spared.dollars / hindsight.dollars,
                spared.attainment * 100.0
            );
            law_line.rows.push(Row { note, ..row });
            lines.push(law_line);
            lines.push(line(&name, "HPA, L40S first", &first));
            lines.push(line(&name, &format!("HPA, order of hindsight: {}", order.join(" ")), &hindsight));
        }
    }
    lines
}

/// The law where spot accelerators cost the same, and none is taken back.
fn unspoilt(setup: &Setup) -> Outcome {
    let pools = setup.pools.iter().map(|pool| PoolSetup { spot: None, ..pool.clone() }).collect();
    let setup = Setup { pools, ..setup.clone() };
    run(&setup, &mut Law::new(&setup, Faults::default()))
}

/// Dollars of a schedule of L40S with each replica where one costs least for what it does: an H100 stands for as many L40S as it
/// is faster, and for part of one if no more is needed.
fn priced(plan: &Plan, step: f64, case: &Case, pools: &[PoolSetup]) -> f64 {
    let room = |pool: &PoolSetup| {
        let faster = pool.speed(&case.model);
        (pool.hourly / faster, f64::from(pool.capacity) * faster)
    };
    let mut rooms: Vec<(f64, f64)> = pools.iter().map(room).collect();
    rooms.sort_by(|a, b| a.0.total_cmp(&b.0));
    let hourly = |replicas: u16| {
        let mut left = f64::from(replicas);
        let part = |(price, room): &(f64, f64)| {
            let here = left.min(*room);
            left -= here;
            here * price
        };
        let within = rooms.iter().map(part).sum::<f64>();
        within + left * rooms.last().map_or(0.0, |(price, _)| *price)
    };
    let held = plan.replicas.iter().map(|replicas| hourly(*replicas) * step);
    let started = plan.replicas.windows(2).map(|pair| (hourly(pair[1]) - hourly(pair[0])).max(0.0) * case.start.mean);
    held.chain(started).sum::<f64>() / 3_600.0
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
