//! Input steps: from the raw input to the tensors of the model.

use crate::{Line, Token};
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

/// Takes windows from both ends of the raw input, one integer for each byte. White space is ASCII: space, tab, line feed, carriage return, vertical tab, form feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bytes {
    /// Tokens taken from the front (after its white space is stripped); padded at the end.
    #[cfg_attr(feature = "resource", schemars(range(max = 1_048_576)))]
    pub head: u32,
    /// Tokens taken from the end (after its white space is stripped); padded at the front.
    #[cfg_attr(feature = "resource", schemars(range(max = 1_048_576)))]
    pub tail: u32,
    /// Bytes read at each end before stripping.
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 4_194_304)))]
    pub block: u32,
    /// The token that fills what is missing.
    pub padding: i32,
    /// Strip white space: leading from the head, trailing from the tail.
    #[serde(default)]
    pub strip: bool,
    /// Answers for inputs with too little in them for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_input: Option<ShortInput>,
}

/// An input with fewer bytes than this (whole, or after its leading white space in the first block) is answered without the model, with score 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShortInput {
    /// The least number of bytes that the model is asked about.
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_048_576)))]
    pub min_bytes: u32,
    /// Label of an input of no bytes.
    pub empty: Line,
    /// Label if the bytes are UTF-8.
    pub text: Line,
    /// Label if they are not.
    pub binary: Line,
}

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

/// Text to token ids by a Hugging Face `tokenizer.json`: the tensors `input_ids`, `attention_mask` (if the model has it) and `token_type_ids`.
/// The body of /process is the text itself, or as `application/json` a text, `{"text": ...}`, or a list of either.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tokenize {
    /// Path of tokenizer.json among the files of the model. Truncation and padding that it asks for are ignored: those below hold.
    pub file: Token,
    /// Most tokens of a text, special ones included.
    #[serde(default = "default_max_length")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 131_072)))]
    pub max_length: u32,
    /// What becomes of a longer text.
    #[serde(default)]
    pub overflow: Overflow,
    /// Whether the model takes token type ids.
    #[serde(default)]
    pub token_types: bool,
    /// Lengths in tokens that texts are padded to, rising; the last one is maxLength or more. Absent: 32, 64, 128 and so on up to maxLength.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 32), inner(range(min = 1, max = 131_072))))]
    pub buckets: Vec<u32>,
    /// Most bytes of a text, before it is cut into tokens.
    #[serde(default = "default_max_bytes")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 16_777_216)))]
    pub max_bytes: u32,
    /// Most texts in a request.
    #[serde(default = "default_max_texts")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 65_536)))]
    pub max_texts: u32,
}

/// What becomes of a text with too many tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum Overflow {
    /// Its end is cut off.
    #[default]
    Cut,
    /// The request is refused.
    Refuse,
}

fn default_max_length() -> u32 {
    512
}

fn default_max_bytes() -> u32 {
    131_072
}

fn default_max_texts() -> u32 {
    2_048
}

/// Tabular records to tensors. The body of /process is JSON: one object (answered by one answer), a list of objects, or columns
/// `{"a": [...], "b": [...]}`. A model with one input of two dimensions gets the columns side by side; else each column goes to the input of its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Records {
    /// In the order of the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(min = 1, max = 1_024), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub columns: Vec<Column>,
    /// Pass over keys that are no columns; otherwise they are an error, for they may be misspelt ones.
    #[serde(default)]
    pub ignore_unknown: bool,
    /// Most records in a request.
    #[serde(default = "default_max_rows")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_000_000)))]
    pub max_rows: u32,
    /// Records are a series in time: the model gets windows of them, in an input of three dimensions (window, step, column), and answers once for each window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

fn default_max_rows() -> u32 {
    10_000
}

/// Windows over a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// Records in a window.
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 65_536)))]
    pub length: u32,
    /// Records from the start of one window to the start of the next; what is left at the end and fills no window is passed over.
    #[serde(default = "default_stride")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 65_536)))]
    pub stride: u32,
}

fn default_stride() -> u32 {
    1
}

/// One column of a table. A missing value (no key, or null) is replaced first; then mean and std are applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("!(has(self.missing) && has(self.missingAsNaN) && self.missingAsNaN)").message("give missing or missingAsNaN")))]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("!has(self.unknown) || has(self.categories)").message("unknown is for columns with categories")))]
pub struct Column {
    /// Key in the record.
    pub name: Token,
    /// Values of a categorical column, in the order of their codes 0, 1 and so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 4_096)))]
    pub categories: Vec<Line>,
    /// The code of a value that isn't among the categories; absent: an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<f64>,
    /// What stands for a missing value; absent: an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<f64>,
    /// A missing value is NaN, for models that know what to do with it.
    #[serde(default, rename = "missingAsNaN")]
    pub missing_as_nan: bool,
    /// Subtracted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Divided by, after the mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
}

/// WAV or FLAC to samples from -1 to 1: channels are averaged, and another sample rate is converted as torchaudio's `resample` does by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("(has(self.frame) && self.frame > 0) || (!has(self.state) && !(has(self.context) && self.context > 0))").message("context and state go from frame to frame: give frame")))]
pub struct Audio {
    /// Samples per second that the model takes.
    #[cfg_attr(feature = "resource", schemars(range(min = 1_000, max = 384_000)))]
    pub sample_rate: u32,
    /// Samples in a frame, the last one filled up with silence; 0: the whole at once.
    #[serde(default)]
    #[cfg_attr(feature = "resource", schemars(range(max = 16_777_216)))]
    pub frame: u32,
    /// The last samples of the frame before, put in front of each frame; silence before the first.
    #[serde(default)]
    #[cfg_attr(feature = "resource", schemars(range(max = 16_777_216)))]
    pub context: u32,
    /// Longer audio is answered 422 before it is decoded, and so is audio of more samples than it has at 48,000 a second.
    #[serde(default = "default_max_seconds")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 86_400)))]
    pub max_seconds: u32,
    /// The model's input that takes the samples; absent: the only one that neither rateInput nor state names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Token>,
    /// The model's input that takes the sample rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_input: Option<Token>,
    /// Tensors that the model gives with each frame and takes with the next one of the same request; zeros with the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["input"])))]
    pub state: Vec<CarriedState>,
}

/// A tensor that is carried from frame to frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CarriedState {
    /// The model's input.
    pub input: Token,
    /// The model's output that goes there.
    pub output: Token,
}

fn default_max_seconds() -> u32 {
    300
}
