//! What comes late for whoever must see load before being ready for it: the first burst of its height finds nobody.

use crate::trace::Trace;

/// Times the highest load so far that such a policy is ready for at most.
pub const AHEAD: f64 = 2.0;
/// Seconds over which a load is told.
const BIN: usize = 10;

/// The share of the requests from second `from` on that come on top of [`AHEAD`] times the highest load, over ten seconds, of
/// all that came until a start of `start` seconds before (in whole bins, the shorter): replicas for them were asked for too
/// late, if at all. An estimate: what a replica does beyond what it sustains, and what waits and is in time, isn't in it.
#[must_use]
pub fn unseen(trace: &Trace, from: usize, start: f64) -> f64 {
    let loads: Vec<f64> = trace.counts.chunks(BIN).map(|bin| bin.iter().map(|count| f64::from(*count)).sum()).collect();
    let (first, lag) = (from / BIN, (start / BIN as f64) as usize);
    let mut seen = loads.iter().take(first).fold(0.0, |seen: f64, load| seen.max(*load));
    let (mut late, mut all) = (0.0, 0.0);
    for (index, load) in loads.iter().enumerate().skip(first) {
        seen = index.checked_sub(lag).map_or(seen, |told| seen.max(loads[told]));
        late += (load - AHEAD * seen).max(0.0);
        all += load;
    }
    if all > 0.0 { late / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_burst_is_unseen_and_only_until_a_start_has_passed() {
        // 10/s, and twice 100/s for two minutes.
        let burst = |second: usize| (3_000..3_120).contains(&second) || (6_000..6_120).contains(&second);
        let trace = Trace::new("t", (0..9_000).map(|second| if burst(second) { 100 } else { 10 }).collect(), "");
        let all = f64::from(trace.counts[600..].iter().sum::<u32>());
        let late = 60.0 * (100.0 - 20.0);
        assert!((unseen(&trace, 600, 60.0) - late / all).abs() < 1e-9);
        assert!((unseen(&trace, 600, 300.0) - 2.0 * late / all).abs() < 1e-9, "it is over before anybody is ready");
        assert_eq!(unseen(&trace, 3_120, 60.0), 0.0, "it was seen before the measure begins");
    }
}
