//! A service's arrivals over the last day, in under 3 KiB: 2 s for 5 min, 10 s for 1 h, 2 min for 24 h.
//!
//! Amounts come with the time that they cover and are spread over it evenly. The finest tier is open: what is late still
//! finds its place. A coarser bin is closed a minute after its end, with its mean and the highest mean of its parts.

use crate::counter::Increase;
use crate::packed::Packed;

/// Seconds of a bin of each tier.
pub(crate) const FINE: i64 = 2;
pub(crate) const MIDDLE: i64 = 10;
pub(crate) const COARSE: i64 = 120;
/// Bins of each tier.
pub(crate) const FINES: i64 = 150;
pub(crate) const MIDDLES: i64 = 360;
pub(crate) const COARSES: i64 = 720;
/// A bin is closed so long after its end.
const LAG: i64 = 60;

/// Arrivals of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Requests in each bin, at its number modulo their count; not a number: nobody reported.
    pub(crate) fine: Box<[f32]>,
    pub(crate) middle: Box<[Packed]>,
    pub(crate) coarse: Box<[Packed]>,
    /// Number of the newest fine bin.
    pub(crate) head: i64,
    /// Number of the first middle bin that isn't closed.
    pub(crate) open: i64,
    pub(crate) since: f64,
    pub(crate) until: f64,
}

/// Mean and highest rate per second of one bin.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    pub(crate) mean: f32,
    pub(crate) highest: f32,
}

impl History {
    /// The history that begins with `first`.
    fn begin(first: Increase) -> Self {
        let head = bin(first.to, FINE);
        Self {
            fine: vec![f32::NAN; FINES as usize].into(),
            middle: vec![Packed::NOTHING; MIDDLES as usize].into(),
            coarse: vec![Packed::NOTHING; COARSES as usize].into(),
            head,
            open: bin(first.from.max(first.to - 300.0), MIDDLE),
            since: first.from,
            until: first.to,
        }
    }

    /// Adds what came to `history`; the first amount begins it.
    pub fn add(history: &mut Option<Self>, increase: Increase) {
        let Increase { from, to, .. } = increase;
        // Beyond some hundred million years a bin's number would not be one.
        if !from.is_finite() || !to.is_finite() || to < from || from.abs() > 1e15 || to.abs() > 1e15 {
            return;
        }
        history.get_or_insert_with(|| Self::begin(increase)).put(increase);
    }

    fn put(&mut self, increase: Increase) {
        let Increase { amount, from, to } = increase;
        self.advance(bin(to, FINE));
        self.since = self.since.min(from);
        self.until = self.until.max(to);
        let length = to - from;
        for number in bin(from, FINE).max(self.head - FINES + 1)..=bin(to, FINE).min(self.head) {
            let (begins, ends) = ((number * FINE) as f64, ((number + 1) * FINE) as f64);
            let covered = (to.min(ends) - from.max(begins)).max(0.0);
            if covered <= 0.0 && length > 0.0 {
                continue;
            }
            let share = if length > 0.0 { covered / length } else { 1.0 };
            let cell = &mut self.fine[at(number, FINES)];
            *cell = if cell.is_nan() { 0.0 } else { *cell } + (amount as f64 * share) as f32;
        }
        self.close_until(self.head * FINE - LAG);
    }

    /// Makes room up to fine bin `number`; what is overwritten is closed before.
    fn advance(&mut self, number: i64) {
        self.close_until((number - FINES) * FINE);
        self.head = self.head.max(number - FINES);
        while self.head < number {
            self.head += 1;
            self.fine[at(self.head, FINES)] = f32::NAN;
        }
    }

    fn close_until(&mut self, time: i64) {
        let last = time.div_euclid(MIDDLE);
        // After a day of silence nothing of what was known is left.
        self.open = self.open.max(last - COARSES * (COARSE / MIDDLE));
        while self.open < last {
            let parts = MIDDLE / FINE;
            let first = self.open * parts;
            let kept = (first..first + parts).filter(|number| *number > self.head - FINES && *number <= self.head);
            let known = kept.map(|number| self.fine[at(number, FINES)]).filter(|amount| !amount.is_nan());
            let (mut sum, mut highest, mut count) = (0.0, 0.0f32, 0);
            known.for_each(|amount| (sum, highest, count) = (sum + amount, highest.max(amount), count + 1));
            let packed = if count == 0 {
                Packed::NOTHING
            } else {
                let rate = |amount: f32, bins: f64| f64::from(amount) / (bins * FINE as f64);
                Packed::of(rate(sum, f64::from(count)), rate(highest, 1.0))
            };
            self.middle[at(self.open, MIDDLES)] = packed;
            self.open += 1;
            if self.open % (COARSE / MIDDLE) == 0 {
                self.close_coarse(self.open / (COARSE / MIDDLE) - 1);
            }
        }
    }

    fn close_coarse(&mut self, number: i64) {
        let parts = COARSE / MIDDLE;
        let first = number * parts;
        let rates: Vec<(f32, f32)> =
            (first..first + parts).filter_map(|part| self.middle[at(part, MIDDLES)].rates()).collect();
        let mean = rates.iter().map(|(mean, _)| f64::from(*mean)).sum::<f64>() / rates.len() as f64;
        let highest = rates.iter().map(|(mean, _)| f64::from(*mean)).fold(0.0, f64::max);
        self.coarse[at(number, COARSES)] = if rates.is_empty() { Packed::NOTHING } else { Packed::of(mean, highest) };
    }

    /// Whether nothing came in all the time that is remembered.
    pub(crate) fn is_silent(&self) -> bool {
        let none = |packed: &Packed| packed.rates().is_none_or(|(mean, _)| mean == 0.0);
        self.fine.iter().all(|amount| amount.is_nan() || *amount == 0.0)
            && self.middle.iter().all(none)
            && self.coarse.iter().all(none)
    }
}

/// Number of the bin of `width` seconds that `time` lies in.
pub(crate) fn bin(time: f64, width: i64) -> i64 {
    (time / width as f64).floor() as i64
}

/// Where bin `number` of a tier lies.
pub(crate) fn at(number: i64, bins: i64) -> usize {
    number.rem_euclid(bins) as usize
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
