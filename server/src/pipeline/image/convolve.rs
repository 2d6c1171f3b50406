//! PIL's resampling of bytes, to the bit: across and down, each by weights in fixed point and rounded to bytes.
//!
//! A vector library of this trade rounds weights to 16 bits, and is off by one here and there: a score that is compared to
//! its reference shouldn't have to forgive that.

use super::{
    pixels::{Part, Pixels, wide},
    weigh::{self, LANES},
    windows::{Kernel, Windows},
};
use std::{array, collections::VecDeque, ops::Range};

/// Bytes of a pixel where several rows lie side by side, whatever it has.
const CELL: usize = 4;
/// Rows that are resized across together.
const TOGETHER: usize = LANES / CELL;

/// Resizes to a size, and makes a part of that. A row that is resized across first is made when a row of the result needs it, and kept as long as another may:
/// what is held beside source and result stays small, whatever the sides are.
#[must_use]
pub fn convolve(kernel: Kernel, pixels: &Pixels, to: (u32, u32), part: &Part) -> Pixels {
    match pixels.channels {
        1 => by_channels::<1>(kernel, pixels, to, part),
        _ => by_channels::<3>(kernel, pixels, to, part),
    }
}

fn by_channels<const C: usize>(kernel: Kernel, pixels: &Pixels, (width, height): (u32, u32), part: &Part) -> Pixels {
    let columns = Windows::new(kernel, pixels.width, width, part.columns.clone());
    let rows = Windows::new(kernel, pixels.height, height, part.rows.clone());
    let made = part.size();
    let mut resized = Pixels::filled(made.0, made.1, C, 0);
    let mut out = resized.data.chunks_exact_mut((columns.places.len() * C).max(1));
    let mut cells = vec![[[0; CELL]; TOGETHER]; wide(pixels.width)];
    let mut rows = rows.iter().peekable();
    if down_first((pixels.width, pixels.height), (width, height)) {
        let mut lines: [_; TOGETHER] = array::from_fn(|_| vec![0; wide(pixels.width) * C]);
        while rows.peek().is_some() {
            for (line, (start, count, pairs)) in lines.iter_mut().zip(&mut rows) {
                let from: Vec<&[u8]> = (start..start + count).map(|at| pixels.row(at)).collect();
                weigh::rows(pairs, &from, line);
            }
            let made = across::<C>(lines.each_ref().map(Vec::as_slice), &columns, &mut cells);
            made.iter().zip(&mut out).for_each(|(line, out)| out.copy_from_slice(line));
        }
        return resized;
    }
    let mut kept: VecDeque<Vec<u8>> = VecDeque::new();
    let mut first = 0;
    for ((start, count, pairs), out) in rows.zip(out) {
        kept.drain(..(start - first).min(kept.len()));
        first = start;
        while kept.len() < count {
            // After the last row it comes again, and isn't looked at.
            let next = first + kept.len();
            let row = |at: usize| pixels.row((next + at).min(wide(pixels.height) - 1));
            kept.extend(across::<C>(array::from_fn(row), &columns, &mut cells));
        }
        let from: Vec<&[u8]> = kept.iter().take(count).map(Vec::as_slice).collect();
        weigh::rows(pairs, &from, out);
    }
    resized
}

/// Which direction comes first, for its rounding shows in the end: Pillow 13 goes by how much either takes away.
fn down_first(from: (u32, u32), to: (u32, u32)) -> bool {
    let lost = |from: u32, to: u32| i64::from(from) - i64::from(to);
    let (across, down) = (lost(from.0, to.0), lost(from.1, to.1));
    down > 0 && down > 2 * across
}

/// Rows, resized. `cells` is room for their pixels, those of a column side by side.
fn across<const C: usize>(
    rows: [&[u8]; TOGETHER],
    columns: &Windows,
    cells: &mut [[[u8; CELL]; TOGETHER]],
) -> [Vec<u8>; TOGETHER] {
    for (at, row) in rows.into_iter().enumerate() {
        if columns.sparse {
            let pixels = row.as_chunks::<C>().0;
            for pixel in columns.places.iter().flat_map(|(start, count)| *start..start + count) {
                cells[pixel][at][..C].copy_from_slice(&pixels[pixel]);
            }
            continue;
        }
        // What follows a pixel is taken with it, and dropped in the end; nothing follows the last ones.
        let (row, cells) = (&row[columns.span.start * C..columns.span.end * C], &mut cells[columns.span.clone()]);
        let quick =
            row.windows(CELL).step_by(C).zip(&mut *cells).map(|(pixel, cells)| cells[at].copy_from_slice(pixel));
        let done = quick.count();
        for (cells, pixel) in cells.iter_mut().zip(row.as_chunks::<C>().0).skip(done) {
            cells[at][..C].copy_from_slice(pixel);
        }
    }
    let mut out = rows.map(|_| vec![0; columns.places.len() * C]);
    for (at, (start, count, pairs)) in columns.iter().enumerate() {
        let cells = cells[start..start + count].as_flattened().as_flattened().as_chunks().0;
        let pixels = weigh::lanes(pairs, cells.iter().copied());
        for (out, pixel) in out.iter_mut().zip(pixels.as_chunks::<CELL>().0) {
            out[at * C..(at + 1) * C].copy_from_slice(&pixel[..C]);
        }
    }
    out
}

/// Each pixel from the one that its middle falls into.
#[must_use]
pub fn nearest(pixels: &Pixels, (width, height): (u32, u32), part: &Part) -> Pixels {
    let columns = places(pixels.width, width, &part.columns);
    let rows = places(pixels.height, height, &part.rows);
    let mut data = Vec::with_capacity(columns.len() * rows.len() * pixels.channels);
    for row in rows {
        let row = pixels.row(row);
        for &column in &columns {
            data.extend_from_slice(&row[column * pixels.channels..][..pixels.channels]);
        }
    }
    let (width, height) = part.size();
    Pixels { width, height, channels: pixels.channels, data }
}

/// Steps are added up, one after another: that is where the reference's roundings come from.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn places(from: u32, to: u32, part: &Range<u32>) -> Vec<usize> {
    let step = f64::from(from) / f64::from(to);
    let places = std::iter::successors(Some(step * 0.5), |place| Some(place + step));
    let places = places.take(wide(part.end)).skip(wide(part.start));
    places.map(|place| (place as usize).min(wide(from) - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::windows::{Filter, window},
        *,
    };
    use proptest::prelude::*;

    const FILTERS: [Filter; 5] = [Filter::Box, Filter::Bilinear, Filter::Hamming, Filter::Bicubic, Filter::Lanczos];

    /// Each pixel from those in its windows, one by one: across, then down, or the other way round.
    fn plain(kernel: Kernel, pixels: &Pixels, (width, height): (u32, u32)) -> Pixels {
        let channels = pixels.channels;
        let one = |from: &Pixels, (start, weights): &(usize, Vec<i32>), at: usize, across: bool, channel: usize| {
            let sum: i32 = weights
                .iter()
                .zip(*start..)
                .map(|(weight, from_at)| {
                    let (x, y) = if across { (from_at, at) } else { (at, from_at) };
                    weight * i32::from(from.row(y)[x * channels + channel])
                })
                .sum();
            u8::try_from(((sum + (1 << 21)) >> 22).clamp(0, 255)).unwrap()
        };
        let turn = |from: &Pixels, across: bool| {
            let (was, is) = if across { (from.width, width) } else { (from.height, height) };
            let all: Vec<_> = (0..is).map(|at| window(kernel, (was, is), at)).collect();
            let (columns, rows) = if across { (is, from.height) } else { (from.width, is) };
            let mut made = Pixels::filled(columns, rows, channels, 0);
            for (at, byte) in made.data.iter_mut().enumerate() {
                let (pixel, channel) = (at / channels, at % channels);
                let (x, y) = (pixel % wide(columns), pixel / wide(columns));
                let (place, other) = if across { (x, y) } else { (y, x) };
                *byte = one(from, &all[place], other, across, channel);
            }
            made
        };
        let first = !down_first((pixels.width, pixels.height), (width, height));
        turn(&turn(pixels, first), !first)
    }

    /// Some of a side, from one share of it to another.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn some(side: u32, a: f64, b: f64) -> Range<u32> {
        let at = |share: f64| (share * f64::from(side)) as u32;
        at(a.min(b))..at(a.max(b)) + 1
    }

    fn only(pixels: &Pixels, part: &Part) -> Pixels {
        let (width, height) = part.size();
        let mut cut = Pixels::filled(width, height, pixels.channels, 0);
        cut.paste(pixels, (part.columns.start, part.rows.start), (0, 0));
        cut
    }

    proptest! {
        #[test]
        fn many_at_a_time_are_as_one_by_one(
            (width, height) in (1u32..40, 1u32..40), to in (1u32..40, 1u32..40), seed: u64, antialias: bool,
            corners in prop::array::uniform4(0.0..1.0f64),
        ) {
            let [left, right, top, bottom] = corners;
            let part = Part { columns: some(to.0, left, right), rows: some(to.1, top, bottom) };
            for channels in [1, 3] {
                let mut state = seed | 1;
                let mut image = Pixels::filled(width, height, channels, 0);
                for byte in &mut image.data {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *byte = state.to_be_bytes()[0];
                }
                for filter in FILTERS {
                    let kernel = Kernel { filter, antialias };
                    let (whole, plain) = (convolve(kernel, &image, to, &Part::all(to)), plain(kernel, &image, to));
                    prop_assert_eq!(&whole, &plain, "{:?}", filter);
                    prop_assert_eq!(convolve(kernel, &image, to, &part), only(&plain, &part), "{:?} {:?}", filter, part);
                }
                let whole = nearest(&image, to, &Part::all(to));
                prop_assert_eq!(nearest(&image, to, &part), only(&whole, &part), "{:?}", part);
            }
        }

        #[test]
        fn one_colour_stays_that_colour(value: u8, width in 1u32..40, height in 1u32..40, wide in 1u32..40, high in 1u32..40) {
            for channels in [1, 3] {
                let image = Pixels::filled(width, height, channels, value);
                let resized = Pixels::filled(wide, high, channels, value);
                for filter in FILTERS {
                    let kernel = Kernel { filter, antialias: true };
                    prop_assert_eq!(&convolve(kernel, &image, (wide, high), &Part::all((wide, high))), &resized);
                }
                prop_assert_eq!(&nearest(&image, (wide, high), &Part::all((wide, high))), &resized);
            }
        }
    }
}
