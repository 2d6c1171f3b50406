//! Resizing as PIL does it: convolution with a window that grows as the image shrinks.

use super::{
    decode::Decode,
    pixels::{Geometry, Pixels},
};
use crate::error::{Error, Kind};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, images::Image};
use millrace_crds::{self as crds, Anchor, ResizeFilter, ResizeMode};

/// Resizes, and fills what a letterbox leaves free.
///
/// # Errors
/// 400: the sides differ so much that the result would be larger than `decode` allows.
pub fn resize(spec: &crds::Resize, pixels: Pixels, geometry: &mut Geometry, decode: Decode) -> Result<Pixels, Error> {
    let from = (pixels.width, pixels.height);
    let to = size(spec, from);
    if spec.mode == ResizeMode::ShortestSide {
        decode.check_size(to.0, to.1)?;
    }
    let resized = convolve(spec.filter, pixels, to)?;
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

fn convolve(filter: ResizeFilter, pixels: Pixels, (width, height): (u32, u32)) -> Result<Pixels, Error> {
    if (pixels.width, pixels.height) == (width, height) {
        return Ok(pixels);
    }
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "resize");
        Error::new(Kind::Engine, "the image can't be resized")
    };
    let channels = pixels.channels;
    let kind = if channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let algorithm = match filter {
        ResizeFilter::Nearest => ResizeAlg::Nearest,
        ResizeFilter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        // PIL's cubic has a = -0.5, which is Catmull and Rom's.
        ResizeFilter::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        ResizeFilter::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
    };
    let source = Image::from_vec_u8(pixels.width, pixels.height, pixels.data, kind).map_err(|error| failed(&error))?;
    let mut target = Image::new(width, height, kind);
    let options = ResizeOptions::new().resize_alg(algorithm).use_alpha(false);
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| failed(&error))?;
    Ok(Pixels { width, height, channels, data: target.into_vec() })
}
