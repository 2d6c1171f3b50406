//! Pixels to the tensor that the model takes: colour order, arithmetic, layout, element type.

use super::pixels::{Pixels, wide};
use crate::protocol::{
    data::{Data, Datatype},
    tensor::{Signature, Tensor, TensorSpec},
};
use half::{bf16, f16};
use millrace_crds::{ColorOrder, Layout, Normalize, Pad, Resize, ResizeMode};

/// What image steps make: which sides are known, and how the tensor is made of the pixels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Made<'a> {
    width: Side,
    height: Side,
    /// The arithmetic.
    pub normalize: Option<&'a Normalize>,
    /// What is added.
    pub pad: Option<&'a Pad>,
}

/// What is known of a side before there is an image.
#[derive(Clone, Copy, Debug, Default)]
enum Side {
    #[default]
    Any,
    UpTo(u32),
    Exactly(u32),
}

impl Made<'_> {
    /// The image is resized.
    pub fn resize(&mut self, spec: &Resize) {
        (self.width, self.height) = match spec.mode {
            ResizeMode::Stretch | ResizeMode::Letterbox => (Side::Exactly(spec.width), Side::Exactly(spec.height)),
            ResizeMode::ShortestSide | ResizeMode::AtLeast => (Side::Any, Side::Any),
            ResizeMode::Height => (spec.max_side.map_or(Side::Any, Side::UpTo), Side::Exactly(spec.height)),
        };
    }

    /// The image gets a size.
    pub fn exactly(&mut self, width: u32, height: u32) {
        (self.width, self.height) = (Side::Exactly(width), Side::Exactly(height));
    }

    /// Width and height of the tensor; -1: varies with the image.
    fn size(&self) -> (i64, i64) {
        let padding = self.padding();
        let size = |side: Side, pad: &dyn Fn(u32) -> u32| match side {
            Side::Exactly(length) => i64::from(pad(length)),
            Side::UpTo(most) if pad(most) == pad(0) => i64::from(pad(most)),
            _ => -1,
        };
        (size(self.width, &|width| padding.of(width, 0).0), size(self.height, &|height| padding.of(0, height).1))
    }

    fn padding(&self) -> Padding {
        let of = |pad: &Pad| Padding { width: pad.width, height: pad.height, multiple: pad.width_multiple_of.max(1) };
        self.pad.map_or(Padding { width: 0, height: 0, multiple: 1 }, of)
    }
}

/// How large a tensor is at least.
struct Padding {
    width: u32,
    height: u32,
    multiple: u32,
}

impl Padding {
    /// The size that an image gets.
    fn of(&self, width: u32, height: u32) -> (u32, u32) {
        (width.max(self.width).next_multiple_of(self.multiple), height.max(self.height))
    }
}

/// What becomes of the pixels in the end.
pub struct ToTensor {
    input: TensorSpec,
    channels_last: bool,
    /// For each channel of the model, which channel of the image it is.
    order: Vec<usize>,
    /// For each channel of the model, the number for each value of a pixel; `None`: the value itself.
    tables: Option<Vec<[f32; 256]>>,
    padding: Padding,
    /// What is where no image is.
    blank: f32,
}

impl ToTensor {
    /// Checks what the steps make against the model's one input.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile(color: ColorOrder, steps: &Made<'_>, signature: &Signature) -> Result<Self, String> {
        let normalize = steps.normalize;
        let takes = Signature::describe(&signature.inputs);
        let order = match color {
            ColorOrder::RGB => vec![0, 1, 2],
            ColorOrder::BGR => vec![2, 1, 0],
            ColorOrder::Gray => vec![0],
        };
        let [input] = signature.inputs.as_slice() else {
            return Err(format!("preprocess: an image makes one tensor; the model takes {takes}"));
        };
        let layout = normalize.map(|step| step.layout).or_else(|| layout_of(input, order.len()));
        let channels_last = layout == Some(Layout::NHWC);
        let made = shape(channels_last, order.len(), steps.size(), input.shape.len());
        let fits_shape = input.shape.len() == made.len()
            && input.shape.iter().zip(&made).all(|(&takes, &makes)| takes < 0 || takes == makes);
        let fits_type = match input.datatype {
            Datatype::Fp32 | Datatype::Fp16 | Datatype::Bf16 => true,
            Datatype::Uint8 => normalize.is_none(),
            _ => false,
        };
        if !fits_shape || !fits_type {
            let kind = if normalize.is_some() { "floats" } else { "bytes or floats" };
            let layout = if channels_last { "NHWC" } else { "NCHW" };
            return Err(format!(
                "preprocess: the image steps make {kind} {made:?} ({layout}; -1: varies with the image); the model takes {takes}"
            ));
        }
        let tables = normalize.map(|step| tables(step, order.len())).transpose()?;
        // Computed in 64 bits for the manifest, in 32 for the model.
        #[allow(clippy::cast_possible_truncation)]
        let blank = steps.pad.map_or(0.0, |pad| pad.value as f32);
        Ok(Self { input: input.clone(), channels_last, order, tables, padding: steps.padding(), blank })
    }

    /// The tensor of one image.
    #[must_use]
    pub fn tensor(&self, pixels: &Pixels) -> Tensor {
        let (width, height) = self.padding.of(pixels.width, pixels.height);
        let (width, height, channels) = (wide(width), wide(height), self.order.len());
        let mut shape =
            if self.channels_last { vec![1, height, width, channels] } else { vec![1, channels, height, width] };
        if self.input.shape.len() == 3 {
            shape.remove(0);
        }
        let size = (width, height);
        let data = match self.input.datatype {
            // The field's range is that of a pixel where pixels are what the model takes.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Datatype::Uint8 => Data::Uint8(self.lay(pixels, size, self.blank as u8, |_, value| value)),
            Datatype::Fp16 => {
                let half = |channel, value| f16::from_f32(self.number(channel, value));
                Data::Fp16(self.lay(pixels, size, f16::from_f32(self.blank), half))
            }
            Datatype::Bf16 => {
                let half = |channel, value| bf16::from_f32(self.number(channel, value));
                Data::Bf16(self.lay(pixels, size, bf16::from_f32(self.blank), half))
            }
            _ => Data::Fp32(self.lay(pixels, size, self.blank, |channel, value| self.number(channel, value))),
        };
        Tensor { name: self.input.name.clone(), shape, data }
    }

    fn number(&self, channel: usize, value: u8) -> f32 {
        self.tables.as_ref().map_or(f32::from(value), |tables| tables[channel][usize::from(value)])
    }

    /// Elements in the model's order, and blanks up to `width` and `height`.
    fn lay<T: Copy>(
        &self,
        pixels: &Pixels,
        (width, height): (usize, usize),
        blank: T,
        element: impl Fn(usize, u8) -> T,
    ) -> Vec<T> {
        let whole = width * height;
        let mut out = Vec::with_capacity(whole * self.order.len());
        let rows = pixels.data.chunks_exact((wide(pixels.width) * pixels.channels).max(1));
        if self.channels_last {
            for (at, row) in rows.enumerate() {
                for pixel in row.chunks_exact(pixels.channels) {
                    out.extend(self.order.iter().enumerate().map(|(channel, &from)| element(channel, pixel[from])));
                }
                out.resize((at + 1) * width * self.order.len(), blank);
            }
            out.resize(whole * self.order.len(), blank);
        } else {
            for (channel, &from) in self.order.iter().enumerate() {
                for (at, row) in rows.clone().enumerate() {
                    out.extend(row.chunks_exact(pixels.channels).map(|pixel| element(channel, pixel[from])));
                    out.resize(channel * whole + (at + 1) * width, blank);
                }
                out.resize((channel + 1) * whole, blank);
            }
        }
        out
    }
}

/// The layout that an input's shape shows, if a step doesn't say.
fn layout_of(input: &TensorSpec, channels: usize) -> Option<Layout> {
    let channels = i64::try_from(channels).ok()?;
    let [.., first, _, last] = input.shape.as_slice() else { return None };
    if *first == channels { Some(Layout::NCHW) } else { (*last == channels).then_some(Layout::NHWC) }
}

fn shape(channels_last: bool, channels: usize, (width, height): (i64, i64), rank: usize) -> Vec<i64> {
    let channels = i64::try_from(channels).unwrap_or(-1);
    let image = if channels_last { [height, width, channels] } else { [channels, height, width] };
    if rank == 3 { image.to_vec() } else { [&[1][..], &image].concat() }
}

/// In 32-bit floats, each operation by itself, as the reference does it.
#[allow(clippy::cast_possible_truncation)]
fn tables(step: &Normalize, channels: usize) -> Result<Vec<[f32; 256]>, String> {
    let one = |name: &str, list: &[f64], channel: usize, default: f32| match list {
        [] => Ok(default),
        [all] => Ok(*all as f32),
        list if list.len() == channels => Ok(list[channel] as f32),
        list => {
            Err(format!("preprocess: normalize.{name} has {} numbers; the image has {channels} channels", list.len()))
        }
    };
    (0..channels)
        .map(|channel| {
            let (mean, std) = (one("mean", &step.mean, channel, 0.0)?, one("std", &step.std, channel, 1.0)?);
            if std == 0.0 {
                return Err("preprocess: normalize.std holds a 0, and is divided by".to_owned());
            }
            Ok(std::array::from_fn(|value| {
                let value = value as f32;
                let scaled = step.scale.map_or(value / 255.0, |scale| value * scale as f32);
                (scaled - mean) / std
            }))
        })
        .collect()
}
