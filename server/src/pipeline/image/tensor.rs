//! Pixels to the tensor that the model takes: colour order, arithmetic, layout, element type.

use super::pixels::{Pixels, wide};
use crate::protocol::{
    data::{Data, Datatype},
    tensor::{Signature, Tensor, TensorSpec},
};
use half::{bf16, f16};
use millrace_crds::{ColorOrder, Layout, Normalize};

/// What becomes of the pixels in the end.
pub struct ToTensor {
    input: TensorSpec,
    channels_last: bool,
    /// For each channel of the model, which channel of the image it is.
    order: Vec<usize>,
    /// For each channel of the model, the number for each value of a pixel; `None`: the value itself.
    tables: Option<Vec<[f32; 256]>>,
}

impl ToTensor {
    /// Checks what the steps make against the model's one input. `size` is known unless it varies with the image.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile(
        color: ColorOrder,
        normalize: Option<&Normalize>,
        size: Option<(u32, u32)>,
        signature: &Signature,
    ) -> Result<Self, String> {
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
        let made = shape(channels_last, order.len(), size, input.shape.len());
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
        Ok(Self { input: input.clone(), channels_last, order, tables })
    }

    /// The tensor of one image.
    #[must_use]
    pub fn tensor(&self, pixels: &Pixels) -> Tensor {
        let (width, height, channels) = (wide(pixels.width), wide(pixels.height), self.order.len());
        let mut shape =
            if self.channels_last { vec![1, height, width, channels] } else { vec![1, channels, height, width] };
        if self.input.shape.len() == 3 {
            shape.remove(0);
        }
        let data = match self.input.datatype {
            Datatype::Uint8 => Data::Uint8(self.lay(pixels, |_, value| value)),
            Datatype::Fp16 => Data::Fp16(self.lay(pixels, |channel, value| f16::from_f32(self.number(channel, value)))),
            Datatype::Bf16 => {
                Data::Bf16(self.lay(pixels, |channel, value| bf16::from_f32(self.number(channel, value))))
            }
            _ => Data::Fp32(self.lay(pixels, |channel, value| self.number(channel, value))),
        };
        Tensor { name: self.input.name.clone(), shape, data }
    }

    fn number(&self, channel: usize, value: u8) -> f32 {
        self.tables.as_ref().map_or(f32::from(value), |tables| tables[channel][usize::from(value)])
    }

    /// Elements in the model's order.
    fn lay<T>(&self, pixels: &Pixels, element: impl Fn(usize, u8) -> T) -> Vec<T> {
        let mut out = Vec::with_capacity(pixels.data.len());
        let each = pixels.data.chunks_exact(pixels.channels);
        if self.channels_last {
            for pixel in each {
                out.extend(self.order.iter().enumerate().map(|(channel, &from)| element(channel, pixel[from])));
            }
        } else {
            for (channel, &from) in self.order.iter().enumerate() {
                out.extend(each.clone().map(|pixel| element(channel, pixel[from])));
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

fn shape(channels_last: bool, channels: usize, size: Option<(u32, u32)>, rank: usize) -> Vec<i64> {
    let (width, height) = size.map_or((-1, -1), |(width, height)| (i64::from(width), i64::from(height)));
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
