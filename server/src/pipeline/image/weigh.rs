//! Sums of bytes by weights in fixed point, sixteen at a time and exactly.
//!
//! A weight is parted into an upper and a lower part, for one instruction multiplies 16-bit numbers in pairs and adds up each:
//! two bytes by the weights of two. The sums of both parts are put together in the end, and nothing is lost.

use wide::{i16x8, i32x4, i32x8, u8x16};

/// Bits after the point of a weight: of 32, a byte and two more for sums below zero and above one are kept.
pub const BITS: u32 = 22;
const HALF: i32 = 1 << (BITS - 1);
/// Bits of a weight's lower part.
const LOW: u32 = 11;
/// Bytes that are summed up together.
pub const LANES: usize = 16;

/// Two weights that follow each other, again and again: their upper parts, and their lower ones.
#[derive(Clone, Copy, Debug)]
pub struct Pair(i16x8, i16x8);

impl Pair {
    /// Counts for nothing.
    pub const NONE: Self = Self(i16x8::ZERO, i16x8::ZERO);

    /// Of one or two numbers with [`BITS`] after the point, each below 16.
    #[must_use]
    pub fn new(weights: &[i32]) -> Self {
        let parts = |part: fn(i32) -> i32| {
            let at = |at| weights.get(at).map_or(0, |weight| i16::try_from(part(*weight)).unwrap_or(i16::MAX));
            i16x8::new(std::array::from_fn(|lane| at(lane % 2)))
        };
        Self(parts(|weight| weight >> LOW), parts(|weight| weight & ((1 << LOW) - 1)))
    }

    fn weights(self) -> [i32; 2] {
        let (upper, lower) = (self.0.to_array(), self.1.to_array());
        [0, 1].map(|at| (i32::from(upper[at]) << LOW) + i32::from(lower[at]))
    }
}

/// One row, of rows that are as long at least.
pub fn rows(pairs: &[Pair], rows: &[&[u8]], out: &mut [u8]) {
    let (blocks, rest) = out.as_chunks_mut::<LANES>();
    let from = blocks.len() * LANES;
    for (at, block) in blocks.iter_mut().enumerate() {
        *block = lanes(pairs, rows.iter().map(|row| row[at * LANES..].first_chunk().copied().unwrap_or_default()));
    }
    for (at, byte) in rest.iter_mut().enumerate() {
        *byte = one(pairs, rows.iter().map(|row| row[from + at]));
    }
}

/// The sum of all first bytes, of all second ones, and so on.
#[inline]
#[must_use]
pub fn lanes(pairs: &[Pair], mut bytes: impl Iterator<Item = [u8; LANES]>) -> [u8; LANES] {
    let mut sums = [Sums::NONE; 4];
    for pair in pairs {
        let Some(first) = bytes.next().map(u8x16::new) else { break };
        let second = bytes.next().map_or(u8x16::ZERO, u8x16::new);
        let (left, right) = (u8x16::unpack_low(first, second), u8x16::unpack_high(first, second));
        sums[0].add(i16x8::from_u8x16_low(left), pair);
        sums[1].add(i16x8::from_u8x16_high(left), pair);
        sums[2].add(i16x8::from_u8x16_low(right), pair);
        sums[3].add(i16x8::from_u8x16_high(right), pair);
    }
    let [a, b, c, d] = sums.map(Sums::round);
    u8x16::narrow_i16x8(narrow(a, b), narrow(c, d)).to_array()
}

/// The same of single bytes.
fn one(pairs: &[Pair], bytes: impl Iterator<Item = u8>) -> u8 {
    let weights = pairs.iter().flat_map(|pair| pair.weights());
    let sum: i32 = weights.zip(bytes).map(|(weight, byte)| i32::from(byte) * weight).sum();
    // Clamped to a byte before.
    u8::try_from(((sum + HALF) >> BITS).clamp(0, 255)).unwrap_or(u8::MAX)
}

/// What came together so far: by upper parts, and by lower ones with a half, to be rounded. Either may wrap where there are
/// very many weights: their sum is that of whole weights all the same.
#[derive(Clone, Copy)]
struct Sums(i32x4, i32x4);

impl Sums {
    const NONE: Self = Self(i32x4::ZERO, i32x4::splat(HALF));

    /// Adds four times two bytes.
    #[inline]
    fn add(&mut self, bytes: i16x8, pair: &Pair) {
        self.0 += bytes.dot(pair.0);
        self.1 += bytes.dot(pair.1);
    }

    #[inline]
    fn round(self) -> i32x4 {
        ((self.0 << LOW) + self.1) >> BITS
    }
}

#[inline]
fn narrow(left: i32x4, right: i32x4) -> i16x8 {
    let ([a, b, c, d], [e, f, g, h]) = (left.to_array(), right.to_array());
    i16x8::from_i32x8_saturate(i32x8::new([a, b, c, d, e, f, g, h]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn many_at_a_time_are_as_one_by_one(
            weights in prop::collection::vec(-(2 << BITS)..(2 << BITS), 1..9),
            bytes in prop::collection::vec(any::<[u8; 37]>(), 9),
        ) {
            // Together no more than two: sums of bytes fit.
            let count = i32::try_from(weights.len()).unwrap();
            let weights: Vec<i32> = weights.into_iter().map(|weight| weight / count).collect();
            let pairs: Vec<Pair> = weights.chunks(2).map(Pair::new).collect();
            let from: Vec<&[u8]> = bytes[..weights.len()].iter().map(|row| &row[..]).collect();
            let mut made = [0; 37];
            rows(&pairs, &from, &mut made);
            for (at, made) in made.into_iter().enumerate() {
                let sum: i64 = from.iter().zip(&weights).map(|(row, weight)| i64::from(row[at]) * i64::from(*weight)).sum();
                let rounded = ((sum + i64::from(HALF)) >> BITS).clamp(0, 255);
                prop_assert_eq!(i64::from(made), rounded, "byte {} of {:?}", at, weights);
            }
        }
    }
}
