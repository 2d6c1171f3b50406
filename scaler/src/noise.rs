//! What of a rate is sure: arrivals that nobody steers come by chance, as a Poisson process has them.

/// Standard deviations beyond which more than usual is no chance.
const NOISE: f64 = 1.5;

/// Seconds over which a history tells its peaks.
const PEAK: f64 = 10.0;

/// The part of a peak that isn't owed to chance.
pub(crate) fn sure_peak(rate: f64) -> f64 {
    sure(rate, PEAK)
}

/// The part of a rate, seen over so many seconds, that isn't owed to chance.
pub(crate) fn sure(rate: f64, seconds: f64) -> f64 {
    (rate - NOISE * (rate / seconds).sqrt()).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_sure_of_few() {
        assert!((sure(10.0, 10.0) - 8.5).abs() < 1e-9);
        assert!((sure(1_000.0, 10.0) / 1_000.0 - 0.985).abs() < 1e-9);
        assert_eq!(sure(0.1, 10.0), 0.0);
        assert_eq!(sure(0.0, 10.0), 0.0);
    }
}
