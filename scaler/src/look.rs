//! What a history tells: rates over windows, peaks, and the bins of the past.

#[cfg(test)]
use crate::history::Sample;
use crate::history::{COARSE, COARSES, FINE, FINES, History, MIDDLE, MIDDLES, at, bin};

/// Seconds for which the last report still speaks of now.
const FRESH: f64 = 5.0;

impl History {
    /// The rate per second over the last `window` seconds (at most five minutes) until the last report.
    #[must_use]
    pub fn rate(&self, now: f64, window: f64) -> f64 {
        let end = if now - self.until < FRESH { self.until.min(now) } else { now };
        self.rate_until(bin(end, FINE), end, bins_of(window))
    }

    /// The highest rate over any `width` seconds within the last `span` seconds. Beyond five minutes, over ten.
    #[must_use]
    pub fn peak(&self, now: f64, span: f64, width: f64) -> f64 {
        let last = bin(now.min(self.until), FINE);
        let fine_span = span.clamp(1.0, (FINES * FINE) as f64);
        let oldest = bin(now - fine_span, FINE);
        let mut best = self.rate(now, width);
        for number in oldest..last {
            best = best.max(self.rate_until(number, ((number + 1) * FINE) as f64, bins_of(width)));
        }
        if span > fine_span {
            let from = bin(now - span, MIDDLE).max(self.open - MIDDLES);
            let rates = (from..self.open).filter_map(|number| self.middle[at(number, MIDDLES)].rates());
            best = rates.map(|(mean, _)| f64::from(mean)).fold(best, f64::max);
        }
        best
    }

    fn rate_until(&self, last: i64, end: f64, bins: i64) -> f64 {
        let first = last - bins + 1;
        let seconds = (end - ((first * FINE) as f64).max(self.since)).max(1.0);
        self.sum(first, last) / seconds
    }

    pub(crate) fn sum(&self, first: i64, last: i64) -> f64 {
        (first.max(self.head - FINES + 1)..=last.min(self.head))
            .map(|number| self.fine[at(number, FINES)])
            .filter(|amount| !amount.is_nan())
            .map(f64::from)
            .sum()
    }

    /// The mean rate between two moments of the past day; what nobody knows counts as the rest.
    pub(crate) fn mean_between(&self, from: f64, to: f64) -> Option<f64> {
        let (mut amount, mut seconds) = (0.0, 0.0);
        self.pieces(from, to, |mean, _, width| {
            amount += mean * width;
            seconds += width;
        });
        (seconds > 0.0).then(|| amount / seconds)
    }

    /// The highest ten-second mean between two moments of the past day.
    pub(crate) fn highest_between(&self, from: f64, to: f64) -> Option<f64> {
        let mut highest = None;
        self.pieces(from, to, |_, high, _| highest = Some(high.max(highest.unwrap_or(0.0))));
        highest
    }

    /// Gives mean, highest and width of each known bin between two moments, the finest that there is of each.
    fn pieces(&self, from: f64, to: f64, mut give: impl FnMut(f64, f64, f64)) {
        let open = (self.open * MIDDLE) as f64;
        let coarse_until = (self.open - MIDDLES) * MIDDLE;
        let coarse_until = coarse_until + (-coarse_until).rem_euclid(COARSE);
        if from < coarse_until as f64 {
            let first = bin(from, COARSE).max(self.open.div_euclid(COARSE / MIDDLE) - COARSES);
            for number in first..bin(to, COARSE).min(coarse_until / COARSE - 1) + 1 {
                if let Some((mean, highest)) = self.coarse[at(number, COARSES)].rates() {
                    give(f64::from(mean), f64::from(highest), COARSE as f64);
                }
            }
        }
        let middle_from = bin(from.max(coarse_until as f64), MIDDLE).max(self.open - MIDDLES);
        for number in middle_from..(bin(to, MIDDLE) + 1).min(self.open) {
            if let Some((mean, _)) = self.middle[at(number, MIDDLES)].rates() {
                give(f64::from(mean), f64::from(mean), MIDDLE as f64);
            }
        }
        // What isn't closed yet, in pieces of ten seconds that end with the last report.
        let mut end = to.min(self.until.max(open));
        let begin = from.max(open).max(self.since);
        while end - begin >= 1.0 {
            let last = bin(end - 1e-6, FINE);
            let whole = last - MIDDLE / FINE + 1;
            let first = whole.max(bin(begin, FINE));
            let width = end - ((first * FINE) as f64).max(self.since);
            // What is shorter than ten seconds tells a mean, but is no burst for that.
            let high = self.sum(whole, last) / (end - (whole * FINE) as f64);
            give(self.sum(first, last) / width.max(1.0), high, width);
            end = (first * FINE) as f64;
        }
    }

    /// Seconds for which there is history, up to now.
    #[must_use]
    pub fn age(&self, now: f64) -> f64 {
        (now - self.since).clamp(0.0, (COARSES * COARSE) as f64)
    }

    /// The bins of ten seconds of the last hour that are closed, oldest first, with when the last one ends; `None` in
    /// it: nobody knows.
    #[cfg(test)]
    pub(crate) fn hour(&self) -> (Vec<Option<Sample>>, f64) {
        let known = |number: i64| sample(self.middle[at(number, MIDDLES)].rates());
        let first = (self.open - MIDDLES).max(bin(self.since, MIDDLE));
        ((first..self.open).map(known).collect(), (self.open * MIDDLE) as f64)
    }

    /// The bins of two minutes of the last day that are closed, oldest first, with when the last one ends.
    #[cfg(test)]
    pub(crate) fn day(&self) -> (Vec<Option<Sample>>, f64) {
        let open = self.open.div_euclid(COARSE / MIDDLE);
        let known = |number: i64| sample(self.coarse[at(number, COARSES)].rates());
        let first = (open - COARSES).max(bin(self.since, COARSE));
        ((first..open).map(known).collect(), (open * COARSE) as f64)
    }
}

fn bins_of(window: f64) -> i64 {
    ((window.max(1.0) / FINE as f64).ceil() as i64).clamp(1, FINES)
}

#[cfg(test)]
fn sample(rates: Option<(f32, f32)>) -> Option<Sample> {
    rates.map(|(mean, highest)| Sample { mean, highest })
}
