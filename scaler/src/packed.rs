//! A bin of history in two bytes: its mean rate and its highest.

use std::sync::LazyLock;

/// The least and the greatest mean that are told apart, in requests per second.
const LEAST: f64 = 1e-3;
const GREATEST: f64 = 1e8;
/// Codes of means: 0 is none at all, the last one is "not known".
const MEANS: u16 = 1 << 11;
const UNKNOWN: u16 = MEANS - 1;
/// Codes of the ratio of highest to mean, from 1 on.
const RATIOS: u16 = 1 << 5;
const GREATEST_RATIO: f64 = 16.0;

/// Means in steps of 1.2 %, ratios of the highest to the mean in steps of 9 %.
static TABLES: LazyLock<(Vec<f32>, Vec<f32>)> = LazyLock::new(|| {
    let mean = |code: u16| if code == 0 { 0.0 } else { LEAST * (step() * f64::from(code - 1)).exp() };
    let ratio = |code: u16| (ratio_step() * f64::from(code)).exp();
    ((0..MEANS).map(|code| mean(code) as f32).collect(), (0..RATIOS).map(|code| ratio(code) as f32).collect())
});

fn step() -> f64 {
    (GREATEST / LEAST).ln() / f64::from(UNKNOWN - 2)
}

fn ratio_step() -> f64 {
    GREATEST_RATIO.ln() / f64::from(RATIOS - 1)
}

/// Mean and highest rate of a bin, or that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed(u16);

impl Packed {
    /// Nobody reported.
    pub(crate) const NOTHING: Self = Self(UNKNOWN);

    /// A bin with these rates per second.
    pub(crate) fn of(mean: f64, highest: f64) -> Self {
        if mean.is_nan() || mean < LEAST / 2.0 {
            return Self(0);
        }
        let code = ((mean / LEAST).ln() / step()).round().clamp(0.0, f64::from(UNKNOWN - 2)) as u16 + 1;
        let ratio = ((highest / mean).max(1.0).ln() / ratio_step()).round().clamp(0.0, f64::from(RATIOS - 1)) as u16;
        Self(ratio * MEANS + code)
    }

    /// Mean and highest rate, per second.
    pub(crate) fn rates(self) -> Option<(f32, f32)> {
        let (means, ratios) = &*TABLES;
        let code = self.0 % MEANS;
        let mean = means[usize::from(code)];
        (code != UNKNOWN).then(|| (mean, mean * ratios[usize::from(self.0 / MEANS)]))
    }

    pub(crate) fn to_bytes(self) -> [u8; 2] {
        self.0.to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_not_none() {
        assert_eq!(Packed::NOTHING.rates(), None);
        assert_eq!(Packed::of(0.0, 0.0).rates(), Some((0.0, 0.0)));
        assert_eq!(Packed::of(f64::NAN, 1.0).rates(), Some((0.0, 0.0)));
        assert!(Packed::of(f64::INFINITY, f64::INFINITY).rates().unwrap().0 < 2e8);
    }

    proptest! {
        #[test]
        fn rates_come_back_within_a_step(mean in 1e-3f64..1e7, ratio in 1.0f64..16.0) {
            let packed = Packed::of(mean, mean * ratio);
            let (back, highest) = packed.rates().unwrap();
            prop_assert!((f64::from(back) / mean - 1.0).abs() < 0.0065, "{mean} {back}");
            prop_assert!((f64::from(highest) / (mean * ratio) - 1.0).abs() < 0.055, "{ratio} {highest}");
            prop_assert_eq!(Packed::from_bytes(packed.to_bytes()), packed);
        }
    }
}
