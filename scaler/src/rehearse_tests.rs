use super::*;
use crate::profile::Sustained;
use crate::{Increase, State};

const LEAD: f64 = 60.0;
const START: i64 = 1_000_000;

fn terms() -> Terms {
    let objective = Some(Objective { percentile: 99.0, target: 0.4 });
    Terms { lead: LEAD, soonest: LEAD, sustained: Sustained::flat(10.0), least: 1.0, objective, patience: 0.3 }
}

/// A history of `rate` for some hours.
fn history(hours: i64, rate: impl Fn(i64) -> u64) -> History {
    let mut history = None;
    for second in START..START + hours * 3_600 {
        let (from, to) = (second as f64, (second + 1) as f64);
        History::add(&mut history, Increase { amount: rate(second), from, to });
    }
    history.unwrap()
}

fn rehearsed(history: &History, terms: Terms) -> Experience {
    let service = ServiceId::new("a", "s");
    let rehearsal =
        Rehearsal { service, history: history.clone(), terms, experience: Experience::default(), late: None };
    rehearsal.run().experience
}

/// What the policy says at the end of a history.
fn forecast(history: &History, experience: &Experience) -> f64 {
    let policy = experience.policy.unwrap();
    policy.multiplier * policy.expert.now(history, history.until, LEAD)
}

#[test]
fn steady_load_needs_little_more_than_itself() {
    let history = history(3, |second| 95 + (second * 7_919 % 11) as u64);
    let experience = rehearsed(&history, terms());
    let forecast = forecast(&history, &experience);
    assert!((70.0..115.0).contains(&forecast), "{forecast} {experience:?}");
}

#[test]
fn few_requests_that_come_by_chance_need_little_more_than_their_mean() {
    // Ten a second, each second by chance as a Poisson process has it.
    let mut state = 7u64;
    let mut chance = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut poisson = || {
        let (mut left, mut count) = (10.0f64.exp() * chance(), 0);
        while left > 1.0 {
            (left, count) = (left * chance(), count + 1);
        }
        count
    };
    let counts: Vec<u64> = (0..3 * 3_600).map(|_| poisson()).collect();
    let history = history(3, |second| counts[(second - START) as usize]);
    let objective = Some(Objective { percentile: 99.9, target: 2.0 });
    let experience = rehearsed(&history, Terms { lead: 5.0, sustained: Sustained::flat(1.0), objective, ..terms() });
    let forecast = forecast(&history, &experience);
    assert!((7.0..12.5).contains(&forecast), "{forecast} {:?}", experience.policy);
}

#[test]
fn bursts_that_come_again_are_waited_for() {
    // A minute in ten has five times the load: those who forget it in between are late each time.
    let history = history(4, |second| if second % 600 < 60 { 200 } else { 40 });
    let experience = rehearsed(&history, terms());
    let policy = experience.policy.unwrap();
    let forecast = forecast(&history, &experience);
    assert!((170.0..320.0).contains(&forecast), "{forecast} {policy:?}");
}

#[test]
fn with_fast_starts_bursts_are_followed() {
    let history = history(4, |second| if second % 1_800 < 600 { 200 } else { 40 });
    let slow = rehearsed(&history, Terms { lead: 300.0, ..terms() });
    let fast = rehearsed(&history, Terms { lead: 2.0, patience: 15.0, ..terms() });
    let (slow, fast) = (forecast(&history, &slow), forecast(&history, &fast));
    assert!(slow > 150.0 && fast < 100.0, "{slow} {fast}");
}

#[test]
fn an_objective_out_of_reach_buys_no_replicas_without_end() {
    // Nobody foretells these: a few seconds of five hundred times the load, now and then.
    let history = history(6, |second| if second % 4_999 < 20 { 20_000 } else { 40 });
    let objective = Some(Objective { percentile: 99.99, target: 0.4 });
    let forecast = forecast(&history, &rehearsed(&history, Terms { objective, ..terms() }));
    assert!(forecast < 10_000.0, "{forecast}");
}

#[test]
fn a_second_rehearsal_replays_only_what_is_new() {
    let history = history(2, |_| 50);
    let first = rehearsed(&history, terms());
    let rehearsal = |experience| Rehearsal {
        service: ServiceId::default(),
        history: history.clone(),
        terms: terms(),
        experience,
        late: None,
    };
    assert_eq!(rehearsal(first.clone()).run().experience, first);
    let other = Terms { lead: 200.0, ..terms() };
    let again = Rehearsal { terms: other, ..rehearsal(first.clone()) }.run().experience;
    assert_eq!(again.lead, 200.0, "with other starts the runs tell nothing");
    let text = serde_json::to_string(&first).unwrap();
    let read: Experience = serde_json::from_str(&text).unwrap();
    assert_eq!((read.policy, read.at), (first.policy, first.at));
    assert!(text.len() < 2_600, "{}", text.len());
}

#[test]
fn the_tolerance_follows_the_burn_within_bounds() {
    let terms = terms();
    let mut experience = Experience::default();
    (0..1_000).for_each(|_| experience.follow_burn(0.0, 100.0, &terms));
    assert_eq!(experience.tolerance, 3.0);
    experience.follow_burn(0.1, 100.0, &terms);
    assert!((1.1..2.0).contains(&experience.tolerance), "one bad quarter is no panic: {}", experience.tolerance);
    (0..1_000).for_each(|_| experience.follow_burn(0.02, 100.0, &terms));
    assert_eq!(experience.tolerance, 0.1);
    experience.follow_burn(f64::NAN, 100.0, &terms);
    assert_eq!(experience.tolerance, 0.1);
}

#[test]
fn it_is_due_when_it_is_old_enough() {
    assert!(!is_due(10_000.0, 1_799.0, 0.0));
    assert!(is_due(10_000.0, 1_800.0, 0.0));
    assert!(!is_due(10_000.0, 7_000.0, 9_100.0));
    assert!(is_due(10_000.0, 7_000.0, 9_000.0));
    assert!(is_due(10_000.0, 7_000.0, 99_000.0), "a clock that was set back");
}

#[test]
fn a_state_rehearses_each_service_in_its_turn() {
    let mut state = State::new(&[0.1]);
    for number in 0..5 {
        let service = ServiceId::new("a", &number.to_string());
        let known = state.known(&service);
        known.traffic.history = Some(history(1, |_| 50));
        let mut experience = Experience::default();
        experience.at = f64::from(number);
        known.experience = experience;
        known.terms = Some(terms());
    }
    let now = (START + 3_600) as f64;
    let due: Vec<_> = state.due(now, 2).into_iter().map(|rehearsal| rehearsal.service.name.to_string()).collect();
    assert_eq!(due, ["0", "1"], "who waits longest is first");
    state.rehearse(now, 3);
    assert_eq!(state.due(now, 9).len(), 2);
    assert!(state.services[&ServiceId::new("a", "0")].experience.policy.is_some());
}
