//! PIL's resampling of bytes, to the bit: across and down, each by weights in fixed point and rounded to bytes.
//!
//! A vector library of this trade rounds weights to 16 bits, and is off by one here and there: a score that is compared to
//! its reference shouldn't have to forgive that.

use super::pixels::{Pixels, wide};
use std::{collections::VecDeque, f64::consts::PI};

/// Bits after the point of a weight: of 32, a byte and two more for sums below zero and above one are kept.
const BITS: u32 = 22;
const HALF: i32 = 1 << (BITS - 1);

/// How much a pixel counts by its distance, in pixels of the larger of both scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All within half a pixel.
    Box,
    /// Less and less, in a line.
    Bilinear,
    /// A sinc under Hamming's window.
    Hamming,
    /// A cubic, with a = -0.5.
    Bicubic,
    /// A sinc of three lobes under a sinc's.
    Lanczos,
}

/// A filter, and what becomes of it where the image shrinks.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// The filter.
    pub filter: Filter,
    /// Its window grows as the image shrinks, so that nothing aliases: as PIL does. OpenCV's stays.
    pub antialias: bool,
}

/// What one pixel of the result is made of, in one direction.
#[derive(Debug)]
struct Window {
    start: usize,
    weights: Vec<i32>,
}

/// Resizes. A row that is resized across first is made when a row of the result needs it, and kept as long as another may:
/// what is held beside source and result stays small, whatever the sides are.
#[must_use]
pub fn convolve(kernel: Kernel, pixels: &Pixels, (width, height): (u32, u32)) -> Pixels {
    match pixels.channels {
        1 => by_channels::<1>(kernel, pixels, (width, height)),
        _ => by_channels::<3>(kernel, pixels, (width, height)),
    }
}

fn by_channels<const C: usize>(kernel: Kernel, pixels: &Pixels, (width, height): (u32, u32)) -> Pixels {
    let (columns, rows) = (windows(kernel, pixels.width, width), windows(kernel, pixels.height, height));
    let mut resized = Pixels::filled(width, height, C, 0);
    let lines = resized.data.chunks_exact_mut(columns.len() * C);
    if down_first((pixels.width, pixels.height), (width, height)) {
        let mut sums = vec![0; wide(pixels.width) * C];
        let mut line = vec![0; wide(pixels.width) * C];
        for (window, out) in rows.iter().zip(lines) {
            down((window.start..).map(|at| pixels.row(at)), &window.weights, &mut sums, &mut line);
            across::<C>(&line, &columns, out);
        }
        return resized;
    }
    let mut kept: VecDeque<Vec<u8>> = VecDeque::new();
    let mut first = 0;
    let mut sums = vec![0; columns.len() * C];
    for (window, out) in rows.iter().zip(lines) {
        kept.drain(..(window.start - first).min(kept.len()));
        first = window.start;
        while kept.len() < window.weights.len() {
            let mut line = vec![0; columns.len() * C];
            across::<C>(pixels.row(first + kept.len()), &columns, &mut line);
            kept.push_back(line);
        }
        down(kept.iter().map(Vec::as_slice), &window.weights, &mut sums, out);
    }
    resized
}

/// Which direction comes first, for its rounding shows in the end: Pillow 13 goes by how much either takes away.
fn down_first(from: (u32, u32), to: (u32, u32)) -> bool {
    let lost = |from: u32, to: u32| i64::from(from) - i64::from(to);
    let (across, down) = (lost(from.0, to.0), lost(from.1, to.1));
    down > 0 && down > 2 * across
}

/// A row of the result, of those in its window.
fn down<'a>(rows: impl Iterator<Item = &'a [u8]>, weights: &[i32], sums: &mut [i32], out: &mut [u8]) {
    sums.fill(HALF);
    for (weight, row) in weights.iter().zip(rows) {
        sums.iter_mut().zip(row).for_each(|(sum, &byte)| *sum += i32::from(byte) * weight);
    }
    out.iter_mut().zip(sums).for_each(|(byte, sum)| *byte = rounded(*sum));
}

/// One row, resized.
fn across<const C: usize>(row: &[u8], columns: &[Window], out: &mut [u8]) {
    let pixels = row.as_chunks::<C>().0;
    for (window, out) in columns.iter().zip(out.as_chunks_mut::<C>().0) {
        let mut sums = [HALF; C];
        for (pixel, weight) in pixels[window.start..].iter().zip(&window.weights) {
            sums.iter_mut().zip(pixel).for_each(|(sum, &byte)| *sum += i32::from(byte) * weight);
        }
        *out = sums.map(rounded);
    }
}

fn rounded(sum: i32) -> u8 {
    // Clamped to a byte before.
    u8::try_from((sum >> BITS).clamp(0, 255)).unwrap_or(u8::MAX)
}

/// A window for each pixel of a side that goes from a size to another. It never begins before the one ahead of it.
// Places within an image are exact in 64-bit floats, and weights far below 32 bits.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn windows(kernel: Kernel, from: u32, to: u32) -> Vec<Window> {
    if from == to {
        return (0..wide(to)).map(|at| Window { start: at, weights: vec![1 << BITS] }).collect();
    }
    let scale = f64::from(from) / f64::from(to);
    let Kernel { filter, antialias } = kernel;
    let spread = if antialias { scale.max(1.0) } else { 1.0 };
    let reach = filter.reach() * spread;
    let window = |at: u32| {
        let centre = (f64::from(at) + 0.5) * scale;
        let start = (centre - reach + 0.5).max(0.0) as usize;
        let end = ((centre + reach + 0.5) as usize).min(wide(from));
        let place = |pixel: usize| (pixel as f64 - centre + 0.5) * (1.0 / spread);
        let weights: Vec<f64> = (start..end).map(|pixel| filter.weight(place(pixel))).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: f64| {
            let part = if sum == 0.0 { weight } else { weight / sum };
            (part * f64::from(1 << BITS) + 0.5_f64.copysign(part)) as i32
        };
        Window { start, weights: weights.into_iter().map(fixed).collect() }
    };
    (0..to).map(window).collect()
}

impl Filter {
    /// Where its weights end.
    fn reach(self) -> f64 {
        match self {
            Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, place: f64) -> f64 {
        let far = place.abs();
        match self {
            Self::Box => f64::from(u8::from(place > -0.5 && place <= 0.5)),
            Self::Bilinear => (1.0 - far).max(0.0),
            Self::Hamming if far == 0.0 => 1.0,
            Self::Hamming if far >= 1.0 => 0.0,
            // Its numbers are 32-bit ones where the reference computes it.
            Self::Hamming => sinc(far) * (f64::from(0.54_f32) + f64::from(0.46_f32) * (far * PI).cos()),
            Self::Bicubic if far < 1.0 => (1.5 * far - 2.5) * far * far + 1.0,
            Self::Bicubic if far < 2.0 => (((far - 5.0) * far + 8.0) * far - 4.0) * -0.5,
            Self::Bicubic => 0.0,
            Self::Lanczos if (-3.0..3.0).contains(&place) => sinc(place) * sinc(place / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

fn sinc(place: f64) -> f64 {
    let angle = place * PI;
    if angle == 0.0 { 1.0 } else { angle.sin() / angle }
}

/// Each pixel from the one that its middle falls into.
#[must_use]
pub fn nearest(pixels: &Pixels, (width, height): (u32, u32)) -> Pixels {
    let (columns, rows) = (places(pixels.width, width), places(pixels.height, height));
    let mut data = Vec::with_capacity(columns.len() * rows.len() * pixels.channels);
    for row in rows {
        let row = pixels.row(row);
        for &column in &columns {
            data.extend_from_slice(&row[column * pixels.channels..][..pixels.channels]);
        }
    }
    Pixels { width, height, channels: pixels.channels, data }
}

/// Steps are added up, one after another: that is where the reference's roundings come from.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn places(from: u32, to: u32) -> Vec<usize> {
    let step = f64::from(from) / f64::from(to);
    let places = std::iter::successors(Some(step * 0.5), |place| Some(place + step));
    places.take(wide(to)).map(|place| (place as usize).min(wide(from) - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILTERS: [Filter; 5] = [Filter::Box, Filter::Bilinear, Filter::Hamming, Filter::Bicubic, Filter::Lanczos];

    #[test]
    fn weights_are_one_together() {
        for filter in FILTERS {
            for (from, to) in [(100, 7), (7, 100), (3, 2), (65_535, 1), (1, 9)] {
                for window in windows(Kernel { filter, antialias: true }, from, to) {
                    let off = window.weights.iter().sum::<i32>() - (1 << BITS);
                    let most = i32::try_from(window.weights.len()).unwrap();
                    assert!(off.abs() <= most, "{filter:?} {from} {to}: off by {off}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn one_colour_stays_that_colour(value: u8, width in 1u32..40, height in 1u32..40, wide in 1u32..40, high in 1u32..40) {
            for channels in [1, 3] {
                let image = Pixels::filled(width, height, channels, value);
                let resized = Pixels::filled(wide, high, channels, value);
                for filter in FILTERS {
                    prop_assert_eq!(&convolve(Kernel { filter, antialias: true }, &image, (wide, high)), &resized);
                }
                prop_assert_eq!(&nearest(&image, (wide, high)), &resized);
            }
        }
    }
}
