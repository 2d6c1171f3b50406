//! The simulator as a whole: nothing is lost, the same seed gives the same run, the fluid agrees with events, rivals
//! behave as their documents say.

use millrace_autoscale::case::Case;
use millrace_autoscale::cell::{Longer, cells};
use millrace_autoscale::generate::Generator;
use millrace_autoscale::model::{SERVICES, Start};
use millrace_autoscale::policy::faults::Faults;
use millrace_autoscale::policy::hpa::{self, Hpa, Metric};
use millrace_autoscale::policy::keda::{self, Keda};
use millrace_autoscale::policy::kpa::{self, Kpa};
use millrace_autoscale::policy::law::Law;
use millrace_autoscale::policy::unit::Unit;
use millrace_autoscale::queue::table::Table;
use millrace_autoscale::replay::replay;
use millrace_autoscale::report::Table as Report;
use millrace_autoscale::rival::{self, Rival};
use millrace_autoscale::search::Search;
use millrace_autoscale::trace::Trace;
use millrace_autoscale::world::{Beyond, Limits, Outcome, Policy, Scene, Setup, race, run};
use std::sync::Arc;
use std::sync::LazyLock;

/// Images: eighty requests a second at most from each replica.
static IMAGES: LazyLock<Arc<Table>> =
    LazyLock::new(|| Arc::new(Table::measure(SERVICES[2].curve, SERVICES[2].target, 4_000)));

fn case(trace: Trace, start: f64) -> Case {
    Case::new(Arc::new(trace), SERVICES[2], Start::of(start), IMAGES.clone(), 3)
}

fn steady(seconds: usize, rate: u32) -> Trace {
    Trace::new("steady", vec![rate; seconds], "")
}

fn law(setup: &Setup, faults: Faults) -> Outcome {
    run(setup, &mut Law::new(setup, faults))
}

/// Keeps a number.
struct Fixed(u32);

impl Policy for Fixed {
    fn decide(&mut self, _: f64, _: &Scene<'_>, want: &mut [Vec<u32>]) {
        want[0][0] = self.0;
    }
}

/// Notes the number asked for in each second.
struct Watched<P> {
    policy: P,
    seen: Vec<u32>,
}

impl<P: Policy> Policy for Watched<P> {
    fn decide(&mut self, now: f64, scene: &Scene<'_>, want: &mut [Vec<u32>]) {
        self.policy.decide(now, scene, want);
        self.seen.push(want[0].iter().sum());
    }

    fn woken(&self) -> bool {
        self.policy.woken()
    }
}

fn watched(setup: &Setup, policy: impl Policy) -> Vec<u32> {
    let mut watched = Watched { policy, seen: Vec::new() };
    let _ = run(setup, &mut watched);
    watched.seen
}

#[test]
fn no_request_is_lost() {
    for generator in [Generator::Flash, Generator::OnOff] {
        let case = case(generator.trace(2_400, 120.0, 2), 30.0);
        for events in [true, false] {
            let outcome = law(&case.setup(99.0, events), Faults::default());
            assert!(outcome.lost.abs() < 1e-3, "{generator:?} {events}: {}", outcome.lost);
            assert!(outcome.requests > 0.0 && outcome.in_time > 0.0);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let case = case(Generator::Bursty.trace(1_200, 100.0, 2), 15.0);
    let one = |seed| {
        let mut setup = case.setup(99.0, true);
        setup.seed = seed;
        law(&setup, Faults { loss: 0.2, ..Faults::default() })
    };
    let (first, again, other) = (one(1), one(1), one(2));
    assert_eq!((first.in_time, first.dollars, first.starts), (again.in_time, again.dollars, again.starts));
    assert_ne!((first.in_time, first.dollars), (other.in_time, other.dollars));
}

#[test]
fn the_bill_is_replicas_times_seconds() {
    let case = case(steady(7_200, 100), 30.0);
    let outcome = run(&case.setup(99.0, true), &mut Fixed(4));
    let expected = 4.0 * (7_200.0 - 600.0) / 3_600.0;
    assert!((outcome.hours[0] - expected).abs() < 1e-6, "{:?} instead of {expected}", outcome.hours);
}

/// Diurnal load under a well-set HPA: cost within 1 %, share in time within one point in a hundred.
#[test]
fn the_fluid_agrees_with_events() {
    let case = case(Generator::Diurnal.trace(4 * 3_600, 200.0, 2), 30.0);
    let settings = hpa::Settings { metric: Metric::Rate, target: 0.7, window: 30.0, stabilization: 300.0, min: 1 };
    let hpa = |events| run(&case.setup(99.0, events), &mut Hpa::new(settings, case.unit, vec![0]));
    let (exact, fluid) = (hpa(true), hpa(false));
    assert!((fluid.dollars / exact.dollars - 1.0).abs() < 0.01, "{} {}", fluid.dollars, exact.dollars);
    assert!((fluid.attainment - exact.attainment).abs() < 0.01, "{} {}", fluid.attainment, exact.attainment);
}

#[test]
fn the_clairvoyant_is_cheaper_than_a_fixed_number_and_keeps_the_objective() {
    let case = case(Generator::Mmpp.trace(7_200, 150.0, 2), 60.0);
    let lateness = case.lateness();
    let bound = case.bound(&lateness, 0.01);
    assert!(
        bound.attainment >= 0.99,
        "{} late {} of {}, {} of {}",
        bound.attainment,
        bound.plan.late,
        lateness.requests,
        bound.plan.cost,
        bound.lower
    );
    let enough = (1..60).find(|n| run(&case.setup(99.0, false), &mut Fixed(*n)).attainment >= 0.99).unwrap();
    let fixed = run(&case.setup(99.0, false), &mut Fixed(enough)).hours[0];
    assert!(bound.plan.cost / 3_600.0 < fixed, "{} {fixed}", bound.plan.cost / 3_600.0);
    let tighter = case.bound(&lateness, 0.001);
    assert!(tighter.plan.cost >= bound.plan.cost && tighter.lower >= bound.lower);
}

#[test]
fn hpa_waits_for_its_window_before_it_goes_down() {
    let mut counts = vec![300; 900];
    counts.extend(vec![60; 900]);
    let case = case(Trace::new("fall", counts, ""), 10.0);
    let settings = hpa::Settings { metric: Metric::Rate, target: 0.8, window: 15.0, stabilization: 300.0, min: 1 };
    let seen = watched(&case.setup(99.0, false), Hpa::new(settings, case.unit, vec![0]));
    assert!(seen[900] > 4, "{}", seen[900]);
    assert_eq!(seen[900], seen[1_190], "five minutes at the highest recommendation");
    assert!(seen[1_260] < seen[900]);
}

#[test]
fn keda_sleeps_after_its_cooldown_and_wakes_at_its_poll() {
    let counts = [vec![5; 60], vec![0; 900], vec![5; 60]].concat();
    let mut setup = case(Trace::new("nap", counts, ""), 5.0).setup(99.0, true);
    (setup.services[0].min, setup.warm_up) = (0, 0.0);
    let settings =
        keda::Settings { target: 0.7, activation: 0.0, cooldown: 300.0, window: 30.0, stabilization: 300.0, min: 0 };
    let seen = watched(&setup, Keda::new(settings, Unit::of(&IMAGES), vec![0]));
    assert!(seen[..360].iter().all(|replicas| *replicas >= 1), "awake until five minutes after the last request");
    assert!(seen[480..960].iter().all(|replicas| *replicas == 0));
    assert!(seen[995..].iter().all(|replicas| *replicas >= 1), "awake a poll after the first request");
}

#[test]
fn kpa_goes_to_zero_and_is_woken_at_once() {
    let counts = [vec![5; 60], vec![0; 300], vec![5; 60]].concat();
    let mut setup = case(Trace::new("nap", counts, ""), 5.0).setup(99.0, true);
    (setup.services[0].min, setup.warm_up) = (0, 0.0);
    let settings = kpa::Settings { target: 0.7, stable: 60.0, panic: 2.0, delay: 0.0, min: 0 };
    let seen = watched(&setup, Kpa::new(settings, Unit::of(&IMAGES), vec![0]));
    assert_eq!(seen[250], 0);
    assert!(seen[363] >= 1, "{:?}", &seen[358..366]);
}

#[test]
fn the_law_never_asks_for_more_than_its_ceiling_under_any_fault() {
    let case = case(Generator::Mmpp.trace(1_200, 200.0, 2), 15.0);
    for faults in [
        Faults { loss: 0.5, ..Faults::default() },
        Faults { nan: 0.3, ..Faults::default() },
        Faults { skew: 5.0, delay: 3.0, ..Faults::default() },
    ] {
        let mut setup = case.setup(99.0, true);
        setup.services[0].max = 6;
        let seen = watched(&setup, Law::new(&setup, faults));
        assert!(seen.iter().all(|replicas| (1..=6).contains(replicas)));
    }
}

#[test]
fn a_recorded_run_is_decided_again_as_it_was() {
    let case = case(Generator::Mmpp.trace(900, 200.0, 2), 15.0);
    let setup = case.setup(99.0, false);
    let mut law = Law::new(&setup, Faults::default()).recorded();
    let _ = run(&setup, &mut law);
    let mut passes = law.passes.unwrap();
    let written = |passes: &[millrace_scaler::Record]| {
        passes.iter().map(|pass| serde_json::to_string(pass).unwrap() + "\n").collect::<String>()
    };
    let again = replay(written(&passes).as_bytes()).unwrap();
    assert!(again.passes >= 900 && again.differences.is_empty(), "{:?}", again.differences.first());
    // Had it seen twenty times the load, it would have decided differently.
    for pass in &mut passes {
        if let Some(signals) = &mut pass.fleet.services[0].signals {
            signals.arrivals_short *= 20.0;
            signals.arrivals_long *= 20.0;
        }
    }
    assert!(!replay(written(&passes).as_bytes()).unwrap().differences.is_empty());
}

#[test]
fn a_race_ends_at_its_limits_and_else_changes_nothing() {
    let case = case(steady(1_200, 40), 5.0);
    let setup = case.setup(99.0, false);
    let settings = hpa::Settings { metric: Metric::Rate, target: 0.5, window: 30.0, stabilization: 60.0, min: 1 };
    let hpa = || Rival::Hpa(settings).policy(case.unit, vec![0]);
    let whole = run(&setup, hpa().as_mut());
    let within = |dollars: f64, late: f64| race(&setup, hpa().as_mut(), Limits { dollars, late });
    assert_eq!(within(whole.dollars, f64::INFINITY).unwrap().dollars, whole.dollars);
    assert_eq!(within(whole.dollars / 2.0, f64::INFINITY).unwrap_err(), Beyond::Dollars);
    assert_eq!(within(f64::INFINITY, -1.0).unwrap_err(), Beyond::Late);
}

#[test]
fn a_refined_search_is_never_worse_than_its_grid() {
    let case = case(steady(1_200, 40), 5.0);
    let grid: Vec<Rival> = rival::grid().into_iter().step_by(7).collect();
    let mut search = Search::new(&case, &grid);
    let cheapest = |search: &Search<'_>| {
        let reached = search.all().iter().filter(|(_, _, share)| *share >= 0.99);
        reached.map(|(_, dollars, _)| *dollars).fold(f64::INFINITY, f64::min)
    };
    let before = cheapest(&search);
    search.refine(99.0);
    assert!(cheapest(&search) <= before && before.is_finite());
    assert_eq!(search.common().len(), grid.len());
    assert!(search.all().len() > grid.len());
}

/// The table of one steady case.
fn table() -> Report {
    let case = case(steady(1_200, 40), 5.0);
    let grid: Vec<Rival> = rival::grid().into_iter().step_by(7).collect();
    let (cells, searched) = cells(&case, &grid, false);
    Report { cells, searched: vec![searched], notes: vec!["a".to_owned()], command: String::new() }
}

#[test]
fn what_is_missed_says_what_it_would_take() {
    let mut table = table();
    assert!(!table.markdown().contains("## Missed"));
    table.cells[0].law.attainment = 0.98;
    let of =
        |table: &Report| table.markdown().lines().find(|line| line.contains("98.000 to 98.000 %")).unwrap().to_owned();
    assert!(of(&table).contains("| - | - |"), "it was run no longer, and keeps no other start: {}", of(&table));
    table.cells[0].longer = Some(Longer { hours: 168.0, attainment: 0.995, dollars: 9.0 });
    assert!(of(&table).contains("| 99.500 to 99.500 % in 168 h (1 of 1) |"), "{}", of(&table));
    assert!(
        table.markdown().contains("1 missed; 1 of those not kept are over more hours | no |"),
        "{}",
        table.markdown()
    );
}

#[test]
fn tables_made_in_parts_join_to_one() {
    let part = table();
    let joined = Report::join(&[part.json(), part.json()], String::new()).unwrap();
    assert_eq!((joined.cells.len(), joined.searched.len(), joined.notes.len()), (4, 2, 2));
    assert!(joined.markdown().contains("| in time, 99 % | each | 2 of 2"), "{}", joined.markdown());
    let other = Report { searched: vec![vec![part.searched[0][0]]], ..part };
    assert!(Report::join(&[joined.json(), other.json()], String::new()).is_err());
}
