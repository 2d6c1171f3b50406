//! Seeded draws. Streams of one seed are independent, so that policies don't disturb each other's arrivals.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Random(SmallRng);

/// Spreads a number over all bits (splitmix64).
fn spread(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Random {
    /// Stream `stream` of `seed`.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(SmallRng::seed_from_u64(spread(seed ^ spread(stream))))
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.0.random::<f64>()
    }

    /// Uniform below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound)
    }

    /// Exponential.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Standard normal (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Lognormal with this mean and this ratio of deviation to mean.
    pub fn lognormal(&mut self, mean: f64, spread: f64) -> f64 {
        if spread <= 0.0 {
            return mean;
        }
        let variance = (1.0 + spread * spread).ln();
        mean * (variance.sqrt() * self.normal() - variance / 2.0).exp()
    }

    /// Poisson; above 60 by the normal law.
    pub fn poisson(&mut self, mean: f64) -> u32 {
        if mean <= 0.0 {
            return 0;
        }
        if mean > 60.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u32;
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }

    /// How many of `count` are kept if each is kept with probability `share`.
    pub fn thinned(&mut self, count: u32, share: f64) -> u32 {
        if count > 400 {
            let (mean, variance) = (f64::from(count) * share, f64::from(count) * share * (1.0 - share));
            return (mean + variance.sqrt() * self.normal()).round().clamp(0.0, f64::from(count)) as u32;
        }
        (0..count).filter(|_| self.unit() < share).count() as u32
    }
}
