//! Resizing: which size an image gets, and where it lies in its frame.

use super::{
    convolve::{Filter, convolve, nearest},
    decode::Decode,
    pixels::{Geometry, Pixels},
};
use crate::error::Error;
use millrace_crds::{self as crds, Anchor, ResizeFilter, ResizeMode};

/// Resizes, and fills what a letterbox leaves free.
///
/// # Errors
/// 422: the sides differ so much that the result would be larger than `decode` allows.
pub fn resize(spec: &crds::Resize, pixels: Pixels, geometry: &mut Geometry, decode: Decode) -> Result<Pixels, Error> {
    let from = (pixels.width, pixels.height);
    let to = size(spec, from);
    if spec.mode == ResizeMode::ShortestSide {
        decode.check_size(to.0, to.1)?;
    }
    let resized = resample(spec.filter, pixels, to);
    geometry.resized(from, to);
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
    }
}

fn resample(filter: ResizeFilter, pixels: Pixels, to: (u32, u32)) -> Pixels {
    if (pixels.width, pixels.height) == to {
        return pixels;
    }
    let filter = match filter {
        ResizeFilter::Nearest => return nearest(&pixels, to),
        ResizeFilter::Box => Filter::Box,
        ResizeFilter::Bilinear => Filter::Bilinear,
        ResizeFilter::Hamming => Filter::Hamming,
        ResizeFilter::Bicubic => Filter::Bicubic,
        ResizeFilter::Lanczos => Filter::Lanczos,
    };
    convolve(filter, &pixels, to)
}
