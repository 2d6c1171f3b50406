//! How much must be served: offered load, plus the backlog, in requests per second.

use crate::noise::sure_peak;
use crate::{Objective, Signals};

/// Fewer replicas only if load still fits with so much to spare: noise must not bring the replica back.
pub const MARGIN: f64 = 1.15;
/// The same where a forecast says what may come: it has its own margin.
const FORECAST_MARGIN: f64 = 1.03;
/// While answers are late, requests in flight ask for no more than so many times what there is: with more replicas the
/// figure will be another.
const LATE_GROWTH: f64 = 2.0;

/// What the service needs, and the figures behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Need {
    /// Requests per second that must be sustained now.
    pub rate: f64,
    /// Requests per second that must be sustained after a step down; `None`: not known, so no step down.
    pub floor: Option<f64>,
    /// Requests per second that the floor rests on.
    pub ground: f64,
    /// Requests per second that arrive.
    pub offered: f64,
    /// Seconds that the backlog waits at the present capacity.
    pub wait: f64,
    /// Seconds that it may wait.
    pub allowed: f64,
    /// Requests that wait for a replica.
    pub held: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Proven seconds without a request.
    pub idle_for: Option<f64>,
    /// Nothing arrives and nothing is under way, as far as all gateways know.
    pub quiet: bool,
    /// Whether the backlog decided, or requests in flight.
    pub driver: Driver,
}

/// Which figure decided the need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The rate of arrivals.
    #[default]
    Arrivals,
    /// Queued and held requests.
    Backlog,
    /// Requests in flight, while answers come too late.
    Late,
    /// What may come by the time that a replica has started.
    Forecast,
}

/// What ready replicas can do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ability {
    /// Requests per second of the ready replicas.
    pub rate: f64,
    /// The same once all that was asked for is ready; `None`: no answer is late, or there is one pool alone, where more than
    /// that serves better.
    pub asked: Option<f64>,
    /// How many are ready.
    pub ready: f64,
    /// Seconds of a lone request.
    pub lone: f64,
    /// Seconds that a start takes.
    pub start: f64,
    /// The objective.
    pub objective: Option<Objective>,
}

/// The need that `signals` speak of; `None`: nothing is known.
#[must_use]
pub fn need(signals: Option<&Signals>, ability: Ability) -> Option<Need> {
    let signals = signals?.sound()?;
    let objective = ability.objective?;
    let offered = offered(signals);
    let allowed = (objective.target - 2.0 * ability.lone).max(objective.target / 4.0);
    let waiting = signals.held as f64 + signals.queued.unwrap_or(0) as f64;
    let wait = if ability.rate > 0.0 { waiting / ability.rate } else { 0.0 };
    // What is started for a backlog comes after a start: to serve it sooner is in nobody's power.
    let excess = (waiting - ability.rate * allowed).max(0.0);
    let backlog = excess / objective.target.max(ability.start).max(1e-3);
    let late = is_late(signals, objective, ability);
    // Where too little is ready, and what is on its way works off what waits as fast as it piles up until then, late answers
    // ask for nothing more.
    let missing = backlog.max(offered - ability.rate);
    let awaited = ability.asked.is_some_and(|asked| ability.rate < asked && asked >= offered + missing);
    // Little's law: so many in flight, each within the target, is so high a rate. It counts only while answers are in
    // fact late, because slow clients keep requests in flight as well.
    let busy = if late && !awaited { signals.in_flight_mean / objective.target } else { 0.0 };
    let busy = busy.min(LATE_GROWTH * (offered + backlog).max(ability.rate));
    let forecast = signals.forecast.unwrap_or(0.0);
    let rate = (offered + backlog).max(busy).max(forecast);
    let driver = match rate {
        rate if busy >= rate && busy > 0.0 => Driver::Late,
        rate if forecast >= rate && forecast > 0.0 && forecast > offered => Driver::Forecast,
        _ if backlog > 0.0 => Driver::Backlog,
        _ => Driver::Arrivals,
    };
    // Without a forecast the highest of the last start stands in for it.
    let (ground, margin) = match signals.forecast {
        Some(_) => (rate, FORECAST_MARGIN),
        None => (rate.max(signals.arrivals_peak), MARGIN),
    };
    let quiet = signals.complete && offered == 0.0 && signals.in_flight == 0 && waiting == 0.0;
    let settled = !late && backlog == 0.0 && (quiet || !signals.young);
    let floor = (signals.complete && settled).then_some(ground * margin);
    let (held, in_flight, idle_for) = (signals.held, signals.in_flight, signals.idle_for);
    Some(Need { rate, floor, ground, offered, wait, allowed, held, in_flight, idle_for, quiet, driver })
}

/// What arrives. Where a forecast covers what may come, ten seconds count beyond a minute only as far as they are sure.
fn offered(signals: &Signals) -> f64 {
    let short = signals.arrivals_short;
    let short = if signals.forecast.is_some() { sure_peak(short) } else { short };
    short.max(signals.arrivals_long)
}

/// Whether more answers are late than may be, and for want of capacity: with fewer than one request in flight for
/// each replica, more replicas won't help.
fn is_late(signals: &Signals, objective: Objective, ability: Ability) -> bool {
    let tolerated = 1.0 - objective.percentile / 100.0;
    signals.late.is_some_and(|share| share > tolerated) && signals.in_flight_mean >= ability.ready
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ability(rate: f64) -> Ability {
        Ability {
            rate,
            asked: None,
            ready: 1.0,
            lone: 0.01,
            start: 5.0,
            objective: Some(Objective { percentile: 99.0, target: 0.1 }),
        }
    }

    fn calm() -> Signals {
        Signals { complete: true, arrivals_short: 8.0, arrivals_long: 10.0, arrivals_peak: 12.0, ..Signals::default() }
    }

    #[test]
    fn offered_load_is_the_higher_window() {
        let need = need(Some(&calm()), ability(50.0)).unwrap();
        assert_eq!((need.rate, need.driver), (10.0, Driver::Arrivals));
        assert!((need.floor.unwrap() - 12.0 * MARGIN).abs() < 1e-9);
    }

    #[test]
    fn backlog_adds_and_forbids_a_step_down() {
        let need = need(Some(&Signals { queued: Some(54), ..calm() }), ability(50.0)).unwrap();
        // 80 ms are allowed: 4 of 54 may wait; the rest is to be gone in one start of 5 s.
        assert!((need.rate - 20.0).abs() < 1e-9, "{need:?}");
        assert_eq!((need.driver, need.floor), (Driver::Backlog, None));
    }

    #[test]
    fn in_flight_counts_only_while_answers_are_late() {
        let busy = Signals { in_flight: 64, in_flight_mean: 64.0, late: Some(0.005), ..calm() };
        assert_eq!(need(Some(&busy), ability(50.0)).unwrap().driver, Driver::Arrivals);
        let late = need(Some(&Signals { late: Some(0.5), ..busy }), ability(50.0)).unwrap();
        assert_eq!((late.driver, late.floor), (Driver::Late, None));
        assert!((late.rate - 100.0).abs() < 1e-9, "twice what there is: {late:?}");
        let idle = Signals { late: Some(0.5), in_flight_mean: 0.8, ..calm() };
        assert!(need(Some(&idle), ability(50.0)).unwrap().floor.is_some(), "more replicas won't help");
    }

    #[test]
    fn late_answers_ask_for_nothing_more_while_enough_is_on_its_way() {
        let late = Signals { in_flight: 64, in_flight_mean: 64.0, late: Some(0.5), ..calm() };
        let driver = |asked| need(Some(&late), Ability { asked, ..ability(8.0) }).unwrap().driver;
        assert_eq!(driver(Some(16.0)), Driver::Arrivals);
        assert_eq!(driver(Some(11.0)), Driver::Late, "that will be too little");
        assert_eq!(driver(Some(8.0)), Driver::Late, "nothing is on its way");
        assert_eq!(driver(None), Driver::Late, "there is one pool alone");
    }

    #[test]
    fn a_forecast_is_the_least_to_be_ready_for() {
        let calm = Signals { forecast: Some(30.0), ..calm() };
        let ready = need(Some(&calm), ability(50.0)).unwrap();
        assert_eq!((ready.rate, ready.driver), (30.0, Driver::Forecast));
        assert!((ready.floor.unwrap() - 30.9).abs() < 1e-9, "the peak is the forecast's business");
        let burst = Signals { arrivals_short: 90.0, ..calm.clone() };
        let ready = need(Some(&burst), ability(50.0)).unwrap();
        assert!(ready.rate == 85.5 && ready.driver == Driver::Arrivals, "{ready:?}");
        let noise = Signals { arrivals_short: 13.0, arrivals_long: 12.0, forecast: Some(5.0), ..calm };
        assert_eq!(need(Some(&noise), ability(50.0)).unwrap().rate, 12.0);
    }

    #[test]
    fn a_young_service_keeps_what_it_has_while_anybody_calls() {
        let young = Signals { young: true, ..calm() };
        assert_eq!(need(Some(&young), ability(50.0)).unwrap().floor, None);
        let silent = Signals { arrivals_short: 0.0, arrivals_long: 0.0, arrivals_peak: 0.0, ..young };
        assert!(need(Some(&silent), ability(50.0)).unwrap().floor.is_some());
    }

    #[test]
    fn nothing_known_is_not_zero() {
        assert_eq!(need(None, ability(1.0)), None);
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(need(Some(&Signals { arrivals_short: bad, ..calm() }), ability(1.0)), None);
            assert_eq!(need(Some(&Signals { in_flight_mean: bad, ..calm() }), ability(1.0)), None);
        }
        assert_eq!(need(Some(&Signals { complete: false, ..calm() }), ability(50.0)).unwrap().floor, None);
    }
}
