//! Images to tensors: decode, resize, crop, normalise.

mod convolve;
mod crop;
mod decode;
mod pixels;
mod resize;
mod tensor;
mod turn;
mod warp;
mod weigh;
mod windows;

pub use decode::Decode;
pub use pixels::{Geometry, Pixels};
pub use turn::turn;
pub use warp::{Quad, crop_size, cut_out};

use super::{Note, Prepared, Runs, Target, input};
use crate::error::Error;
use millrace_crds::{self as crds, ColorOrder, PreprocessStep};
use std::borrow::Cow;
use tensor::{Made, ToTensor};

/// What is done to pixels.
enum Change {
    Resize(crds::Resize),
    CentreCrop(crds::CentreCrop),
}

impl Change {
    fn cut(&self) -> Option<&crds::CentreCrop> {
        if let Self::CentreCrop(spec) = self { Some(spec) } else { None }
    }
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
        let mut made = Made::default();
        for step in rest {
            let last = made.pad.map(|_| "pad").or(made.normalize.map(|_| "normalize"));
            if let Some(last) = last.filter(|last| *last == "pad" || !matches!(step, PreprocessStep::Pad(_))) {
                return Err(format!("preprocess: {last} makes the tensor, and {} can't follow it", input::name(step)));
            }
            match step {
                PreprocessStep::Resize(spec) => {
                    made.resize(spec);
                    changes.push(Change::Resize(spec.clone()));
                }
                PreprocessStep::CentreCrop(spec) => {
                    made.exactly(spec.width, spec.height);
                    changes.push(Change::CentreCrop(spec.clone()));
                }
                PreprocessStep::Normalize(spec) => made.normalize = Some(spec),
                PreprocessStep::Pad(spec) => made.pad = Some(spec),
                other => {
                    return Err(format!(
                        "preprocess: {} takes the raw input; decodeImage before it gives an image",
                        input::name(other)
                    ));
                }
            }
        }
        let tensor = ToTensor::compile(spec.color, &made, target.signature)?;
        let decode = Decode { gray: spec.color == ColorOrder::Gray, max_pixels: spec.max_pixels };
        Ok(Self { decode, changes, tensor })
    }

    /// The tensor of an image file.
    ///
    /// # Errors
    /// 400: no image, or a broken one. 422: too large a one.
    pub fn prepare(&self, body: &[u8]) -> Result<Prepared, Error> {
        self.prepare_pixels(&self.decode.read(body)?)
    }

    /// The tensor of an image that is decoded already.
    ///
    /// # Errors
    /// 400: its sides differ so much that it would become too large.
    pub fn prepare_pixels(&self, image: &Pixels) -> Result<Prepared, Error> {
        let (pixels, geometry) = self.changed(image)?;
        Ok(Prepared::Runs(Runs::one(vec![self.tensor.tensor(&pixels)], Note::Image(geometry))))
    }

    /// The pixels that become the tensor.
    fn changed<'p>(&self, image: &'p Pixels) -> Result<(Cow<'p, Pixels>, Geometry), Error> {
        let mut pixels = Cow::Borrowed(image);
        let mut geometry = Geometry::of(image);
        for (at, change) in self.changes.iter().enumerate() {
            pixels = Cow::Owned(match change {
                Change::Resize(spec) => {
                    let cut = self.changes.get(at + 1).and_then(Change::cut);
                    resize::resize(spec, cut, &pixels, &mut geometry, self.decode)?
                }
                Change::CentreCrop(spec) if (pixels.width, pixels.height) == (spec.width, spec.height) => continue,
                Change::CentreCrop(spec) => crop::centre_crop(spec, &pixels, &mut geometry),
            });
        }
        Ok((pixels, geometry))
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
