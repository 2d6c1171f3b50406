//! How much must be served: offered load, plus the backlog, in requests per second.

use crate::{Objective, Signals};

/// Fewer replicas only if load still fits with so much to spare: noise must not bring the replica back.
pub const MARGIN: f64 = 1.15;

/// What the service needs, and the figures behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Need {
    /// Requests per second that must be sustained now.
    pub rate: f64,
    /// Requests per second that must be sustained after a step down; `None`: not known, so no step down.
    pub floor: Option<f64>,
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
}

/// What ready replicas can do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ability {
    /// Requests per second of the ready replicas.
    pub rate: f64,
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
    let offered = signals.arrivals_short.max(signals.arrivals_long);
    let allowed = (objective.target - 2.0 * ability.lone).max(objective.target / 4.0);
    let waiting = signals.held as f64 + signals.queued.unwrap_or(0) as f64;
    let wait = if ability.rate > 0.0 { waiting / ability.rate } else { 0.0 };
    // What is started for a backlog comes after a start: to serve it sooner is in nobody's power.
    let excess = (waiting - ability.rate * allowed).max(0.0);
    let backlog = excess / objective.target.max(ability.start).max(1e-3);
    // Little's law: so many in flight, each within the target, is so high a rate. It counts only while answers are in
    // fact late, because slow clients keep requests in flight as well.
    let tolerated = 1.0 - objective.percentile / 100.0;
    let late = signals.late.is_some_and(|share| share > tolerated);
    let busy = if late { signals.in_flight_mean / objective.target } else { 0.0 };
    let driver = match (busy > offered + backlog, backlog > 0.0) {
        (true, _) => Driver::Late,
        (false, true) => Driver::Backlog,
        (false, false) => Driver::Arrivals,
    };
    let rate = (offered + backlog).max(busy);
    let floor = (signals.complete && !late && backlog == 0.0).then_some(rate.max(signals.arrivals_peak) * MARGIN);
    let quiet = signals.complete && offered == 0.0 && signals.in_flight == 0 && waiting == 0.0;
    let (held, in_flight, idle_for) = (signals.held, signals.in_flight, signals.idle_for);
    Some(Need { rate, floor, offered, wait, allowed, held, in_flight, idle_for, quiet, driver })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ability(rate: f64) -> Ability {
        Ability { rate, lone: 0.01, start: 5.0, objective: Some(Objective { percentile: 99.0, target: 0.1 }) }
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
        assert!((late.rate - 640.0).abs() < 1e-9);
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
