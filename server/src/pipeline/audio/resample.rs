//! Another sample rate, as torchaudio's `resample` computes it by default: band-limited interpolation with a sinc of six zero
//! crossings at 0.99 of the lower rate, under a window of Hann. Numbers of the kernel are computed in 64 bits and kept in 32.

use std::f64::consts::PI;

/// Zero crossings on each side.
const CROSSINGS: f64 = 6.0;
/// Where the band ends, as a part of the lower rate.
const ROLLOFF: f64 = 0.99;

/// A row of the kernel for each place of an output sample between two input samples.
struct Kernel {
    /// Input and output samples after which the pattern repeats.
    from: usize,
    to: usize,
    /// Input samples before the one at hand that the first number belongs to.
    before: usize,
    taps: usize,
    rows: Vec<f32>,
}

/// Converts samples from one rate to another.
#[must_use]
pub fn resample(samples: Vec<f32>, from: u32, to: u32) -> Vec<f32> {
    if from == to {
        return samples;
    }
    let common = divisor(from, to);
    let (from, to) = (from / common, to / common);
    let wide = |number: u32| u64::from(number);
    // As many as fit, a broken one included.
    let count = (samples.len() as u64 * wide(to)).div_ceil(wide(from));
    // Rates without a common divisor would need a row for each sample of a second: a short input needs few of them.
    let kernel = Kernel::new(from, to, u32::try_from(count).unwrap_or(to).min(to));
    (0..usize::try_from(count).unwrap_or(0)).map(|at| kernel.sample(&samples, at)).collect()
}

fn divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { divisor(b, a % b) }
}

impl Kernel {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn new(from: u32, to: u32, rows: u32) -> Self {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let band = f64::from(from.min(to)) * ROLLOFF;
        let before = (CROSSINGS * f64::from(from) / band).ceil() as usize;
        // From `before` samples before the place to `before` after it, and one for the part of a sample.
        let taps = 2 * before + 2;
        let mut numbers = Vec::with_capacity(size(rows) * taps);
        for row in 0..rows {
            // How far the row's place is after the input sample at hand.
            let part = (u64::from(row) * u64::from(from) % u64::from(to)) as f64 / f64::from(to);
            for tap in 0..taps {
                let time = (tap as f64 - before as f64 - part) / f64::from(from) * band;
                numbers.push((weight(time) * band / f64::from(from)) as f32);
            }
        }
        Self { from: size(from), to: size(to), before, taps, rows: numbers }
    }

    fn sample(&self, samples: &[f32], at: usize) -> f32 {
        let (period, row) = (at / self.to, at % self.to);
        let start = period * self.from + row * self.from / self.to;
        let weights = &self.rows[row * self.taps..(row + 1) * self.taps];
        // Before the first sample and after the last there is silence.
        let skip = self.before.saturating_sub(start);
        let first = (start + skip).saturating_sub(self.before);
        let inputs = samples.get(first..).unwrap_or_default();
        weights.iter().skip(skip).zip(inputs).map(|(weight, sample)| weight * sample).sum()
    }
}

/// The windowed sinc at a time, in zero crossings.
fn weight(time: f64) -> f64 {
    if time.abs() >= CROSSINGS {
        return 0.0;
    }
    let window = (time * PI / CROSSINGS / 2.0).cos().powi(2);
    let angle = time * PI;
    if angle == 0.0 { window } else { window * angle.sin() / angle }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tone(rate: u32, hertz: f64, count: usize) -> Vec<f32> {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        (0..count).map(|at| (at as f64 * hertz * 2.0 * PI / f64::from(rate)).sin() as f32).collect()
    }

    #[test]
    fn a_tone_stays_that_tone() {
        for (from, to) in [(44_100, 16_000), (8_000, 16_000), (48_000, 16_000), (16_000, 44_100)] {
            let count = usize::try_from(from / 4).unwrap();
            let made = resample(tone(from, 440.0, count), from, to);
            let expected = tone(to, 440.0, made.len());
            assert_eq!(made.len(), usize::try_from(to / 4).unwrap());
            // Edges are next to silence.
            let worst = made
                .iter()
                .zip(&expected)
                .skip(200)
                .take(made.len() - 400)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(worst < 5e-3, "{from} to {to}: {worst}");
        }
    }

    #[test]
    fn what_is_above_the_band_goes() {
        let made = resample(tone(48_000, 15_000.0, 12_000), 48_000, 16_000);
        assert!(made[200..made.len() - 200].iter().all(|sample| sample.abs() < 0.01));
    }

    #[test]
    fn odd_ratios_cost_no_more_than_their_input() {
        let made = resample(vec![0.5; 100], 383_999, 384_000);
        assert_eq!(made.len(), 101);
    }

    proptest! {
        #[test]
        fn any_rates_and_lengths(from in 1_000u32..50_000, to in 1_000u32..50_000, samples in proptest::collection::vec(-1.0f32..1.0, 1..50)) {
            let count = samples.len();
            let made = resample(samples, from, to);
            let exact = count as u64 * u64::from(to);
            prop_assert_eq!(made.len() as u64, exact.div_ceil(u64::from(from)));
            prop_assert!(made.iter().all(|sample| sample.abs() < 3.0));
        }
    }
}
