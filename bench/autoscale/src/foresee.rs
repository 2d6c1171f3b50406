//! What it costs to keep an objective with a limited view of the future.

use crate::bound;
use crate::case::Case;
use crate::cell::Figure;
use crate::policy::schedule::Foresight;
use crate::world::{Beyond, Limits, race};
use std::sync::Arc;

/// Factors on the highest that has been seen, for what can't be seen.
const FACTORS: [f64; 6] = [1.0, 1.15, 1.35, 1.7, 2.5, 4.0];
/// Windows of what has been seen, in starts; and a long one in seconds.
const STARTS: [f64; 3] = [1.0, 4.0, 15.0];
const LONG: f64 = 8.0 * 3_600.0;
/// Shares of late answers in a second for which replicas are planned, times the share that may be late.
const SHARES: [f64; 4] = [1.0, 3.0, 0.3, 10.0];

/// The cheapest that sees ahead so many start times and keeps the objective, tuned in hindsight; nothing if none keeps it.
///
/// More of a factor is dearer and keeps more in time, so the least that is enough is found by halving.
#[must_use]
pub fn cheapest(case: &Case, starts: f64, asked: f64) -> Option<Figure> {
    let setup = case.setup(asked, false);
    let (start, tolerated) = (case.start.mean, 1.0 - asked / 100.0);
    let ahead = starts * start;
    let blind = ahead < start + 1.0;
    let mut windows: Vec<f64> = STARTS.iter().map(|starts| starts * start.max(15.0)).collect();
    windows.push(LONG);
    let mut best: Option<Figure> = None;
    for share in SHARES {
        let need = Arc::new(bound::need(&case.trace, &case.table, (share * tolerated).min(0.3)));
        for window in if blind { &windows[..] } else { &windows[..1] } {
            let factors = if blind { &FACTORS[..] } else { &FACTORS[..1] };
            let (mut low, mut high) = (0, factors.len());
            while low < high {
                let middle = (low + high) / 2;
                let mut policy = Foresight::new(need.clone(), ahead, start, *window, factors[middle]);
                let dollars = best.as_ref().map_or(f64::INFINITY, |known| known.dollars);
                let late = case.measured() * tolerated * (1.0 + 1e-9);
                match race(&setup, &mut policy, Limits { dollars, late }) {
                    Ok(outcome) if outcome.attainment >= asked / 100.0 => {
                        let figure = Figure::from(&outcome);
                        if figure.dollars < dollars {
                            best = Some(figure);
                        }
                        high = middle;
                    }
                    Ok(_) | Err(Beyond::Late) => low = middle + 1,
                    // More of it is dearer still.
                    Err(Beyond::Dollars) => high = middle,
                }
            }
        }
    }
    best
}
