//! Images to tensors: decode, resize, crop, normalise.

mod convolve;
mod crop;
mod decode;
mod pixels;
mod resize;
mod tensor;

pub use decode::Decode;
pub use pixels::{Geometry, Pixels};

use super::{Note, Prepared, Runs, Target, input};
use crate::error::Error;
use millrace_crds::{self as crds, ColorOrder, PreprocessStep, ResizeMode};
use tensor::ToTensor;

/// What is done to pixels.
enum Change {
    Resize(crds::Resize),
    CentreCrop(crds::CentreCrop),
}

/// Image steps that fit the model.
pub struct ImageSteps {
    decode: Decode,
    changes: Vec<Change>,
    tensor: ToTensor,
}

impl ImageSteps {
    /// Checks the steps after decodeImage, and what they make against the model.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile(spec: &crds::DecodeImage, rest: &[PreprocessStep], target: &Target<'_>) -> Result<Self, String> {
        let mut changes = Vec::new();
        let mut normalize = None;
        let mut size = None;
        for step in rest {
            if normalize.is_some() {
                return Err(format!(
                    "preprocess: normalize makes the tensor, and {} can't follow it",
                    input::name(step)
                ));
            }
            match step {
                PreprocessStep::Resize(spec) => {
                    size = (spec.mode != ResizeMode::ShortestSide).then_some((spec.width, spec.height));
                    changes.push(Change::Resize(spec.clone()));
                }
                PreprocessStep::CentreCrop(spec) => {
                    size = Some((spec.width, spec.height));
                    changes.push(Change::CentreCrop(spec.clone()));
                }
                PreprocessStep::Normalize(spec) => normalize = Some(spec),
                other => {
                    return Err(format!(
                        "preprocess: {} takes the raw input; decodeImage before it gives an image",
                        input::name(other)
                    ));
                }
            }
        }
        let tensor = ToTensor::compile(spec.color, normalize, size, target.signature)?;
        let decode = Decode { gray: spec.color == ColorOrder::Gray, max_pixels: spec.max_pixels };
        Ok(Self { decode, changes, tensor })
    }

    /// The tensor of an image file.
    ///
    /// # Errors
    /// 400: no image, or a broken one. 422: too large a one.
    pub fn prepare(&self, body: &[u8]) -> Result<Prepared, Error> {
        let (pixels, geometry) = self.pixels(body)?;
        Ok(Prepared::Runs(Runs::one(vec![self.tensor.tensor(&pixels)], Note::Image(geometry))))
    }

    /// The pixels that become the tensor.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn pixels(&self, body: &[u8]) -> Result<(Pixels, Geometry), Error> {
        let mut pixels = self.decode.read(body)?;
        let mut geometry = Geometry::of(&pixels);
        for change in &self.changes {
            pixels = match change {
                Change::Resize(spec) => resize::resize(spec, pixels, &mut geometry, self.decode)?,
                Change::CentreCrop(spec) => crop::centre_crop(spec, &pixels, &mut geometry),
            };
        }
        Ok((pixels, geometry))
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
