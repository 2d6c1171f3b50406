//! Bytes of an image file to upright pixels. Sizes are checked before anything is decoded.

use super::pixels::Pixels;
use crate::error::{Error, Kind};
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::{io::Cursor, panic};

/// What a decoder may hold beside the pixels.
const ROOM: u64 = 32 << 20;
/// The longest side. Formats other than PNG have no longer ones; what resizing holds for a side grows with it.
const MAX_SIDE: u32 = 65_535;

/// A decodeImage step.
#[derive(Clone, Copy, Debug)]
pub struct Decode {
    /// To one channel.
    pub gray: bool,
    /// The largest image.
    pub max_pixels: u64,
}

impl Decode {
    /// Decodes a file.
    ///
    /// # Errors
    /// 400: no such format, broken, or cut off. 422: more pixels than allowed.
    pub fn read(self, body: &[u8]) -> Result<Pixels, Error> {
        let format = match image::guess_format(body) {
            Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP | ImageFormat::Gif)) => format,
            _ => return Err(Error::invalid("the body is no JPEG, PNG, WebP or GIF image")),
        };
        if format == ImageFormat::Jpeg && !ends(body) {
            return Err(broken(format, "it is cut off"));
        }
        // A decoder that panics on a file refuses it. Nothing of ours is shared with it.
        panic::catch_unwind(|| self.decode(body, format)).unwrap_or_else(|_| Err(broken(format, "it can't be decoded")))
    }

    fn decode(self, body: &[u8], format: ImageFormat) -> Result<Pixels, Error> {
        let failed = |error| self.failed(format, error);
        let mut reader = ImageReader::with_format(Cursor::new(body), format);
        let mut limits = Limits::default();
        // At most four channels of two bytes for each pixel.
        limits.max_alloc = Some(self.max_pixels.saturating_mul(8).saturating_add(ROOM));
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(failed)?;
        let (width, height) = decoder.dimensions();
        self.check_size(width, height)?;
        let orientation = decoder.orientation().map_err(failed)?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(failed)?;
        image.apply_orientation(orientation);
        let image = narrow(image).ok_or_else(|| broken(format, "it can't be decoded"))?;
        Ok(self.pixels(image))
    }

    /// Refuses sizes above the limit.
    ///
    /// # Errors
    /// 422, naming the field.
    pub fn check_size(self, width: u32, height: u32) -> Result<(), Error> {
        if width == 0 || height == 0 {
            return Err(Error::invalid("the image has no pixels"));
        }
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(unprocessable(format!(
                "the image has {width} × {height} pixels; decodeImage.maxPixels of this service takes {}",
                self.max_pixels
            )));
        }
        if width.max(height) > MAX_SIDE {
            return Err(unprocessable(format!(
                "the image has {width} × {height} pixels; a side has {MAX_SIDE} at most"
            )));
        }
        Ok(())
    }

    fn pixels(self, image: DynamicImage) -> Pixels {
        let (width, height) = (image.width(), image.height());
        let (channels, data) = match (self.gray, image) {
            (true, DynamicImage::ImageLuma8(gray)) => (1, gray.into_raw()),
            (true, other) => (1, other.into_rgb8().into_raw().as_chunks().0.iter().map(luma).collect()),
            (false, image) => (3, image.into_rgb8().into_raw()),
        };
        Pixels { width, height, channels, data }
    }

    fn failed(self, format: ImageFormat, error: ImageError) -> Error {
        tracing::debug!(%error, "image");
        match error {
            ImageError::Limits(_) => unprocessable(format!(
                "the image needs more memory than decodeImage.maxPixels of this service, {}, allows",
                self.max_pixels
            )),
            ImageError::Unsupported(_) => broken(format, "it is of a kind that isn't supported"),
            _ => broken(format, "it is broken or cut off"),
        }
    }
}

fn broken(format: ImageFormat, how: &str) -> Error {
    let name = match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        _ => "GIF",
    };
    Error::invalid(format!("the {name} image can't be read: {how}"))
}

fn unprocessable(message: String) -> Error {
    Error::new(Kind::Unprocessable, message)
}

/// Samples of 16 bits keep their high byte, as PIL reads them.
fn narrow(image: DynamicImage) -> Option<DynamicImage> {
    let (width, height) = (image.width(), image.height());
    let high = |samples: Vec<u16>| -> Vec<u8> { samples.into_iter().map(|sample| sample.to_be_bytes()[0]).collect() };
    match image {
        DynamicImage::ImageLuma16(wide) => {
            ImageBuffer::from_raw(width, height, high(wide.into_raw())).map(DynamicImage::ImageLuma8)
        }
        DynamicImage::ImageLumaA16(wide) => {
            ImageBuffer::from_raw(width, height, high(wide.into_raw())).map(DynamicImage::ImageLumaA8)
        }
        DynamicImage::ImageRgb16(wide) => {
            ImageBuffer::from_raw(width, height, high(wide.into_raw())).map(DynamicImage::ImageRgb8)
        }
        DynamicImage::ImageRgba16(wide) => {
            ImageBuffer::from_raw(width, height, high(wide.into_raw())).map(DynamicImage::ImageRgba8)
        }
        narrow => Some(narrow),
    }
}

/// Brightness by ITU-R 601-2 in 16-bit fixed point, as PIL's mode L.
fn luma(&[red, green, blue]: &[u8; 3]) -> u8 {
    let sum = u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471 + 0x8000;
    u8::try_from(sum >> 16).unwrap_or(u8::MAX)
}

/// Whether a JPEG has its end mark after its first scan: the decoder would fill up what is missing, in silence.
fn ends(body: &[u8]) -> bool {
    let mut at = 2; // after the start mark
    while let Some(&[0xff, mark]) = body.get(at..at + 2) {
        match mark {
            0xff => at += 1,
            // From the back, where a whole file has it.
            0xda => return body[at..].windows(2).rev().any(|pair| pair == [0xff, 0xd9]),
            0x01 | 0xd0..=0xd8 => at += 2,
            _ => match body.get(at + 2..at + 4) {
                Some(&[high, low]) => at += 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        }
    }
    false
}
