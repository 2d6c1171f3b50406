//! The past as one series of equal bins, for replaying.

use crate::history::{COARSE, COARSES, History, MIDDLE, MIDDLES, at, bin};

/// From a start of so many seconds on, the day is replayed in bins of two minutes; below, hours in bins of ten seconds.
const SLOW: f64 = 120.0;
/// Seconds before the last hour that a fine series reaches back, made of two-minute bins.
const RUN_IN: i64 = 3 * 3_600;

/// Rates per second, bin by bin.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// Seconds of a bin.
    pub(crate) step: f64,
    /// Mean of each bin; where nobody knows, the one before.
    pub(crate) mean: Vec<f32>,
    /// Highest ten-second mean.
    pub(crate) high: Vec<f32>,
    /// Whether it is known.
    pub(crate) known: Vec<bool>,
    /// When the last bin ends.
    pub(crate) end: f64,
    day: Vec<(f32, f32)>,
    day_end: i64,
}

impl Series {
    /// The series of `history` that suits starts of `lead` seconds.
    pub(crate) fn of(history: &History, lead: f64) -> Self {
        let fine = lead < SLOW;
        let day_end = history.open.div_euclid(COARSE / MIDDLE);
        let day = (day_end - COARSES..day_end).map(|number| history.coarse[at(number, COARSES)].rates());
        let mut series = Self {
            step: if fine { MIDDLE as f64 } else { COARSE as f64 },
            mean: Vec::new(),
            high: Vec::new(),
            known: Vec::new(),
            end: if fine { (history.open * MIDDLE) as f64 } else { (day_end * COARSE) as f64 },
            day: day.map(|rates| rates.unwrap_or((f32::NAN, f32::NAN))).collect(),
            day_end,
        };
        let since = history.since;
        if !fine {
            let first = (day_end - COARSES).max(bin(since, COARSE));
            (first..day_end).for_each(|number| series.push(history.coarse[at(number, COARSES)].rates(), 1));
            return series;
        }
        // Whole two-minute bins before the hour, then the hour itself.
        let hour = history.open - MIDDLES;
        let parts = COARSE / MIDDLE;
        let hour = hour + (-hour).rem_euclid(parts);
        let first = (hour / parts - RUN_IN / COARSE).max(bin(since, COARSE));
        (first..hour / parts).for_each(|number| series.push(history.coarse[at(number, COARSES)].rates(), parts));
        let first = hour.max(bin(since, MIDDLE));
        (first..history.open).for_each(|number| {
            let mean = history.middle[at(number, MIDDLES)].rates().map(|(mean, _)| (mean, mean));
            series.push(mean, 1);
        });
        series
    }

    /// Appends `bins` bins; of several, the last one is the highest.
    fn push(&mut self, rates: Option<(f32, f32)>, bins: i64) {
        let last = self.mean.last().copied().unwrap_or(0.0);
        let (mean, high) = rates.unwrap_or((last, last));
        let rest = if bins > 1 { ((mean * bins as f32 - high) / (bins - 1) as f32).max(0.0) } else { mean };
        for number in 1..=bins {
            let is_high = number == bins;
            self.mean.push(if is_high && bins > 1 { high } else { rest });
            self.high.push(if is_high { high } else { rest });
            self.known.push(rates.is_some());
        }
    }

    /// Whether bins are finer than the day's.
    pub(crate) fn is_fine(&self) -> bool {
        self.step < self.day_step()
    }

    /// Seconds of the day's bins.
    pub(crate) fn day_step(&self) -> f64 {
        COARSE as f64
    }

    /// The highest of each of the day's bins; 0 where nobody knows.
    pub(crate) fn day_high(&self) -> Vec<f32> {
        self.day.iter().map(|(_, high)| if high.is_nan() { 0.0 } else { *high }).collect()
    }

    /// The last of the day's bins that has ended when bin `index` ends.
    pub(crate) fn day_at(&self, index: usize) -> Option<usize> {
        let ended = bin(self.end_of(index), COARSE) - 1 - (self.day_end - COARSES);
        usize::try_from(ended).ok().map(|ended| ended.min(self.day.len() - 1))
    }

    /// When a bin ends.
    pub(crate) fn end_of(&self, index: usize) -> f64 {
        self.end - (self.mean.len() - 1 - index) as f64 * self.step
    }

    /// Mean of the hour until `then`, and the highest of the `ahead` seconds after it; of the day's bins.
    pub(crate) fn yesterday(&self, then: f64, ahead: f64) -> Option<(f64, f64)> {
        let index = |time: f64| bin(time, COARSE) - (self.day_end - COARSES);
        let within = |first: i64, last: i64| {
            let known = (first.max(0)..last.min(self.day.len() as i64)).map(|index| self.day[index as usize]);
            known.filter(|(mean, _)| !mean.is_nan())
        };
        let before: Vec<f32> = within(index(then - 3_600.0), index(then)).map(|(mean, _)| mean).collect();
        let coming = within(index(then), index(then + ahead) + 1).map(|(_, high)| high).reduce(f32::max)?;
        let usual = before.iter().map(|mean| f64::from(*mean)).sum::<f64>() / before.len() as f64;
        (!before.is_empty()).then_some((usual, f64::from(coming)))
    }
}
