//! Resizing: which size an image gets, and where it lies in its frame.

use super::{
    convolve::{convolve, nearest},
    crop,
    decode::Decode,
    pixels::{Geometry, Part, Pixels},
    windows::{Filter, Kernel},
};
use crate::error::Error;
use millrace_crds::{self as crds, Anchor, CentreCrop, ResizeFilter, ResizeMode};

/// Resizes, and fills what a letterbox leaves free. What a `cut` that follows doesn't keep isn't made.
///
/// # Errors
/// 422: the sides differ so much that the result would be larger than `decode` allows.
pub fn resize(
    spec: &crds::Resize,
    cut: Option<&CentreCrop>,
    pixels: &Pixels,
    geometry: &mut Geometry,
    decode: Decode,
) -> Result<Pixels, Error> {
    let from = (pixels.width, pixels.height);
    let to = size(spec, from);
    if matches!(spec.mode, ResizeMode::ShortestSide | ResizeMode::AtLeast | ResizeMode::Height) {
        decode.check_size(to.0, to.1)?;
    }
    geometry.resized(from, to);
    let cut = cut.filter(|_| spec.mode != ResizeMode::Letterbox && from != to);
    let part = cut.map_or_else(|| Part::all(to), |cut| crop::kept(cut, to));
    geometry.moved(-i64::from(part.columns.start), -i64::from(part.rows.start));
    let resized = resample(spec, pixels, to, &part);
    if spec.mode != ResizeMode::Letterbox || to == (spec.width, spec.height) {
        return Ok(resized);
    }
    let (left, top) = match spec.anchor {
        Anchor::TopLeft => (0, 0),
        Anchor::Centre => ((spec.width - to.0) / 2, (spec.height - to.1) / 2),
    };
    geometry.moved(left.into(), top.into());
    let mut framed = Pixels::filled(spec.width, spec.height, resized.channels, spec.fill);
    framed.paste(&resized, (0, 0), (left, top));
    Ok(framed)
}

/// The size that an image of `from` gets, before a letterbox is filled up.
#[must_use]
pub fn size(spec: &crds::Resize, from: (u32, u32)) -> (u32, u32) {
    let (width, height) = (u64::from(from.0), u64::from(from.1));
    let (wide, high) = (u64::from(spec.width), u64::from(spec.height));
    let fit = |side: u64| u32::try_from(side.max(1)).unwrap_or(u32::MAX);
    // Which side reaches its size first when the image grows.
    let tall = wide * height >= high * width;
    match spec.mode {
        ResizeMode::Stretch => (spec.width, spec.height),
        ResizeMode::ShortestSide if tall => (spec.width, fit(wide * height / width)),
        ResizeMode::ShortestSide => (fit(high * width / height), spec.height),
        ResizeMode::Letterbox => {
            let ratio = (f64::from(spec.width) / f64::from(from.0)).min(f64::from(spec.height) / f64::from(from.1));
            let side = |length: u32, most: u32| {
                // At most the frame's side, which fits.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let scaled = (f64::from(length) * ratio).round_ties_even() as u32;
                scaled.clamp(1, most)
            };
            (side(from.0, spec.width), side(from.1, spec.height))
        }
        ResizeMode::AtLeast => at_least(spec, from),
        // Sides of images fit 32 bits, and the result is bounded before it becomes a whole number.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        ResizeMode::Height => {
            let ratio = f64::from(from.0) / f64::from(from.1);
            let (wide, exact) = (f64::from(spec.width), f64::from(spec.height) * ratio);
            let side = if exact.ceil() <= wide { exact.ceil() } else { exact.floor() };
            ((side as u32).clamp(1, spec.max_side.unwrap_or(u32::MAX).max(1)), spec.height)
        }
    }
}

/// Grows by whole pixels, and then each side to its nearest multiple; halves go to the even one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn at_least(spec: &crds::Resize, (width, height): (u32, u32)) -> (u32, u32) {
    let (width, height, longest) = (f64::from(width), f64::from(height), f64::from(width.max(height)));
    let grow = (f64::from(spec.width) / width).max(f64::from(spec.height) / height).max(1.0);
    let most = spec.max_side.map_or(f64::INFINITY, |side| f64::from(side) / longest);
    let multiple = f64::from(spec.multiple_of.max(1));
    let side = |length: f64| {
        let whole = (length * grow.min(most)).floor();
        ((whole / multiple).round_ties_even().max(1.0) * multiple) as u32
    };
    (side(width), side(height))
}

fn resample(spec: &crds::Resize, pixels: &Pixels, to: (u32, u32), part: &Part) -> Pixels {
    if (pixels.width, pixels.height) == to {
        return pixels.clone();
    }
    let filter = match spec.filter {
        ResizeFilter::Nearest => return nearest(pixels, to, part),
        ResizeFilter::Box => Filter::Box,
        ResizeFilter::Bilinear => Filter::Bilinear,
        ResizeFilter::Hamming => Filter::Hamming,
        ResizeFilter::Bicubic => Filter::Bicubic,
        ResizeFilter::Lanczos => Filter::Lanczos,
    };
    convolve(Kernel { filter, antialias: spec.antialias }, pixels, to, part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, from: (u32, u32)) -> (u32, u32) {
        size(&serde_json::from_str(json).unwrap(), from)
    }

    #[test]
    fn sizes_that_the_image_decides() {
        let detect = r#"{"width": 736, "height": 736, "mode": "AtLeast", "multipleOf": 32, "maxSide": 2000}"#;
        for (from, to) in [
            ((100, 100), (736, 736)),
            ((640, 480), (992, 736)), // 981 and 736
            ((1000, 800), (992, 800)),
            ((1008, 1008), (1024, 1024)), // 31.5 goes to 32, the even one
            ((1040, 1040), (1024, 1024)), // and so does 32.5
            ((4000, 2000), (1984, 992)),
            ((10, 100_000), (32, 1984)),
        ] {
            assert_eq!(check(detect, from), to, "{from:?}");
        }
        let line = r#"{"width": 192, "height": 48, "mode": "Height", "maxSide": 1000}"#;
        for (from, to) in [
            ((100, 48), (100, 48)),
            ((101, 49), (99, 48)),  // 98.9
            ((195, 47), (199, 48)), // 199.1
            ((5, 4_000), (1, 48)),
            ((9_000, 30), (1_000, 48)),
        ] {
            assert_eq!(check(line, from), to, "{from:?}");
        }
    }
}
