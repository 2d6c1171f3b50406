//! Images to tensors.

use serde::{Deserialize, Serialize};

/// Decodes JPEG, PNG, WebP or the first frame of a GIF, upright by its EXIF orientation. Transparency is dropped, as PIL's `convert` does; samples of 16 bits keep their high byte.
/// Without a normalize step, the model gets the pixels as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecodeImage {
    /// Order of the colour channels.
    #[serde(default)]
    pub color: ColorOrder,
    /// Images of more pixels (width × height) are answered 422 before they are decoded, and so are sides of more than 65,535.
    #[serde(default = "default_max_pixels")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_000_000_000)))]
    pub max_pixels: u64,
}

fn default_max_pixels() -> u64 {
    40_000_000
}

/// Order of colour channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum ColorOrder {
    /// Red first.
    #[default]
    RGB,
    /// Blue first.
    BGR,
    /// One channel.
    Gray,
}

/// Resizes to width and height in pixels, or to a size that both decide with the image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resize {
    /// Width.
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 16_384)))]
    pub width: u32,
    /// Height.
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 16_384)))]
    pub height: u32,
    /// How the sides fit.
    #[serde(default)]
    pub mode: ResizeMode,
    /// How pixels are computed.
    #[serde(default)]
    pub filter: ResizeFilter,
    /// Whether a filter's window grows when an image shrinks, so that nothing aliases. OpenCV's `INTER_LINEAR` doesn't.
    #[serde(default = "default_antialias")]
    pub antialias: bool,
    /// AtLeast: each side becomes the nearest multiple of this.
    #[serde(default = "default_multiple")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_024)))]
    pub multiple_of: u32,
    /// AtLeast and Height: an image whose longer side, or width, would be longer shrinks instead; absent: none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 16_384)))]
    pub max_side: Option<u32>,
    /// Where a letterboxed image lies.
    #[serde(default)]
    pub anchor: Anchor,
    /// Letterbox: value of each channel where the image isn't.
    #[serde(default = "default_fill")]
    #[cfg_attr(feature = "resource", schemars(range(max = 255)))]
    pub fill: u8,
}

fn default_fill() -> u8 {
    114
}

fn default_antialias() -> bool {
    true
}

fn default_multiple() -> u32 {
    1
}

/// Where an image lies in a larger frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum Anchor {
    /// In the middle; an odd pixel goes to the right and to the bottom.
    #[default]
    Centre,
    /// In the top left corner.
    TopLeft,
}

/// How an image fits a size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum ResizeMode {
    /// Both sides exactly.
    #[default]
    Stretch,
    /// The smallest image of the same ratio that covers width × height: of a square, the shorter side exactly, and the longer one rounded down, as torchvision does.
    ShortestSide,
    /// The largest image of the same ratio that fits, its sides rounded, and the rest filled.
    Letterbox,
    /// An image that doesn't cover width × height grows, in the same ratio, until it does; a larger one stays.
    AtLeast,
    /// Height exactly, and width by the image's ratio: rounded up as far as `width`, and beyond it down; `maxSide` at most.
    Height,
}

/// Interpolation as PIL defines it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum ResizeFilter {
    /// Nearest pixel.
    Nearest,
    /// Mean of the pixels that fall into one.
    Box,
    /// Linear.
    #[default]
    Bilinear,
    /// Sharper than linear, at the same cost: a sinc under Hamming's window.
    Hamming,
    /// Cubic.
    Bicubic,
    /// Lanczos, three lobes.
    Lanczos,
}

/// Cuts the middle out, in pixels, as torchvision does: a smaller image is put on black.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CentreCrop {
    /// Width.
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 16_384)))]
    pub width: u32,
    /// Height.
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 16_384)))]
    pub height: u32,
}

/// (pixel × scale − mean) / std for each channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Normalize {
    /// Factor; absent: pixels are divided by 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// For each channel, in the order of `color`; one number: for all; absent: 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 4)))]
    pub mean: Vec<f64>,
    /// For each channel, likewise; absent: 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 4)))]
    pub std: Vec<f64>,
    /// Order of dimensions.
    #[serde(default)]
    pub layout: Layout,
}

/// Adds columns on the right and rows below to the tensor of an image, after normalize.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pad {
    /// Least width.
    #[serde(default)]
    #[cfg_attr(feature = "resource", schemars(range(max = 16_384)))]
    pub width: u32,
    /// Least height.
    #[serde(default)]
    #[cfg_attr(feature = "resource", schemars(range(max = 16_384)))]
    pub height: u32,
    /// Width grows on to a multiple of this, so that images of nearly the same width share a batch.
    #[serde(default = "default_multiple")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_024)))]
    pub width_multiple_of: u32,
    /// What the tensor holds there.
    #[serde(default)]
    pub value: f64,
}

/// Order of dimensions of an image tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum Layout {
    /// Channels before rows.
    #[default]
    NCHW,
    /// Channels last.
    NHWC,
}
