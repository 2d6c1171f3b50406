//! Learns profiles from what servers report of their batches.

use crate::{Accelerator, LearnedSize, Profile, Revision};
use litemap::LiteMap;
use serde::{Deserialize, Serialize};

/// Samples kept for each batch size: about an hour's change of mind at one a scrape is far less than a restart.
const SAMPLES: usize = 24;
/// Seconds between two fits, once a batch size has had more than a few runs.
const FIT_PERIOD: f64 = 10.0;
const FEW: u64 = 200;
/// Batch sizes kept for each profile.
const SIZES: usize = 24;

/// What a profile of a service is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProfileKey {
    /// The revision: another model, pipeline or engine.
    pub revision: Revision,
    /// The kind of accelerator.
    pub accelerator: Accelerator,
}

/// Mean engine times by batch size, of the last scrapes; bounded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learner {
    pub(crate) sizes: LiteMap<u64, Times>,
    /// When it last learned.
    pub at: f64,
    /// When it took over what a predecessor had learned.
    pub(crate) restored: Option<f64>,
    /// The profile, and when it was fitted.
    profile: Option<Profile>,
    fitted: f64,
    due: bool,
}

/// The last mean times of one batch size, in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Times {
    means: [f32; SAMPLES],
    known: u8,
    next: u8,
    runs: u64,
}

impl Learner {
    /// Notes that `runs` batches of `size` rows took `seconds` together.
    pub fn note(&mut self, now: f64, size: u64, runs: u64, seconds: f64) {
        let mean = seconds / runs as f64;
        if runs == 0 || size == 0 || !mean.is_finite() || mean <= 0.0 {
            return;
        }
        if !self.sizes.contains_key(&size) {
            self.make_room();
        }
        let times = self.sizes.entry(size).or_default();
        times.means[usize::from(times.next)] = mean as f32;
        times.next = (times.next + 1) % SAMPLES as u8;
        times.known = (times.known + 1).min(SAMPLES as u8);
        times.runs = times.runs.saturating_add(runs);
        self.at = now;
        // What was measured for long isn't moved by one more run.
        self.due |= times.runs < FEW || !(0.0..FIT_PERIOD).contains(&(now - self.fitted));
    }

    /// Makes room for one more batch size and for no more than that: there are thousands of services, most of them with few.
    fn make_room(&mut self) {
        if self.sizes.len() >= SIZES {
            // The size with the fewest runs tells least.
            let rarest = self.sizes.iter().min_by_key(|(_, times)| times.runs).map(|(size, _)| *size);
            rarest.map(|size| self.sizes.remove(&size));
        }
        let mut sizes = std::mem::take(&mut self.sizes).into_tuple_vec();
        sizes.reserve_exact(1);
        self.sizes = LiteMap::from_sorted_store_unchecked(sizes);
    }

    /// Fits the profile again, if what was noted is worth it.
    pub fn settle(&mut self, now: f64) {
        if std::mem::take(&mut self.due) {
            (self.profile, self.fitted) = (self.fit(), now);
        }
    }

    /// The profile as it was last fitted; `None`: nothing is measured.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        self.profile
    }

    /// Takes over what a predecessor had measured.
    pub(crate) fn restore(&mut self, now: f64, at: f64, sizes: &[LearnedSize]) {
        self.sizes = sizes.iter().filter_map(|size| Some((size.rows, Times::read(size)?))).collect();
        (self.at, self.restored) = (at, Some(now));
        (self.profile, self.fitted) = (self.fit(), now);
    }

    /// The fitted profile: medians by size, then the weighted median of slopes between them (Theil and Sen), which a
    /// few slow batches don't move.
    fn fit(&self) -> Option<Profile> {
        let points: Vec<Point> = self.sizes.iter().map(|(size, times)| times.point(*size)).collect();
        let (first, rest) = points.split_first()?;
        if rest.is_empty() {
            return Some(self.through(first));
        }
        let mut slopes = Vec::new();
        for (index, left) in points.iter().enumerate() {
            for right in &points[index + 1..] {
                let apart = right.rows - left.rows;
                slopes.push(((right.time - left.time) / apart, left.weight.min(right.weight) * apart));
            }
        }
        let per_row = median(slopes).clamp(0.0, points.iter().map(|p| p.time / p.rows).fold(f64::INFINITY, f64::min));
        let fixed = median(points.iter().map(|p| (p.time - per_row * p.rows, p.weight)).collect()).max(0.0);
        Some(Profile::measured(fixed, per_row))
    }

    /// One size alone doesn't tell the slope: it keeps the prior's proportion.
    fn through(&self, point: &Point) -> Profile {
        let shape = Profile::prior(1.0);
        let factor = point.time / shape.time(point.rows);
        Profile::measured(shape.fixed * factor, shape.per_row * factor)
    }
}

struct Point {
    rows: f64,
    time: f64,
    weight: f64,
}

impl Times {
    /// For a checkpoint.
    pub(crate) fn written(&self, rows: u64) -> LearnedSize {
        let seconds = self.point(rows).time;
        LearnedSize { rows, seconds, samples: u32::from(self.known), runs: self.runs }
    }

    /// From a checkpoint: as many samples as there were, all at their median.
    pub(crate) fn read(size: &LearnedSize) -> Option<Self> {
        let sound = size.rows > 0 && size.samples > 0 && size.seconds.is_finite() && size.seconds > 0.0;
        let known = (size.samples as usize).min(SAMPLES) as u8;
        let next = known % SAMPLES as u8;
        sound.then_some(Self { means: [size.seconds as f32; SAMPLES], known, next, runs: size.runs })
    }

    fn point(&self, size: u64) -> Point {
        let time = median(self.means[..usize::from(self.known)].iter().map(|mean| (f64::from(*mean), 1.0)).collect());
        Point { rows: size as f64, time, weight: (self.runs as f64).sqrt() }
    }
}

/// The weighted median; 0 of nothing.
fn median(mut values: Vec<(f64, f64)>) -> f64 {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = values.iter().map(|value| value.1).sum::<f64>() / 2.0;
    let mut passed = 0.0;
    for (value, weight) in &values {
        passed += weight;
        if passed >= half {
            return *value;
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_line_under_outliers() {
        let mut learner = Learner::default();
        for round in 0..20u64 {
            for size in [1, 2, 4, 8, 16] {
                let slow = if round % 7 == 0 { 5.0 } else { 1.0 };
                learner.note(round as f64, size, 10, 10.0 * slow * (0.010 + 0.001 * size as f64));
            }
        }
        let profile = learner.fit().unwrap();
        assert!((profile.fixed - 0.010).abs() < 1e-6, "{profile:?}");
        assert!((profile.per_row - 0.001).abs() < 1e-6, "{profile:?}");
        assert!(profile.measured);
    }

    #[test]
    fn one_size_keeps_the_proportion() {
        let mut learner = Learner::default();
        assert_eq!(learner.fit(), None);
        learner.note(1.0, 1, 4, 0.024);
        let profile = learner.fit().unwrap();
        assert!((profile.time(1.0) - 0.006).abs() < 1e-9);
        assert!((profile.fixed / profile.per_row - 5.0).abs() < 1e-9);
    }

    #[test]
    fn is_bounded_and_deaf_to_nonsense() {
        let mut learner = Learner::default();
        for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            learner.note(1.0, 1, 1, bad);
        }
        learner.note(1.0, 0, 1, 1.0);
        assert_eq!(learner.fit(), None);
        for size in 1..1_000 {
            learner.note(1.0, size, size, 1.0);
        }
        assert_eq!(learner.sizes.len(), SIZES);
    }

    #[test]
    fn takes_the_newest_samples() {
        let mut learner = Learner::default();
        for round in 0..100 {
            learner.note(1.0, 1, 1, if round < 60 { 1.0 } else { 0.5 });
        }
        assert!((learner.fit().unwrap().time(1.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn fits_at_once_while_it_is_young_and_now_and_then_later() {
        let mut learner = Learner::default();
        let mut fitted = |now: f64, runs: u64, each: f64| {
            learner.note(now, 1, runs, each * runs as f64);
            learner.settle(now);
            learner.profile().unwrap().time(1.0)
        };
        assert!((fitted(100.0, 1, 0.5) - 0.5).abs() < 1e-6);
        assert!((fitted(101.0, 500, 0.1) - 0.5).abs() < 1e-6, "no longer young, and just fitted");
        assert!(fitted(110.0, 500, 0.1) < 0.11);
    }
}
