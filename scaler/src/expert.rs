//! Experts: simple ways to say what load comes next.

use crate::History;
use crate::series::Series;
use serde::{Deserialize, Serialize};

/// A way to forecast the load that holds when a replica that is asked for now is ready.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Expert {
    /// The highest ten seconds of the last so many seconds.
    Highest(f64),
    /// The mean of the last so many seconds; the second figure says for how long a forecast holds.
    Mean(f64, f64),
    /// The mean of the last so many seconds, and its trend carried on; held as long again.
    Trend(f64),
    /// What came at this time yesterday, scaled by the last hour against the same hour, and no less than the last minutes' mean.
    Yesterday,
}

/// Shortest and longest window that is asked for.
const SHORTEST: f64 = 10.0;
const LONGEST: f64 = DAY;
pub(crate) const DAY: f64 = 86_400.0;
/// Of a fine series, what lies further back than this is looked up in the day's bins.
const FAR: f64 = 3_600.0;

/// All experts for a service whose replicas start in `lead` seconds. Their number doesn't depend on it.
pub(crate) fn experts(lead: f64) -> Vec<Expert> {
    let span = |seconds: f64| seconds.clamp(SHORTEST, LONGEST);
    let spans = [10.0, 60.0, 180.0, 600.0, 1_800.0, 7_200.0, 28_800.0, DAY];
    let mut all: Vec<Expert> = spans.map(|s| Expert::Highest(span(s))).into();
    all.extend([5.0, 20.0].map(|starts| Expert::Highest(span(starts * lead))));
    for window in [span(lead.max(30.0)), span(5.0 * lead.max(30.0))] {
        all.extend([1.0, 5.0].map(|holds| Expert::Mean(window, span(holds * lead.max(30.0)))));
    }
    all.extend([4.0, 15.0].map(|starts| Expert::Trend(span(starts * lead.max(15.0)))));
    all.push(Expert::Yesterday);
    all
}

impl Expert {
    /// The forecast at `now`, not held.
    pub(crate) fn now(self, history: &History, now: f64, lead: f64) -> f64 {
        let mean = |from: f64, to: f64| history.mean_between(now - from, now - to).unwrap_or(0.0);
        match self {
            Self::Highest(span) => history.highest_between(now - span, now).unwrap_or(0.0),
            Self::Mean(span, _) => mean(span, 0.0),
            Self::Trend(span) => trend(mean(span, span / 2.0), mean(span / 2.0, 0.0), span, lead),
            Self::Yesterday => {
                let then = now - DAY;
                let usual = history.mean_between(then - 3_600.0, then);
                let coming = history.highest_between(then, then + lead + 120.0);
                yesterday(mean(300.0, 0.0), mean(3_600.0, 0.0), usual.zip(coming))
            }
        }
    }

    /// Seconds for which a forecast is held.
    pub(crate) fn hold(self) -> f64 {
        match self {
            Self::Highest(_) => 0.0,
            Self::Mean(_, hold) => hold,
            Self::Trend(span) => span,
            Self::Yesterday => 120.0,
        }
    }

    /// The held forecast at the end of each bin of a series.
    pub(crate) fn over(self, series: &Series, lead: f64) -> Vec<f32> {
        let bins = |seconds: f64| ((seconds / series.step).round() as usize).max(1);
        match self {
            Self::Highest(span) if span > FAR && series.is_fine() => {
                let far = highest(&series.day_high(), ((span / series.day_step()) as usize).max(1));
                let near = highest(&series.high, bins(FAR));
                let at = |(index, near): (usize, f32)| near.max(series.day_at(index).map_or(0.0, |day| far[day]));
                near.into_iter().enumerate().map(at).collect()
            }
            Self::Highest(span) => highest(&series.high, bins(span)),
            Self::Mean(span, hold) => highest(&means(&series.mean, bins(span)), bins(hold)),
            Self::Trend(span) => {
                let half = means(&series.mean, bins(span / 2.0));
                let back = bins(span / 2.0);
                let at = |index: usize| {
                    let before = index.checked_sub(back).map_or(half[0], |earlier| half[earlier]);
                    trend(f64::from(before), f64::from(half[index]), span, lead) as f32
                };
                highest(&(0..half.len()).map(at).collect::<Vec<_>>(), bins(span))
            }
            Self::Yesterday => {
                let (short, long) = (means(&series.mean, bins(300.0)), means(&series.mean, bins(3_600.0)));
                let at = |index: usize| {
                    let then = series.end_of(index) - DAY;
                    let known = series.yesterday(then, lead + 120.0);
                    yesterday(f64::from(short[index]), f64::from(long[index]), known) as f32
                };
                highest(&(0..short.len()).map(at).collect::<Vec<_>>(), bins(120.0))
            }
        }
    }
}

/// Half means of a window, carried on to the end of a start.
fn trend(before: f64, after: f64, span: f64, lead: f64) -> f64 {
    let slope = (after - before) / (span / 2.0);
    (after + slope * (span / 4.0 + lead)).max(0.0)
}

fn yesterday(short: f64, long: f64, known: Option<(f64, f64)>) -> f64 {
    let Some((usual, coming)) = known.filter(|(usual, _)| *usual > 0.0) else { return short };
    short.max(coming * (long / usual).clamp(0.5, 2.0))
}

/// The highest of the last `bins` values, at each.
fn highest(values: &[f32], bins: usize) -> Vec<f32> {
    let mut queue: std::collections::VecDeque<usize> = std::collections::VecDeque::new();
    let mut out = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        while queue.back().is_some_and(|last| values[*last] <= *value) {
            queue.pop_back();
        }
        queue.push_back(index);
        if queue.front().is_some_and(|first| first + bins <= index) {
            queue.pop_front();
        }
        out.push(queue.front().map_or(*value, |first| values[*first]));
    }
    out
}

/// The mean of the last `bins` values, at each.
pub(crate) fn means(values: &[f32], bins: usize) -> Vec<f32> {
    let mut sum = 0.0;
    let mut out = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        sum += f64::from(*value);
        if index >= bins {
            sum -= f64::from(values[index - bins]);
        }
        out.push((sum / bins.min(index + 1) as f64).max(0.0) as f32);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Increase;

    #[test]
    fn their_number_is_the_same_for_every_start() {
        let count = experts(5.0).len();
        for lead in [0.0, 1.0, 60.0, 300.0, 3_600.0] {
            assert_eq!(experts(lead).len(), count);
        }
    }

    #[test]
    fn windows_slide() {
        assert_eq!(highest(&[1.0, 3.0, 2.0, 0.0, 1.0], 2), [1.0, 3.0, 3.0, 2.0, 1.0]);
        assert_eq!(means(&[2.0, 4.0, 6.0], 2), [2.0, 3.0, 5.0]);
    }

    /// Replayed and live, a window of a day knows what was hours ago, in fine series as well.
    #[test]
    fn a_long_window_reaches_beyond_the_fine_series() {
        let mut history = None;
        for ten in 0..4_320u64 {
            let amount = if (360..366).contains(&ten) { 900 } else { 100 };
            let (from, to) = ((ten * 10) as f64, ((ten + 1) * 10) as f64);
            History::add(&mut history, Increase { amount, from, to });
        }
        let history = history.unwrap();
        let series = Series::of(&history, 60.0);
        for (span, highest) in [(DAY, 90.0), (28_800.0, 10.0)] {
            let replayed = *Expert::Highest(span).over(&series, 60.0).last().unwrap();
            let live = Expert::Highest(span).now(&history, 43_200.0, 60.0);
            assert!((f64::from(replayed) / highest - 1.0).abs() < 0.1, "{span}: {replayed}");
            assert!((live / highest - 1.0).abs() < 0.1, "{span}: {live}");
        }
    }

    #[test]
    fn a_ramp_is_carried_on() {
        // 10 a second more with each minute: after a start of 60 s there are 10 more than now.
        let mut history = None;
        for second in 0..1_200u64 {
            let (from, to) = (second as f64, (second + 1) as f64);
            History::add(&mut history, Increase { amount: 100 + second / 6, from, to });
        }
        let history = history.unwrap();
        let forecast = Expert::Trend(240.0).now(&history, 1_200.0, 60.0);
        assert!((forecast - 310.0).abs() < 4.0, "{forecast}");
        let highest = Expert::Highest(600.0).now(&history, 1_200.0, 60.0);
        assert!((highest - 299.0).abs() < 3.0, "{highest}");
        let mean = Expert::Mean(600.0, 60.0).now(&history, 1_200.0, 60.0);
        assert!((mean - 250.0).abs() < 4.0, "{mean}");
    }

    #[test]
    fn without_yesterday_it_is_the_mean() {
        assert_eq!(yesterday(5.0, 4.0, None), 5.0);
        assert_eq!(yesterday(5.0, 4.0, Some((0.0, 9.0))), 5.0);
        assert_eq!(yesterday(5.0, 4.0, Some((2.0, 9.0))), 18.0);
    }
}
