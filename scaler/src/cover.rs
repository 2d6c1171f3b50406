//! Lateness that is the profile's fault: answers that came late while what was ready should have sufficed. Load that
//! changes within seconds, a slow neighbour, a pipeline that grew dearer: a profile knows none of it.

use crate::speeds::Speeds;
use crate::traffic::Answered;
use crate::{Objective, Service, Signals};

/// Seconds over which answers are gathered.
const SPAN: f64 = 30.0;
/// After too much load, what waits is answered late for some time.
const AFTER: f64 = 20.0;

/// Answers of times at which enough was ready.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cover {
    answered: Answered,
    from: f64,
    /// When less than enough was ready.
    short: f64,
}

impl Cover {
    /// Takes in the `answers` since the last pass; gives those of half a minute, once it is over.
    pub(crate) fn note(&mut self, now: f64, answers: Answered, enough: bool) -> Option<Answered> {
        if !enough {
            self.short = now;
        }
        if now - self.short >= AFTER {
            self.answered.add(answers);
        }
        if now - self.from < SPAN && now >= self.from {
            return None;
        }
        self.from = now;
        Some(std::mem::take(&mut self.answered)).filter(|answered| answered.all > 0.0)
    }
}

/// Whether what serves should sustain the load, with no more in flight than is served in time.
pub(crate) fn is_enough(service: &Service, signals: &Signals, objective: Option<Objective>) -> bool {
    let Some(objective) = objective else { return false };
    if signals.held > 0 {
        return false;
    }
    // Of many services most have nothing to serve at a time.
    if signals.arrivals_short <= 0.0 && signals.in_flight_mean <= 0.0 {
        return true;
    }
    let (capacity, _) = Speeds::of(service).serving(service);
    signals.arrivals_short <= capacity && signals.in_flight_mean <= capacity * objective.target
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Count;
    use crate::testing::*;

    #[test]
    fn answers_are_gathered_while_enough_is_ready() {
        let (mut cover, one) = (Cover::default(), Answered { all: 10.0, late: 1.0 });
        assert_eq!(cover.note(1_000.0, one, true), Some(one), "there was nothing before");
        for second in 1..30 {
            assert_eq!(cover.note(1_000.0 + f64::from(second), one, true), None);
        }
        assert_eq!(cover.note(1_030.0, one, true), Some(Answered { all: 300.0, late: 30.0 }));
        for second in 31..60 {
            cover.note(1_000.0 + f64::from(second), one, second != 35);
        }
        let after = cover.note(1_060.0, one, true).unwrap();
        assert_eq!(after.all, 10.0 * (4.0 + 6.0), "what waited is answered late for twenty seconds");
        assert_eq!(cover.note(1_090.0, Answered::default(), true), None, "nobody called");
    }

    #[test]
    fn enough_is_what_sustains_the_load_with_little_in_flight() {
        let mut service = service("s");
        let objective = service.plan.objective;
        let holds = |service: &Service, signals: Signals| is_enough(service, &signals, objective);
        let one = sustained(&service);
        assert!(holds(&service, load(0.9 * one)) && !holds(&service, load(1.1 * one)));
        assert!(!holds(&service, Signals { in_flight_mean: one, ..load(0.9 * one) }), "a queue is being worked off");
        assert!(!holds(&service, Signals { held: 1, ..load(0.9 * one) }));
        assert!(!is_enough(&service, &load(0.9 * one), None));
        service.replicas.insert(slot("r1", ONPREM), Count { desired: 1, ..Count::default() });
        assert!(!holds(&service, load(0.9 * one)), "it is asked for, not ready");
        service.replicas.insert(slot("r1", ONPREM), Count { desired: 1, bridging: 1, ..Count::default() });
        assert!(holds(&service, load(0.9 * one)), "a standby server answers in its place");
    }
}
