//! Which pixels a pixel of a resized image is made of, and by which weights.

use super::{
    pixels::wide,
    weigh::{BITS, Pair},
};
use std::{f64::consts::PI, ops::Range};

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

/// What the pixels of the result are made of, in one direction.
#[derive(Debug)]
pub struct Windows {
    /// Where each begins, and how many pixels it has. None begins before the one ahead of it.
    pub places: Vec<(usize, usize)>,
    /// Their weights: for each as many pairs as the largest one takes, so that they are found by its place.
    pairs: Vec<Pair>,
    /// The pixels that any of them looks at, and what is between.
    pub span: Range<usize>,
    /// They look at few of the pixels, far apart.
    pub sparse: bool,
}

impl Windows {
    /// A window for each pixel in `part` of a side that goes from a size to another.
    #[must_use]
    pub fn new(kernel: Kernel, from: u32, to: u32, part: Range<u32>) -> Self {
        let windows: Vec<_> = part.map(|at| window(kernel, (from, to), at)).collect();
        let most = windows.iter().map(|(_, weights)| weights.len().div_ceil(2)).max().unwrap_or(0);
        let mut pairs = Vec::with_capacity(most * windows.len());
        for (at, (_, weights)) in windows.iter().enumerate() {
            pairs.extend(weights.chunks(2).map(Pair::new));
            pairs.resize((at + 1) * most, Pair::NONE);
        }
        let places: Vec<(usize, usize)> = windows.iter().map(|(start, weights)| (*start, weights.len())).collect();
        let sparse = places.iter().map(|(_, count)| count).sum::<usize>() < wide(from) / 2;
        let start = places.first().map_or(0, |(start, _)| *start);
        let span = start..places.iter().map(|(start, count)| start + count).max().unwrap_or(start);
        Self { places, pairs, span, sparse }
    }

    /// Where each begins, how many pixels it has, and their weights.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize, &[Pair])> {
        let each = (self.pairs.len() / self.places.len().max(1)).max(1);
        self.places.iter().zip(self.pairs.chunks(each)).map(|((start, count), pairs)| (*start, *count, pairs))
    }
}

/// Where the window of one pixel begins, and its weights.
// Places within an image are exact in 64-bit floats, and weights far below 32 bits.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub fn window(Kernel { filter, antialias }: Kernel, (from, to): (u32, u32), at: u32) -> (usize, Vec<i32>) {
    if from == to {
        return (wide(at), vec![1 << BITS]);
    }
    let scale = f64::from(from) / f64::from(to);
    let spread = if antialias { scale.max(1.0) } else { 1.0 };
    let reach = filter.reach() * spread;
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
    (start, weights.into_iter().map(fixed).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_one_together() {
        for filter in [Filter::Box, Filter::Bilinear, Filter::Hamming, Filter::Bicubic, Filter::Lanczos] {
            for (from, to) in [(100, 7), (7, 100), (3, 2), (65_535, 1), (1, 9)] {
                for at in 0..to {
                    let (_, weights) = window(Kernel { filter, antialias: true }, (from, to), at);
                    let off = weights.iter().sum::<i32>() - (1 << BITS);
                    let most = i32::try_from(weights.len()).unwrap();
                    assert!(off.abs() <= most, "{filter:?} {from} {to}: off by {off}");
                }
            }
        }
    }
}
