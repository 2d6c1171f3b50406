//! Input steps: from the raw input to the tensors of the model.

mod audio;
mod bytes;
mod image;
mod records;
mod text;

pub use audio::*;
pub use bytes::*;
pub use image::*;
pub use records::*;
pub use text::*;

use serde::{Deserialize, Serialize};

/// One step of input processing: exactly one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum PreprocessStep {
    /// Head and tail windows of raw bytes.
    Bytes(Bytes),
    /// Decodes an image.
    DecodeImage(DecodeImage),
    /// Resizes an image.
    Resize(Resize),
    /// Cuts the middle of an image out.
    CentreCrop(CentreCrop),
    /// Scales pixel values and lays the tensor out.
    Normalize(Normalize),
    /// Makes an image's tensor larger.
    Pad(Pad),
    /// Text to token ids.
    Tokenize(Tokenize),
    /// Tabular records to tensors.
    Records(Records),
    /// Decodes and frames audio.
    Audio(Audio),
}
